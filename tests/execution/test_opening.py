"""Opening datasets: how often one is read, and what is held of its splits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import clsbench
from clsbench.config.plan import tuning_plan
from clsbench.config.reader import read_mapping
from clsbench.execution.opening import load_data

CPU = torch.device("cpu")


@pytest.mark.parametrize(("drawn", "times"), [(False, 1), (True, 5)])
def test_data_whose_seed_draws_nothing_are_read_once(drawn: bool, times: int) -> None:
    """However many splits are trained on, and others held out: here two of tuning and three of the experiment."""
    read: list[int] = []

    @clsbench.dataset("counted", drawn=drawn)
    def counted(seed: int) -> Any:
        """Points on a line, of two classes."""
        read.append(seed)
        return np.arange(300.0)[:, None] + (1000 * seed if drawn else 0), np.arange(300) % 2

    config = {"dataset": {"name": "counted", "split_seed": "per_seed", "test_fraction": 0.1}, "train": {"seeds": 3}}
    plan = tuning_plan(read_mapping({**config, "tune": {"grid": {"lr": [0.1, 1.0]}, "seeds": 2}}))
    assert plan is not None
    data = load_data(plan.trials, CPU, plan.spared)
    assert 2 == len({splits.hash for splits in data.values()})
    assert times == len(read)
