"""Statistics over a few seeds: pure functions of numbers, without arms or records."""

from __future__ import annotations

import math
import sys
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean, median, stdev

LEVEL = 0.05  # significance level; intervals cover the rest

_MOST_SEEDS = 1_000_000  # more seeds are not useful advice
_ROUNDING = 16 * sys.float_info.epsilon  # relative rounding error of differences such as 0.91 - 0.9


@dataclass(frozen=True)
class PairedDifference:
    """The mean over `n` seeds of a - b, its 95% interval `low` to `high`, and the two-sided `p` of the paired t-test.

    One seed has neither interval nor p. If every seed has the same difference, the interval is that point and p is
    None: the t-test is undefined without variance.
    """

    difference: float
    low: float | None
    high: float | None
    n: int
    p: float | None

    @property
    def deviation(self) -> float | None:
        """The standard deviation over seeds (n - 1) of the difference, in its units; None for one seed."""
        if self.low is None or self.high is None:
            return None
        return (self.high - self.low) / 2 * math.sqrt(self.n) / _t_quantile(LEVEL, self.n)


@dataclass(frozen=True)
class TimeToTarget:
    """When a target was reached over `n` trials: `reached` of them did; `median` is None where half or more did not."""

    median: float | None
    reached: int
    n: int


def paired_difference(a: Sequence[float | None], b: Sequence[float | None]) -> PairedDifference | None:
    """The mean of a - b over the seeds at which both have a number, with its 95% interval and p.

    With d = a - b, m its mean and s its standard deviation (n - 1), t = m / (s / sqrt(n)) has n - 1 degrees of freedom;
    the interval is m -+ t_0.975 s / sqrt(n).

    Args:
        a: a value for each seed; None if it diverged. Those seeds are left out, not imputed.
        b: the values at the same seeds, in the same order.

    Returns:
        None if no seed has both.

    Source: Student 1908, The Probable Error of a Mean.
    """
    pairs = [(x, y) for x, y in zip(a, b, strict=True) if x is not None and y is not None]
    if not pairs:
        return None
    differences = [x - y for x, y in pairs]
    n, difference = len(differences), mean(differences)  # exactly rounded: the mean of equal values is that value
    deviation = spread(differences, scale=max(abs(value) for pair in pairs for value in pair))
    if deviation is None:
        return PairedDifference(difference, None, None, n, None)
    if deviation == 0:
        return PairedDifference(difference, difference, difference, n, None)
    half = _half_width(deviation, n, LEVEL)
    p = _two_sided_p(difference * math.sqrt(n) / deviation, n)
    return PairedDifference(difference, difference - half, difference + half, n, p)


def spread(values: Sequence[float], scale: float) -> float | None:
    """The standard deviation (n - 1) of `values` computed from numbers as large as `scale`; None for one value.

    It is 0 if the values differ only by rounding: a constant difference must not count as a precise one.
    """
    if len(values) < 2:
        return None
    deviation = stdev(values)
    return deviation if deviation > _ROUNDING * scale else 0.0


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """p-values corrected so that the chance of any false rejection among all of them stays under the level.

    Of m p-values in ascending order the i-th (from 0) becomes the largest of (m - j) p_j over j <= i, at most 1.
    None stays None, and counts as no test.

    Source: Holm 1979, A Simple Sequentially Rejective Multiple Test Procedure.
    """
    ranked = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, place) in enumerate(ranked):
        highest = max(highest, min(1.0, (len(ranked) - rank) * p))
        corrected[place] = highest
    return corrected


def seeds_to_settle(paired: PairedDifference, tolerance: float, *, num_tests: int = 1) -> int | None:
    """About how many seeds in total would decide a comparison, if its mean m and standard deviation s stay the same.

    The smallest n above the present one at which the interval excludes zero, t s / sqrt(n) < |m|, or lies within
    `tolerance` of it, |m| + t s / sqrt(n) <= tolerance. The first t is taken at the level 0.05 / `num_tests`, which is
    what the smallest of so many p-values must pass. It is only an estimate, like mean and standard
    deviation: with this many seeds an interval is on the right side about half of the time.

    Returns:
        None if unknown: for one seed, for differences that do not vary, or beyond a million.
    """
    deviation = paired.deviation
    if not deviation:
        return None
    size = abs(paired.difference)

    def settles(n: int) -> bool:
        excludes_zero = _half_width(deviation, n, LEVEL / num_tests) < size
        return excludes_zero or size + _half_width(deviation, n, LEVEL) <= tolerance

    candidates = range(paired.n + 1, _MOST_SEEDS + 1)
    place = bisect_left(candidates, True, key=settles)
    return candidates[place] if place < len(candidates) else None


def time_to_target(times: Sequence[float | None]) -> TimeToTarget:
    """Summarise when trials reached a target, in epochs, steps or seconds; None for a trial that did not.

    A trial that did not reach it, or diverged first, is later than all that did. The median is None if the middle trial
    did not reach it; leaving those trials out would favour the arm that fails most.
    """
    middle = median(math.inf if time is None else time for time in times) if times else math.inf
    return TimeToTarget(
        median=middle if math.isfinite(middle) else None,
        reached=sum(time is not None for time in times),
        n=len(times),
    )


def _half_width(deviation: float, n: int, level: float) -> float:
    return _t_quantile(level, n) * deviation / math.sqrt(n)


def _t_quantile(level: float, n: int) -> float:
    """The value that |t| of n values exceeds with probability `level`."""
    from scipy.special import stdtrit  # 0.2 s; scipy.stats would take three times as long

    return float(stdtrit(n - 1, 1 - level / 2))


def _two_sided_p(t: float, n: int) -> float:
    from scipy.special import stdtr

    return float(2 * stdtr(n - 1, -abs(t)))
