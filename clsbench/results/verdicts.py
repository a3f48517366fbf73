"""Verdicts: their words, which the grammar of expectations shares, and what `summary.json` says with them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, with_config
from typing_extensions import TypedDict

from clsbench.results.reading import ADDED, STRICT, Count, Probability

BETTER, WORSE, EQUIVALENT, UNDECIDED = "better", "worse", "equivalent", "undecided"
VERDICTS = (BETTER, WORSE, EQUIVALENT, UNDECIDED)
REVERSED = {**dict(zip(VERDICTS, VERDICTS, strict=True)), BETTER: WORSE, WORSE: BETTER}

# Of runs and configs written before the margins could be set.
OLD_WORDS = {"no difference": EQUIVALENT, "too few seeds": UNDECIDED}

FAILURES = "failures"  # the metric of the verdicts on failed seeds


@with_config(STRICT)
class ScaledVerdict(TypedDict):
    """A verdict after temperature scaling, in a family of its own with the scaled ones of the same family."""

    difference: float
    low: float | None
    high: float | None
    p_holm: Probability | None
    verdict: str


@with_config(STRICT)
class OverTestSet(TypedDict):
    """A difference over the `n` samples of the test set that all seeds share, for the networks of these seeds.

    `std` is the standard deviation (n - 1) over samples, `low` to `high` the interval at the level of the seeds' one.
    """

    n: Annotated[int, Field(ge=2)]
    std: Annotated[float, Field(ge=0)]
    low: float
    high: float


@with_config(STRICT)
class Verdict(TypedDict):
    """The comparison of two arms: `difference` is the mean over seeds of a - b.

    `p` is of the paired t-test, `p_flip` of the sign-flip test. `negligible` says of a better or worse arm that the
    whole interval lies within the margin, `seeds_needed` of an undecided pair about how many would settle it.
    `scaled` is the verdict by the same metric after temperature scaling, None where the metric has no such sibling.
    `test_set` is None where seeds are tested on samples of their own, or a seed of the pair is lost, and of a metric
    that is no mean over samples.
    """

    a: str
    b: str
    metric: str
    difference: float
    low: float | None
    high: float | None
    n: Annotated[int, Field(ge=1)]
    p: Probability | None
    p_holm: Probability | None
    p_flip: Annotated[Probability | None, ADDED]
    verdict: str
    negligible: Annotated[bool | None, ADDED]
    seeds_needed: Annotated[Count | None, ADDED]
    scaled: Annotated[ScaledVerdict | None, ADDED]
    test_set: Annotated[OverTestSet | None, ADDED]


@with_config(STRICT)
class Rules(TypedDict):
    """How verdicts are reached: the negligible difference by metric, the family of a correction, the baseline."""

    margin: dict[str, Annotated[float, Field(ge=0)]]
    family: Literal["comparison", "metric", "run"]
    baseline: str | None


@with_config(STRICT)
class Pairs(TypedDict):
    """How many pairs of arms were judged, and how many there are."""

    judged: Count
    all: Count


@with_config(STRICT)
class AcrossArm(TypedDict):
    """Arms that are alike in all comparisons: their `mean_rank`, 1 being the best, and the mean over comparisons.

    `mean` is None where a comparison has no number. `low` to `high` is the 95% interval of that mean over seeds, None
    where a comparison has fewer than two.
    """

    name: str
    mean_rank: Annotated[float, Field(ge=1)]
    mean: float | None
    low: float | None
    high: float | None


@with_config(STRICT)
class AcrossPair(TypedDict):
    """Two arms over all comparisons: in how many a wins, ties or loses by the margin; tests; Bayesian probabilities.

    `verdict` says whether a is better or worse by the sum of its signed ranks, where `p_holm` tells the two apart.
    """

    a: str
    b: str
    win: Count
    tie: Count
    loss: Count
    p: Probability
    p_holm: Probability
    p_better: Probability
    p_equivalent: Probability
    p_worse: Probability
    verdict: Annotated[str | None, ADDED]


@with_config(STRICT)
class Across(TypedDict):
    """The arms over several comparisons, by the headline metric; `blocks` are the comparisons, by what they share."""

    metric: str
    margin: Annotated[float, Field(ge=0)]
    blocks: Annotated[list[str], Field(min_length=1)]
    arms: list[AcrossArm]
    friedman_p: Probability | None
    pairs: list[AcrossPair]
