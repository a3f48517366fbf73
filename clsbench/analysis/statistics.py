"""Statistics over a few seeds: pure functions of numbers, without arms or records."""

from __future__ import annotations

import math
import sys
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import mean, median, stdev
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

LEVEL = 0.05  # significance level; intervals cover the rest
EXACT_PAIRS = 12  # up to so many differences, the sign-flip test tries all signs
DRAWN_SIGNS = 9_999
SIGNS_AT_ONCE = 1_000_000

_MOST_SEEDS = 1_000_000  # more seeds are not useful advice
_ROUNDING = 16 * sys.float_info.epsilon  # relative rounding error of differences such as 0.91 - 0.9


@dataclass(frozen=True)
class PairedDifference:
    """The mean over `n` seeds of a - b, its standard `deviation` over seeds (n - 1), and two p-values, two-sided.

    `p` is of the paired t-test; where the difference is the same at every seed, which leaves the t-test undefined, it
    is `p_flip`, of the sign-flip test. One seed has no deviation and no p.
    """

    difference: float
    deviation: float | None
    n: int
    p: float | None
    p_flip: float | None

    def interval(self, level: float = LEVEL) -> tuple[float, float] | None:
        """The interval of the mean that misses it with probability `level`; None for one seed.

        A difference that is the same at every seed has that point as its interval.
        """
        if self.deviation is None:
            return None
        half = _half_width(self.deviation, self.n, level) if self.deviation else 0.0
        return self.difference - half, self.difference + half


@dataclass(frozen=True)
class TimeToTarget:
    """When a target was reached over `n` trials: `reached` of them did; `median` is None where half or more did not."""

    median: float | None
    reached: int
    n: int


def paired_difference(a: Sequence[float | None], b: Sequence[float | None]) -> PairedDifference | None:
    """The mean of a - b over the seeds at which both have a number, with its spread and p-values.

    With d = a - b, m its mean and s its standard deviation (n - 1), t = m / (s / sqrt(n)) has n - 1 degrees of freedom;
    an interval is m -+ t s / sqrt(n).

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
        return PairedDifference(difference, None, n, None, None)
    p_flip = sign_flip(differences)
    p = _two_sided_p(difference * math.sqrt(n) / deviation, n) if deviation else p_flip
    return PairedDifference(difference, deviation, n, p, p_flip)


def sign_flip(differences: Sequence[float]) -> float:
    """The two-sided p of the sign-flip test: how often random signs give a mean as far from zero.

    If both arms were alike, each seed's difference could as well have had the other sign. All 2^n signs are tried up to
    `EXACT_PAIRS` differences, beyond that `DRAWN_SIGNS` of them, always the same. It needs no normal distribution.

    Source: Fisher 1935, The Design of Experiments, section 21; Phipson and Smyth 2010 for the drawn ones.
    """
    import numpy as np

    sizes = np.sort(np.abs(differences))  # in whatever order the seeds come
    least = abs(math.fsum(differences)) - _ROUNDING * len(sizes) * sizes.sum()
    if len(sizes) <= EXACT_PAIRS:
        sums = _all_signs(len(sizes)) @ sizes
        return int((np.abs(sums) >= least).sum()) / len(sums)
    reached = sum(int((np.abs(sums) >= least).sum()) for sums in _drawn_sums(sizes))
    return (1 + reached) / (1 + DRAWN_SIGNS)


@cache
def _all_signs(n: int) -> npt.NDArray[Any]:
    """`[P, n]`: all patterns of signs that differ by more than the sign of the whole."""
    import numpy as np

    signs: npt.NDArray[Any] = 1.0 - 2.0 * ((np.arange(2 ** (n - 1))[:, None] >> np.arange(n)) & 1)
    return signs


def _drawn_sums(sizes: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """The sum of `sizes [n]` under each drawn pattern of signs: those of eight signs are looked up, not added anew."""
    import numpy as np

    of_byte = 1.0 - 2.0 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1)
    eights = np.pad(sizes, (0, -len(sizes) % 8)).reshape(-1, 8)
    sums, places = eights @ of_byte.T, np.arange(len(eights))
    return (sums[places, each].sum(1) for each in _drawn_signs(len(sizes)))


@cache
def _drawn_signs(n: int) -> list[npt.NDArray[Any]]:
    """`DRAWN_SIGNS` patterns of n signs, one a bit, `[P, n / 8]` at a time: as numbers they are large."""
    import numpy as np

    generator, rows = np.random.default_rng(0), max(1, SIGNS_AT_ONCE // n)
    parts = (min(rows, DRAWN_SIGNS - first) for first in range(0, DRAWN_SIGNS, rows))
    return [np.packbits(generator.integers(0, 2, (part, n)).astype(bool), axis=1) for part in parts]


def interquartile_mean(values: Sequence[float]) -> float:
    """The mean of the middle half: a quarter of the values, rounded down, is left out at either end.

    Source: Agarwal et al. 2021, Deep Reinforcement Learning at the Edge of the Statistical Precipice, section 4.3.
    """
    cut = len(values) // 4
    return mean(sorted(values)[cut : len(values) - cut])


def middle(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    """The median of the values that are known, and the mean of their middle half; None without any."""
    known = [value for value in values if value is not None]
    return (median(known), interquartile_mean(known)) if known else (None, None)


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


def seeds_to_settle(paired: PairedDifference, margin: float, *, num_tests: int = 1) -> int | None:
    """About how many seeds in total would decide a comparison, if its mean m and standard deviation s stay the same.

    The smallest n above the present one at which the interval at the level 0.05 / `num_tests` excludes zero,
    t s / sqrt(n) < |m|, or lies within `margin` of it, |m| + t s / sqrt(n) <= margin. It is only an estimate, like mean
    and standard deviation: with this many seeds an interval is on the right side about half of the time.

    Returns:
        None if unknown: for one seed, or beyond a million.
    """
    deviation, level = paired.deviation, LEVEL / num_tests
    if deviation is None:
        return None
    size = abs(paired.difference)

    def settles(n: int) -> bool:
        if not deviation:
            return 2.0 ** (1 - n) < level  # of the sign-flip test
        half = _half_width(deviation, n, level)
        return half < size or size + half <= margin

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
