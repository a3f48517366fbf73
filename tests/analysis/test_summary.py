"""An arm's line of the summary."""

from __future__ import annotations

from clsbench.analysis.summary import arm_summary, last_records
from clsbench.config.plan import make_plan
from clsbench.config.reader import read_mapping


def test_failed_seed_has_no_metrics_however_far_it_came() -> None:
    """Whatever its last record says: what was measured half way is no result."""
    (arm,) = make_plan(read_mapping({"dataset": "moons", "model": "linear", "loss": "bce"})).arms
    rows = [
        {"arm": arm.name, "seed": seed, "epoch": 3, "test_accuracy": 0.5 + seed, "seconds": 2.0, "status": "running"}
        for seed in (0, 1)
    ]
    summary = arm_summary(
        arm,
        [0, 1],
        last_records(rows)[arm.name],
        {1: "ValueError: no"},
        {"cross": None, "reliability": None, "confusion": None},
    )
    assert {"mean": 0.5, "std": None, "n": 1, "values": [0.5, None]} == summary["metrics"]["test_accuracy"]
    assert ({"1": "ValueError: no"}, 2.0) == (summary["failures"], summary["seconds"])
