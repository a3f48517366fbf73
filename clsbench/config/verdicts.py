"""What a verdict is on and what it can say: the grammar of expectations and the analysis share these words."""

BETTER, WORSE, NO_DIFFERENCE, TOO_FEW_SEEDS = "better", "worse", "no difference", "too few seeds"
VERDICTS = (BETTER, WORSE, NO_DIFFERENCE, TOO_FEW_SEEDS)
