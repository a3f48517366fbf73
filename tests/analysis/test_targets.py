"""Epochs to a target: seed by seed, and censored where it was not reached."""

from __future__ import annotations

from typing import Any

import pytest

from clsbench.analysis.statistics import TimeToTarget
from clsbench.analysis.targets import with_times_to_target

Rows = list[dict[str, Any]]


def rows(arm: str, seed: int, *values: float | None) -> Rows:
    return [
        {
            "arm": arm,
            "seed": seed,
            "epoch": epoch,
            "test_accuracy": value,
            "status": "diverged" if value is None else "running",
        }
        for epoch, value in enumerate(values)
    ]


def told(records: Rows, seeds: int, *arms: str) -> dict[str, Any]:
    listed = [{"name": arm, "dataset": "moons", "seeds": list(range(seeds))} for arm in arms]
    summary: Any = {"arms": listed, "pairing": [{"arms": list(arms)}]}
    return {arm["name"]: arm["time_to_target"] for arm in with_times_to_target(summary, records)}


def test_target_is_near_the_best_mean_of_the_comparison() -> None:
    """95% of the highest mean of any arm at any epoch; an arm that stays below has no median, but a count."""
    records = (
        rows("a", 0, 0.2, 0.9, 0.8) + rows("a", 1, 0.2, 0.7, 0.8) + rows("b", 0, 0.1, 0.77) + rows("b", 1, 0.1, 0.5)
    )
    found = told(records, 2, "a", "b")
    assert 0.76 == pytest.approx(found["a"]["target"])
    assert ([1, 2], 1.5, 2) == tuple(found["a"][key] for key in ("epochs", "median", "reached"))
    assert ([1, None], None, 1) == tuple(found["b"][key] for key in ("epochs", "median", "reached"))


def test_first_epoch_counts_in_any_order_of_records() -> None:
    """A later fall does not undo it, and records that come epoch by epoch or trial by trial say the same."""
    records = rows("a", 0, 0.9, 0.2, 1.0)
    assert {"metric": "test_accuracy", "target": 0.95, "median": 2, "reached": 1, "n": 1, "epochs": [2]} == told(
        records[::-1], 1, "a"
    )["a"]


def test_lost_seeds_are_later_than_all() -> None:
    """A diverged seed has no epoch, wherever it was before, and counts among those that did not reach the target."""
    for lost in (rows("a", 1, None), rows("a", 1, 1.0, None)):
        found = told(rows("a", 0, 1.0) + lost, 2, "a")["a"]
        assert TimeToTarget(None, 1, 2) == TimeToTarget(found["median"], found["reached"], found["n"])


def test_without_any_number_there_is_no_target() -> None:
    """Where every seed was lost at once, nothing is said."""
    assert {"a": None} == told(rows("a", 0, None), 1, "a")
