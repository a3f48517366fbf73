"""Which setting of the grid is best, by validation data alone. Pure: records in, `summary.json`'s `tuning` out."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from clsbench.analysis.verdicts import direction
from clsbench.config.plan import Arm, Plan

Record = Mapping[str, Any]
Row = dict[str, Any]


def tuning_summary(plan: Plan, tuning: Plan, records: Iterable[Record]) -> dict[str, Any]:
    """What tuning found and what it cost, as `summary.json` has it.

    Args:
        plan: the experiment's own, whose arms are tuned.
        tuning: the plan of every arm at every setting of the grid.
        records: those of `tuning`.

    Returns:
        `{protocol, metric, seeds, grid, trials, seconds, arms: [{name, chosen, at_edge, sensitivity: [{settings,
        mean, std, n, values, diverged}]}]}`: the arms in the plan's order, the settings in grid order, `values` by
        tuning seed, null where diverged; a trial that failed counts as diverged.
    """
    tune = plan.experiment.tune
    assert tune is not None
    last = {record["trial"]: record for record in records}
    found = _by_setting(tuning, last)
    tried = {
        arm.name: [
            {"settings": settings, **_over_seeds(found[_key(arm, settings)], tune.metric)}
            for settings in tune.grid.settings
        ]
        for arm in plan.arms
    }
    chosen: dict[str, Mapping[str, Any]] = {}
    for arms in plan.comparisons:
        names = [arm.name for arm in arms]
        together = [names] if tune.protocol == "shared" else [[name] for name in names]
        for group in together:
            place = choose([tried[name] for name in group], tune.metric)
            chosen |= dict.fromkeys(group, tune.grid.settings[place])
    return {
        "protocol": tune.protocol,
        "metric": tune.metric,
        "seeds": list(tune.seed_range),
        "grid": {key: list(values) for key, values in tune.grid.axes.items()},
        "trials": len(tuning.trials),
        "seconds": round(math.fsum(record["seconds"] for record in last.values()), 6),
        "arms": [
            {
                "name": name,
                "chosen": dict(chosen[name]),
                "at_edge": at_edge(chosen[name], tune.grid.axes),
                "sensitivity": rows,
            }
            for name, rows in tried.items()
        ],
    }


def choose(arms: Sequence[Sequence[Mapping[str, Any]]], metric: str) -> int:
    """The place in the grid of the best setting for one arm, or of the best one for several that share it.

    The fewest diverged seeds go first, so that a setting at which any seed of any arm diverged loses to any at which
    none did; then the mean over arms of their mean over seeds, which `metric`'s direction says how to compare; of
    equal settings the first in grid order.

    Why the mean of the metric and not of its ranks: all arms are measured by one ruler, so their values add up, and
    ranks would let an arm that no setting moves weigh as much as one that some setting saves.

    Args:
        arms: each arm's rows, one a setting, in grid order, with their `mean` (None where no seed has a number) and
            `diverged`.
        metric: what they are the means of.
    """
    sign = -1 if direction(metric) == "higher" else 1

    def cost(place: int) -> tuple[int, float]:
        rows = [rows[place] for rows in arms]
        means = [row["mean"] for row in rows if row["mean"] is not None]
        return sum(row["diverged"] for row in rows), sign * statistics.fmean(means) if means else math.inf

    return min(range(len(arms[0])), key=cost)


def at_edge(chosen: Mapping[str, Any], axes: Mapping[str, Sequence[Any]]) -> list[str]:
    """The keys whose chosen value is the least or the greatest of the grid, so that a better one may lie outside.

    Zero, and null for `clip_norm`, are ends by nature: beyond them there is nothing to try.
    """
    return [key for key, values in axes.items() if len(values) > 1 and chosen[key] and chosen[key] in _ends(values)]


def _ends(values: Sequence[Any]) -> tuple[float, float]:
    sizes = [math.inf if value is None else value for value in values]
    return min(sizes), max(sizes)


def _by_setting(tuning: Plan, last: Mapping[int, Record]) -> dict[tuple[Any, ...], list[Record]]:
    """The last records of each arm of tuning, seed by seed."""
    rows: dict[tuple[Any, ...], list[Record]] = {}
    for trial in tuning.trials:
        rows.setdefault(_key(trial.arm, {}), []).append(last[trial.number])
    return rows


def _key(arm: Arm, settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells an arm, given other settings, from all others: its ground, its loss and its settings."""
    return (arm.comparison, arm.loss.key, *{**arm.settings, **settings}.values())


def _over_seeds(rows: Sequence[Record], metric: str) -> Row:
    lost = [row["status"] in ("diverged", "failed") for row in rows]
    values = [None if gone else row[metric] for row, gone in zip(rows, lost, strict=True)]
    known = [value for value in values if value is not None]
    return {
        "mean": statistics.fmean(known) if known else None,
        "std": statistics.stdev(known) if len(known) > 1 else None,
        "n": len(known),
        "values": values,
        "diverged": sum(lost),
    }
