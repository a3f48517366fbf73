"""The arms of `summary.json`: their final metrics over seeds."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence

from clsbench.config.plan import Arm
from clsbench.metrics.measures import field_of, measured
from clsbench.problems import Problem
from clsbench.results import ArmCross, ArmSummary, Record, Statistic, classes_in, value_of


def last_records(records: Iterable[Record]) -> dict[str, dict[int, Record]]:
    """By arm and seed, the last record of each trial."""
    last: dict[str, dict[int, Record]] = {}
    for record in records:
        last.setdefault(record["arm"], {})[record["seed"]] = record
    return last


def arm_summary(
    arm: Arm,
    seeds: Sequence[int],
    last: Mapping[int, Record],
    failures: Mapping[int, str],
    crossed: ArmCross,
    problem: Problem | None = None,
) -> ArmSummary:
    """One arm of `summary.json`, from the last record of each of its trials, by seed; without its time to target.

    `failures` holds, by seed, the reason of a failure; a failed trial has no metrics. They are those of the `problem`.
    """
    rows = [last[seed] for seed in seeds if seed in last]
    finished = [None if seed in failures else last.get(seed) for seed in seeds]
    return {
        "name": arm.name,
        "loss": arm.loss.name,
        "label": arm.loss.title,
        "setting": arm.setting,
        "dataset": arm.dataset.title,
        "split_seed": arm.dataset.split_seed,
        "own_test": arm.dataset.test_fraction is None,
        "model": arm.model.title,
        "batch_size": arm.batch_size,
        "lr": None if "optimizer.lr" in arm.varied else arm.lr,
        "seeds": list(seeds),
        "failures": {str(seed): failures[seed] for seed in seeds if seed in failures},
        "diverged": sum(row["status"] == "diverged" for row in rows),
        "metrics": {
            name: over_seeds([None if row is None else value_of(row, name) for row in finished])
            for name in fields_of((row for row in finished if row is not None), problem)
        },
        "seconds": round(statistics.fmean(last[seed]["seconds"] if seed in last else 0.0 for seed in seeds), 6),
        "cross": crossed["cross"],
        "reliability": crossed["reliability"],
        "confusion": crossed["confusion"],
        "time_to_target": None,
    }


def fields_of(records: Iterable[Record], problem: Problem | None) -> list[str]:
    """The fields of records of a problem that hold a number, those by class once for each class that a record has."""
    rows, found = list(records), list[str]()
    for name, each in measured(problem).items():
        if each.by_class:
            found += dict.fromkeys(field_of(name, of_class) for row in rows for of_class in classes_in(row, name))
        else:
            found.append(name)
    return found


def over_seeds(values: Sequence[float | None]) -> Statistic:
    """A number by seed, None for a seed that has none."""
    known = [value for value in values if value is not None]
    return {
        "mean": statistics.mean(known) if known else None,  # exact, so that every caller gets the same bits
        "std": statistics.stdev(known) if len(known) > 1 else None,
        "n": len(known),
        "values": list(values),
    }
