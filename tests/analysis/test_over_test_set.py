"""The error of the test set: a paired bootstrap over its samples in closed form."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from clsbench.analysis.test_set import SampleSpread, may_be_reversed, over_test_set, sample_spread, spreads_of
from clsbench.analysis.verdicts import seen_from, verdicts
from clsbench.config.schema import VerdictConfig
from tests.analysis.test_verdicts import arm, summary

RULES = VerdictConfig().rules
DRAWS = 20_000


def networks(kind: str, rng: np.random.Generator) -> Any:
    """Two arms on 800 test samples, means over five seeds: right or wrong, or an error that is mostly small."""
    hard = rng.random((1, 800))
    if kind == "accuracy":
        return [(rng.random((5, 800)) > share * hard).mean(axis=0) for share in (0.4, 0.6)]
    return [rng.exponential(scale * hard, (5, 800)).mean(axis=0) for scale in (0.3, 0.5)]


@pytest.mark.parametrize("kind", ["accuracy", "nll"])
@pytest.mark.parametrize("level", [0.05, 0.01])
def test_the_interval_is_that_of_the_paired_bootstrap(kind: str, level: float) -> None:
    """Its ends are the percentiles of the difference over samples drawn anew, within 5% of its half width."""
    rng = np.random.default_rng(0)
    a, b = networks(kind, rng)
    found = over_test_set(float(a.mean() - b.mean()), sample_spread(a, b), level)
    assert found is not None
    drawn = np.array([(a[rows] - b[rows]).mean() for rows in rng.integers(0, len(a), (DRAWS, len(a)))])
    low, high = np.quantile(drawn, [level / 2, 1 - level / 2])
    assert (low, high) == pytest.approx((found["low"], found["high"]), abs=0.05 * (high - low) / 2)


def test_the_interval_is_that_of_a_mean_of_paired_differences() -> None:
    """SciPy's t-interval of the differences on each sample; none of a single sample."""
    a, b = np.array([1.0, 0.0, 0.4, 1.0]), np.array([0.6, 0.2, 0.4, 0.0])
    found = over_test_set(float((a - b).mean()), sample_spread(a, b), 0.05)
    low, high = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert {
        "n": 4,
        "std": pytest.approx((a - b).std(ddof=1)),
        "low": pytest.approx(low),
        "high": pytest.approx(high),
    } == found
    assert sample_spread(a[:1], b[:1]) is None
    assert sample_spread(a, None) is None
    assert over_test_set(0.1, None, 0.05) is None


def test_it_has_the_level_of_the_interval_beside_it() -> None:
    """Two tests of one family: both intervals miss with half the probability."""
    a, b = ({"test_accuracy": [x, x + 0.01], "test_nll": [x, x + 0.02]} for x in (0.3, 0.4))
    rows = verdicts(summary(arm("a", **a), arm("b", **b)), RULES, spreads=lambda *_: SampleSpread(0.5, 101))
    for row in rows:
        low, high = stats.t.interval(0.975, 100, row["difference"], 0.5 / np.sqrt(101))
        assert {"n": 101, "std": 0.5, "low": pytest.approx(low), "high": pytest.approx(high)} == row["test_set"]


def test_a_reversed_row_has_reversed_ends() -> None:
    """From b the same samples speak with the other sign, and the spread can be read back for either order."""
    arms = arm("a", test_nll=[0.3, 0.3]), arm("b", test_nll=[0.4, 0.5])
    (row,) = verdicts(summary(*arms), RULES, spreads=lambda *_: SampleSpread(0.5, 101))
    (other,) = verdicts(summary(*arms[::-1]), RULES, spreads=spreads_of([row]))
    assert other == seen_from(row, "b")
    assert row == seen_from(other, "a")
    (bare,) = verdicts(summary(*arms), RULES, spreads=spreads_of([]))
    assert {**row, "test_set": None} == bare


@pytest.mark.parametrize(
    ("word", "low", "expected"),
    [("better", -0.01, True), ("better", 0.01, False), ("worse", 0.0, True), ("undecided", -0.01, False)],
)
def test_only_better_and_worse_can_be_reversed(word: str, low: float, expected: bool) -> None:
    """By test samples whose interval includes no difference."""
    row: Any = {"verdict": word, "test_set": {"n": 100, "std": 0.1, "low": low, "high": 0.1}}
    assert expected == may_be_reversed(row)
    assert not may_be_reversed({**row, "test_set": None})
