"""What a verdict is on and what it can say: the grammar of expectations and the analysis share these words."""

from collections.abc import Mapping

BETTER, WORSE, NO_DIFFERENCE, TOO_FEW_SEEDS = "better", "worse", "no difference", "too few seeds"
VERDICTS = (BETTER, WORSE, NO_DIFFERENCE, TOO_FEW_SEEDS)

# What is judged, and the difference that nobody minds, in the metric's own units.
TOLERANCES: Mapping[str, float] = {"test_accuracy": 0.01, "test_nll": 0.02, "test_brier": 0.01}
