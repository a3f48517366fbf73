"""How soon each arm comes near the best of its comparison, seed by seed."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass

from clsbench.analysis.curves import Comparison, best_mean, comparisons
from clsbench.analysis.statistics import TimeToTarget, time_to_target
from clsbench.metrics.measures import direction
from clsbench.results import ArmSummary, Compared, Records, TimeToTargetSummary

NEAR_BEST = 0.95


@dataclass(frozen=True)
class Reached:
    """The first epoch at which each seed reached `target` (None if it did not), and their summary."""

    metric: str
    target: float
    epochs: tuple[int | None, ...]

    @property
    def times(self) -> TimeToTarget:
        return time_to_target(self.epochs)

    def summary(self) -> TimeToTargetSummary:
        times = self.times
        return {
            "metric": self.metric,
            "target": self.target,
            "median": times.median,
            "reached": times.reached,
            "n": times.n,
            "epochs": list(self.epochs),
        }


def times_to_target(comparison: Comparison) -> dict[str, Reached]:
    """By arm, when its seeds came within NEAR_BEST of the best mean of the headline metric of any arm at any epoch.

    It is empty if no epoch has a mean.
    """
    metric = comparison.headline
    best = best_mean((comparison.curve(arm["name"], metric) for arm in comparison.arms), metric)
    if best is None:
        return {}
    target = NEAR_BEST * best if direction(metric) == "higher" else best / NEAR_BEST
    return {
        arm["name"]: _reached(comparison.records[arm["name"]], arm["seeds"], metric, target) for arm in comparison.arms
    }


def with_times_to_target(summary: Compared, records: Records) -> list[ArmSummary]:
    """The `arms` of a summary, each with its `time_to_target`, null where there is none.

    Args:
        summary: its `arms` and its `pairing`.
    """
    found: dict[str, Reached] = {}
    for comparison in comparisons(records, summary):
        found |= times_to_target(comparison)
    return [
        {**arm, "time_to_target": found[arm["name"]].summary() if arm["name"] in found else None}
        for arm in summary["arms"]
    ]


def _reached(records: Records, seeds: Sequence[int], metric: str, target: float) -> Reached:
    first: dict[int, int] = {}
    comes_near = operator.ge if direction(metric) == "higher" else operator.le
    over = set(records.where("status", "diverged", "failed").column("seed"))
    columns = (records.column(field) for field in ("seed", "epoch", metric))
    for seed, epoch, value in zip(*columns, strict=True):
        if value is not None and comes_near(value, target) and seed not in over:
            first[seed] = min(epoch, first.get(seed, epoch))
    return Reached(metric, target, tuple(first.get(seed) for seed in seeds))
