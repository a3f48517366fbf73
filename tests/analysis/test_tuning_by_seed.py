"""What each seed chooses that tunes inside its own split, where the seeds extended their grids differently."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from clsbench.analysis.tuning import tuning_summary
from clsbench.config.extension import extended
from clsbench.config.plan import Extension, Ground, make_plan, tuning_plan
from clsbench.execution.opening import load_data
from clsbench.experiment import read


def choices(orders: dict[int, list[float]]) -> dict[int, Any]:
    """By seed, the rate that it chooses of those beyond its grid, all equally good, after it tried them in an order."""
    dataset = {"name": "moons", "samples": 40}
    tune = {"grid": {"lr": [0.1, 1.0]}, "seeds": 1, "protocol": "per_arm_per_seed", "extend": True}
    experiment = read({"dataset": dataset, "loss": "mse_logits", "train": {"seeds": list(orders)}, "tune": tune})
    plan, tuning = make_plan(experiment), tuning_plan(experiment)
    assert tuning is not None
    for seed, rates in orders.items():
        for rate in rates:
            new: Extension = {Ground(0, seed): {"lr": (rate,)}}
            tuning = extended(experiment, tuning, new)
    records: list[Any] = [
        {
            "trial": trial.number,
            "status": "finished",
            "val_accuracy": 0.5 if trial.arm.lr in (0.1, 1.0) else 0.9,
            "val_nll": None,
            "seconds": 0.0,
        }
        for trial in tuning.trials
    ]
    data = load_data(tuning.trials, torch.device("cpu"), tuning.spared, {})
    (arm,) = tuning_summary(plan, tuning, records, data)["arms"]
    return {each["seed"]: each["chosen"]["lr"] for each in arm["by_seed"] or ()}


@pytest.mark.parametrize("others", [{}, {0: [10.0, 0.01]}, {0: [0.01, 10.0]}, {0: [10.0]}])
def test_equal_settings_are_told_apart_by_what_their_seed_tried_first(others: dict[int, list[float]]) -> None:
    """In whichever order other seeds came to the same values."""
    assert 0.01 == choices({**others, 1: [0.01, 10.0]})[1]
    assert 10.0 == choices({**others, 1: [10.0, 0.01]})[1]
