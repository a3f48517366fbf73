"""Paired differences, Holm's correction, seeds still needed, and times that were not reached."""

import itertools
import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from clsbench.analysis.statistics import (
    DRAWN_SIGNS,
    PairedDifference,
    TimeToTarget,
    holm,
    interquartile_mean,
    paired_difference,
    seeds_to_settle,
    sign_flip,
    spread,
    time_to_target,
)

PAIRS = st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=12)
P_VALUES = st.lists(st.none() | st.integers(0, 1000).map(lambda k: k / 1000), max_size=12)


def sample(n: Any, mean: Any, deviation: Any) -> Any:
    """n differences with exactly this mean and deviation."""
    shape = np.linspace(-1, 1, n)
    return mean + deviation * shape / shape.std(ddof=1)


def rejected_step_by_step(p_values: Any, level: Any) -> Any:
    """Holm's procedure as he states it: the smallest p against level / m, the next against level / (m - 1), ..."""
    order = sorted((place for place, p in enumerate(p_values) if p is not None), key=lambda place: p_values[place])
    rejected = set()
    for left, place in zip(range(len(order), 0, -1), order, strict=True):
        if left * p_values[place] > level:
            break
        rejected.add(place)
    return rejected


@pytest.mark.parametrize("n", [2, 3, 10, 40])
def test_paired_t_test_agrees_with_scipy(n: Any) -> None:
    """Difference, interval and p are those of scipy's paired t-test."""
    a, b = np.random.default_rng(n).normal([[0.9], [0.88]], 0.02, (2, n))
    reference = stats.ttest_rel(a, b)
    interval = reference.confidence_interval(0.95)
    paired = paired_difference(a.tolist(), b.tolist())
    assert n == paired.n
    expected = ((a - b).mean(), interval.low, interval.high, reference.pvalue, (a - b).std(ddof=1))
    actual = (paired.difference, *paired.interval(), paired.p, paired.deviation)
    assert expected == pytest.approx(actual, rel=1e-9)


def test_two_seeds_by_hand() -> None:
    """With one degree of freedom t is Cauchy: differences 1 and 3 have t = 2 and p = 1 - 2/pi atan 2."""
    paired = paired_difference([1.0, 3.0], [0.0, 0.0])
    assert 2 == paired.difference
    assert 1 - 2 / math.pi * math.atan(2) == pytest.approx(paired.p, rel=1e-12)
    assert 2 + math.tan(0.475 * math.pi) == pytest.approx(paired.interval()[1], rel=1e-9)


def test_one_seed_has_neither_interval_nor_p() -> None:
    """One seed shows a difference and nothing of its certainty."""
    assert PairedDifference(0.5, None, 1, None, None) == paired_difference([1.0], [0.5])
    assert paired_difference([1.0], [0.5]).interval() is None


def test_constant_difference_has_the_p_of_the_sign_flip_test() -> None:
    """Differences that vary by rounding alone do not vary: the interval is the point, and all signs agree."""
    a, b = [0.91, 0.12, 0.02], [0.90, 0.11, 0.01]
    assert 3 == len({x - y for x, y in zip(a, b, strict=True)})
    paired = paired_difference(a, b)
    assert (0.01, 0.01, 0.01) == pytest.approx((paired.difference, *paired.interval(0.001)))
    assert (3, 0.25, 0.25, 0) == (paired.n, paired.p, paired.p_flip, paired.deviation)
    assert 1 == paired_difference(a, a).p


@pytest.mark.parametrize("n", [2, 5, 9, 12])
def test_exact_sign_flip_test_agrees_with_scipy(n: Any) -> None:
    """Up to twelve pairs all signs are tried, as scipy's permutation test of paired samples does."""
    a, b = np.random.default_rng(n).normal([[0.9], [0.88]], 0.02, (2, n))
    reference = stats.permutation_test(
        (a, b), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples", n_resamples=np.inf
    )
    assert reference.pvalue == pytest.approx(sign_flip((a - b).tolist()), rel=1e-12)


def test_drawn_signs_agree_with_the_exact_p() -> None:
    """Beyond twelve pairs 9,999 patterns are drawn: the p of all 2^13 is within three deviations, and never 0."""
    differences = np.random.default_rng(0).normal(0.5, 1.0, 13)
    signs = np.array(list(itertools.product([-1, 1], repeat=13)))
    exact = np.mean(np.abs(signs @ differences) >= abs(differences.sum()) - 1e-12)
    assert abs(exact - sign_flip(differences.tolist())) < 3 * math.sqrt(exact * (1 - exact) / DRAWN_SIGNS) + 1e-4
    assert 1 / (1 + DRAWN_SIGNS) == sign_flip([1.0] * 40)


def test_drawn_signs_of_many_seeds_take_little_memory() -> None:
    """9,999 patterns of 4,000 signs would be 320 MB as numbers."""
    differences = np.random.default_rng(1).normal(0.03, 1.0, 4_000).tolist()
    tracemalloc.start()
    try:
        p = sign_flip(differences)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 50e6
    assert abs(paired_difference(differences, [0.0] * 4_000).p - p) < 0.02


def test_least_difference_that_accuracy_can_show_is_no_rounding() -> None:
    """One sample of ten million, at one seed of a thousand, is a deviation."""
    a = [0.9] * 999 + [0.9 + 1e-7]
    assert pytest.approx(0.3176, abs=1e-3) == paired_difference(a, [0.9] * 1000).p


def test_seeds_without_a_pair_are_left_out() -> None:
    """A seed counts where both arms have a number there; where none has, there is no difference."""
    a, b = [1.0, None, 5.0, 3.0], [0.0, 1.0, None, 1.0]
    assert paired_difference([1.0, 3.0], [0.0, 1.0]) == paired_difference(a, b)
    assert paired_difference([1.0, None], [None, 1.0]) is None
    assert paired_difference([], []) is None


def test_unequal_lengths_are_refused() -> None:
    """Values that do not belong to the same seeds are not cut to fit."""
    with pytest.raises(ValueError, match="longer"):
        paired_difference([1.0], [1.0, 2.0])


@given(PAIRS)
def test_swapping_the_arms_negates_the_difference(pairs: Any) -> None:
    """b against a is a against b with the signs changed, to the bit."""
    a, b = zip(*pairs, strict=True)
    there, back = paired_difference(a, b), paired_difference(b, a)
    assert (there.difference, there.n, there.p) == (-back.difference, back.n, back.p)
    assert there.p_flip == back.p_flip
    if there.interval() is not None:
        low, high = there.interval()
        assert (-high, -low) == back.interval()
        assert low <= there.difference <= high


@given(PAIRS.flatmap(lambda pairs: st.tuples(st.just(pairs), st.permutations(pairs))))
def test_order_of_seeds_changes_nothing(orders: Any) -> None:
    """The result is the same to the bit in whatever order the seeds come."""
    before, after = (paired_difference(*zip(*pairs, strict=True)) for pairs in orders)
    assert before == after


def test_spread_of_one_value_is_unknown_and_of_equal_ones_zero() -> None:
    """One value has no deviation; values apart by rounding have none either; others have numpy's."""
    assert spread([0.3], 1) is None
    assert 0 == spread([0.1 + 0.2, 0.3], 1)
    values = [0.1, 0.5, 0.9, 0.2]
    assert np.std(values, ddof=1) == pytest.approx(spread(values, 1), rel=1e-12)


@pytest.mark.parametrize(
    ("p_values", "corrected"),
    [
        ([], []),
        ([0.03], [0.03]),
        ([0.01, 0.02, 0.03, 0.04], [0.04, 0.06, 0.06, 0.06]),
        ([0.04, 0.01, None, 0.03], [0.06, 0.03, None, 0.06]),
        ([0.5, 0.9], [1.0, 1.0]),
        ([None, None], [None, None]),
    ],
)
def test_holm_by_hand(p_values: Any, corrected: Any) -> None:
    """Literal cases; None stays None and is no test."""
    assert corrected == pytest.approx(holm(p_values))


@given(P_VALUES, st.integers(1, 999).map(lambda k: k / 1000))  # at 1, corrected values are cut off
def test_holm_rejects_what_the_procedure_rejects(p_values: Any, level: Any) -> None:
    """At every level, the corrected p-values at most that level are those that Holm's steps reject."""
    rejected = {place for place, p in enumerate(holm(p_values)) if p is not None and p <= level}
    assert rejected_step_by_step(p_values, level) == rejected


@given(P_VALUES)
def test_holm_is_monotone_and_never_below_raw(p_values: Any) -> None:
    """A corrected p is between the raw one and 1, and the correction keeps their order."""
    known = sorted((p, q) for p, q in zip(p_values, holm(p_values), strict=True) if p is not None)
    assert all(p <= q <= 1 for p, q in known)
    assert sorted(q for _, q in known) == [q for _, q in known]


@pytest.mark.parametrize(
    ("n", "mean", "deviation", "tolerance"),
    [
        (3, 0.02, 0.03, 0.01),
        (5, -0.02, 0.03, 0.01),
        (5, 0.11, 0.1, 0.01),  # the sixth decides
        (4, 0.001, 0.02, 0.01),
        (4, 0.0, 0.02, 0.01),
        (2, 0.1, 0.2, 0.02),
    ],
)
def test_seeds_to_settle_are_the_fewest_that_do(n: Any, mean: Any, deviation: Any, tolerance: Any) -> None:
    """With that many seeds of this mean and deviation the interval decides; with one fewer it does not."""

    def interval(seeds: Any) -> Any:
        differences = sample(seeds, mean, deviation).tolist()
        return paired_difference(differences, [0.0] * seeds)

    def decides(paired: Any) -> Any:
        low, high = paired.interval()
        return (-tolerance <= low and high <= tolerance) or low > 0 or high < 0

    needed = seeds_to_settle(interval(n), tolerance)
    assert needed > n
    assert decides(interval(needed))
    assert not decides(interval(needed - 1))


def test_seeds_to_settle_tend_to_the_normal_formula() -> None:
    """A tenth of a deviation needs (1.96 / 0.1)^2 = 384 seeds, and two or three for t's heavier tails."""
    paired = paired_difference(sample(10, 0.1, 1.0).tolist(), [0.0] * 10)
    assert 387 == seeds_to_settle(paired, 0.01)


def test_many_tests_need_more_seeds() -> None:
    """A comparison among many must pass a stricter level, to be decided and to lie within the margin."""
    for mean in (0.05, 0.0):
        paired = paired_difference(sample(5, mean, 0.1).tolist(), [0.0] * 5)
        assert seeds_to_settle(paired, 0.01, num_tests=1) < seeds_to_settle(paired, 0.01, num_tests=30)


def test_a_constant_difference_is_settled_by_signs_alone() -> None:
    """Two seeds that agree have p 1/2; six have 1/32, which is the first under 5%."""
    assert 6 == seeds_to_settle(paired_difference([0.5, 0.5], [0.0, 0.0]), 0.01)


@pytest.mark.parametrize(("a", "tolerance"), [([0.5], 0.01), ([-1.0, 1.0], 0.0), ([-1e6, 1e6], 0.01)])
def test_seeds_to_settle_may_be_unknown(a: Any, tolerance: Any) -> None:
    """One seed, nothing to find, or more seeds than anybody has: None."""
    assert seeds_to_settle(paired_difference(a, [0.0] * len(a)), tolerance) is None


@pytest.mark.parametrize(
    ("times", "summary"),
    [
        ([3, 1, 2], TimeToTarget(2, 3, 3)),
        ([4, None, 2], TimeToTarget(4, 2, 3)),
        ([1, 2, 3, None], TimeToTarget(2.5, 3, 4)),
        ([1, 2, None, None], TimeToTarget(None, 2, 4)),
        ([1, None, None], TimeToTarget(None, 1, 3)),
        ([0], TimeToTarget(0, 1, 1)),
        ([], TimeToTarget(None, 0, 0)),
    ],
)
def test_times_not_reached_are_later_than_all(times: Any, summary: Any) -> None:
    """A trial that did not arrive counts in the median as the latest, and is counted beside it."""
    assert summary == time_to_target(times)


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30))
def test_mean_of_the_middle_half_is_scipys(values: list[float]) -> None:
    """A quarter is cut at either end, rounded down, in whatever order the values come."""
    assert pytest.approx(stats.trim_mean(values, 0.25)) == interquartile_mean(values)
    assert interquartile_mean(values) == interquartile_mean(values[::-1])
