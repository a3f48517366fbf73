"""Which setting of a grid is best, and which of its values lie on an edge. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from clsbench.metrics.measures import direction, is_share
from clsbench.results import SettingResult

MOST_SAMPLES = 10_000_000  # up to here a double represents different shares of samples differently


def choose(arms: Sequence[Sequence[SettingResult]], metric: str) -> int:
    """The index in the grid of the best setting for one arm, or for several that share it.

    In order:

    1. The fewest diverged seeds, over all arms: a setting with a diverged seed is worse than any without.
    2. The best mean over arms of their mean of `metric` over seeds. It is computed in fractions, an accuracy being the
       share of samples that it stands for, so that neither rounding nor the order of seeds and arms decides.
    3. The least mean over arms of their `second`, validation NLL for one, where all that are still equal have one.
    4. The first in grid order.

    Why the mean of the metric and not of its ranks: all arms have the same metric, so their values add up;
    with ranks, an arm that depends on no setting would count as much as one that needs a certain setting.

    Args:
        arms: each arm's rows, one a setting, in grid order, with their `values` by seed (None where a seed has no
            number), `diverged`, and `second` if known.
        metric: what the values are of.
    """
    places = range(len(arms[0]))
    best = _least(places, [sum(rows[place]["diverged"] for rows in arms) for place in places])
    sign = -1 if direction(metric) == "higher" else 1
    means = [_mean(_mean(_exact(rows[place], metric)) for rows in arms) for place in best]
    best = _least(best, [math.inf if mean is None else sign * mean for mean in means])
    seconds = [[rows[place].get("second") for rows in arms] for place in best]
    known = [[Fraction(number) for number in by_arm if number is not None] for by_arm in seconds]
    if all(len(numbers) == len(arms) for numbers in known):
        best = _least(best, [sum(numbers, Fraction()) for numbers in known])
    return best[0]


def _least(places: Sequence[int], costs: Sequence[Fraction | float]) -> list[int]:
    """The places whose cost is least, in order."""
    least = min(costs)
    return [place for place, cost in zip(places, costs, strict=True) if cost == least]


def _exact(row: SettingResult, metric: str) -> Iterator[Fraction]:
    """A row's values as fractions: of accuracy, the nearest share of a number of samples."""
    numbers = (Fraction(value) for value in row["values"] if value is not None)
    return (number.limit_denominator(MOST_SAMPLES) for number in numbers) if is_share(metric) else numbers


def _mean(values: Iterable[Fraction | None]) -> Fraction | None:
    known = [value for value in values if value is not None]
    return sum(known, Fraction()) / len(known) if known else None


def at_edge(chosen: Mapping[str, Any], axes: Mapping[str, Sequence[Any]]) -> list[str]:
    """The keys whose chosen value is the smallest or largest of the grid, so that a better one may be outside.

    Zero, and null for `clip_norm`, do not count: nothing is beyond them.
    """
    return [
        key
        for key, values in axes.items()
        if len(values) > 1 and chosen.get(key) and not isinstance(chosen[key], str) and chosen[key] in ends(values)
    ]


def ends(values: Sequence[Any]) -> tuple[float, float]:
    """The smallest and the largest value of an axis; null, which is for `clip_norm`, is above all."""
    sizes = [math.inf if value is None else value for value in values]
    return min(sizes), max(sizes)
