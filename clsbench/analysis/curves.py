"""Curves over seeds, and the comparisons that they belong to. Pure functions of the records."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean

from clsbench.analysis.classes import classes_of, problem_of
from clsbench.metrics.measures import direction, headline
from clsbench.problems import Problem, SingleLabel
from clsbench.results import ArmSummary, ClassCounts, Compared, Record, Records

STUCK_FROM = 0.1  # a share of stuck samples that is reported
DECADES_FROM = 100.0


@dataclass(frozen=True)
class Curve:
    """One metric of one arm by epoch: mean, minimum and maximum over the `n` seeds that have a number there.

    Nothing is imputed: a diverged seed is left out after its last finished epoch, and an epoch at which no seed has a
    number is absent.
    """

    arm: str
    metric: str
    epochs: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    n: tuple[int, ...]


@dataclass(frozen=True)
class Comparison:
    """The arms that share dataset, model and batch size, with their records: one set of axes, one table.

    `classes` counts the samples of each class of the data by split; it is empty where that is not known.
    """

    arms: tuple[ArmSummary, ...]
    records: Mapping[str, Records]
    problem: type[Problem] = SingleLabel
    classes: tuple[ClassCounts, ...] = ()

    @property
    def dataset(self) -> str:
        return self.arms[0]["dataset"]

    @property
    def model(self) -> str:
        return self.arms[0]["model"]

    @property
    def splits_vary(self) -> bool:
        """Whether every seed has a split of its own."""
        return self.arms[0]["split_seed"] == "per_seed"

    @property
    def tests_vary(self) -> bool:
        """Whether every seed is tested on samples of its own: not where the data have a test set of their own."""
        return self.splits_vary and not self.arms[0]["own_test"]

    @property
    def headline(self) -> str:
        """The field of a record that holds the headline metric on test data."""
        return headline(self.problem, "test")

    @property
    def num_seeds(self) -> int:
        """The number of seeds of an arm; of the arm with the most, where those of several runs have different ones."""
        return max(len(arm["seeds"]) for arm in self.arms)

    def num_shared_seeds(self, a: str, b: str) -> int:
        """How many seeds two arms, given by name, have in common."""
        seeds = {arm["name"]: set(arm["seeds"]) for arm in self.arms}
        return len(seeds[a] & seeds[b])

    @cached_property
    def last_epoch(self) -> int:
        return max((epoch for rows in self.records.values() for epoch in rows.column("epoch")), default=0)

    @cached_property
    def stops(self) -> bool:
        """Whether a trial was stopped before the last epoch of the comparison."""
        ends = (rows.where("status", "finished").column("epoch") for rows in self.records.values())
        return any(epoch < self.last_epoch for epochs in ends for epoch in epochs)

    def curve(self, arm: str, metric: str) -> Curve:
        """The curve of `metric` over the seeds of `arm`; it has no points if the arm has no such number."""
        return _curve(self.records[arm], arm, metric)


def comparisons(records: Iterable[Record], summary: Compared) -> list[Comparison]:
    """The comparisons of a run, one for each entry of the summary's `pairing`, in its order."""
    arms = {arm["name"]: arm for arm in summary["arms"]}
    known = Records.of(records)
    rows, nothing = known.by("arm"), known.at(())
    return [
        Comparison(
            tuple(arms[name] for name in names),
            {name: rows.get(name, nothing) for name in names},
            problem_of(summary, arms[names[0]].get("dataset", "")),
            classes_of(summary, arms[names[0]].get("dataset", "")),
        )
        for names in (entry["arms"] for entry in summary["pairing"])
        if names
    ]


def _curve(rows: Records, arm: str, metric: str) -> Curve:
    values: dict[int, list[float]] = defaultdict(list)
    for epoch, value in zip(rows.column("epoch"), rows.column(metric), strict=True):
        if value is not None and math.isfinite(value):
            values[epoch].append(float(value))
    epochs = sorted(values)
    columns = [values[epoch] for epoch in epochs]
    return Curve(
        arm=arm,
        metric=metric,
        epochs=tuple(epochs),
        mean=tuple(fmean(column) for column in columns),
        low=tuple(min(column) for column in columns),
        high=tuple(max(column) for column in columns),
        n=tuple(len(column) for column in columns),
    )


def best_mean(curves: Iterable[Curve], metric: str) -> float | None:
    """The best mean of any curve at any epoch; None if no curve has a point."""
    best = max if direction(metric) == "higher" else min
    return best((mean for curve in curves for mean in curve.mean), default=None)


def spans_decades(values: Sequence[float]) -> bool:
    """Whether `values` span so many decades that a linear axis would flatten most of them."""
    return min(values) > 0 and max(values) / min(values) >= DECADES_FROM


def final_mean(arm: ArmSummary, metric: str) -> float | None:
    """The mean over seeds of `metric` at the last epoch, as the summary has it."""
    statistic = arm["metrics"].get(metric)
    mean = None if statistic is None else statistic["mean"]
    return mean if mean is not None and math.isfinite(mean) else None


def ranked(comparison: Comparison) -> list[ArmSummary]:
    """The arms that have a final mean of the headline metric, best first; ties keep their order."""
    scored = [(mean, arm) for arm in comparison.arms if (mean := final_mean(arm, comparison.headline)) is not None]
    sign = -1 if direction(comparison.headline) == "higher" else 1
    return [arm for _, arm in sorted(scored, key=lambda pair: sign * pair[0])]


def leading(comparison: Comparison, limit: int) -> list[ArmSummary]:
    """The `limit` best arms by the headline metric, in their original order."""
    best = [arm["name"] for arm in ranked(comparison)]
    known = set(best)
    rest = [arm["name"] for arm in comparison.arms if arm["name"] not in known][: max(0, limit - len(best))]
    kept = {*best[:limit], *rest}
    return [arm for arm in comparison.arms if arm["name"] in kept]


def seconds_per_trial(records: Iterable[Record]) -> float | None:
    """The mean over trials of the training time that each had used by its last record; None without records."""
    last: dict[int, float] = {}
    known = Records.of(records)
    for trial, seconds in zip(known.column("trial"), known.column("seconds"), strict=True):
        last[trial] = max(seconds, last.get(trial, 0.0))
    return fmean(last.values()) if last else None
