"""The arms of `summary.json`: their final metrics over seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence

from clsbench.config.arms import Arm
from clsbench.metrics.measures import field_of, measured
from clsbench.problems import Problem
from clsbench.results import ArmCross, ArmSummary, Record, Records, Statistic


def last_records(records: Iterable[Record]) -> dict[str, Records]:
    """By arm, the last record of each trial."""
    last: dict[str, Records] = {}
    for arm, rows in Records.of(records).by("arm").items():
        place_of = {seed: place for place, seed in enumerate(rows.column("seed"))}
        last[arm] = rows.at(place_of.values())
    return last


def arm_summary(
    arm: Arm,
    seeds: Sequence[int],
    last: Records,
    failures: Mapping[int, str],
    crossed: ArmCross,
    problem: Problem | None = None,
    *,
    own_test: bool = False,
) -> ArmSummary:
    """One arm of `summary.json`, from the last record of each of its trials; without its time to target.

    `failures` holds, by seed, the reason of a failure; a failed trial has no metrics. They are those of the `problem`.
    `own_test`: as in the summary.
    """
    place_of = {seed: place for place, seed in enumerate(last.column("seed"))}
    kept = last.at(place_of[seed] for seed in seeds if seed in place_of)
    finished = [None if seed in failures else place_of.get(seed) for seed in seeds]
    return {
        "name": arm.name,
        "loss": arm.loss.name,
        "label": arm.loss.title,
        "setting": arm.setting,
        "dataset": arm.dataset.title,
        "split_seed": arm.dataset.split_seed,
        "own_test": own_test,
        "model": arm.model.title,
        "batch_size": arm.batch_size,
        "lr": None if "optimizer.lr" in arm.varied else arm.lr,
        "seeds": list(seeds),
        "failures": {str(seed): failures[seed] for seed in seeds if seed in failures},
        "diverged": kept.column("status").count("diverged"),
        "metrics": {
            name: over_seeds(_chosen(last.column(name), finished))
            for name in fields_of(last.at(place for place in finished if place is not None), problem)
        },
        "seconds": round(math.fsum(kept.column("seconds")) / len(seeds), 6),
        "cross": crossed["cross"],
        "reliability": crossed["reliability"],
        "confusion": crossed["confusion"],
        "time_to_target": None,
    }


def _chosen(column: Sequence[float | None], places: Sequence[int | None]) -> list[float | None]:
    """The values at some places."""
    return [None if place is None else column[place] for place in places]


def fields_of(records: Records, problem: Problem | None) -> list[str]:
    """The fields of records of a problem that hold a number, those by class once for each class that a record has."""
    found = list[str]()
    for name, each in measured(problem).items():
        if each.by_class:
            divided = records.column(name)
            found += dict.fromkeys(field_of(name, of_class) for value in divided for of_class in value or ())
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
