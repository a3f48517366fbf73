"""Runs that are cut and go on, and what their ends have in common."""

from __future__ import annotations

from typing import Any

import torch

import clsbench
from clsbench.registry import catalogue

Config = dict[str, Any]

OF_ONE_CLASS = {loss.name for loss in catalogue.losses() if "single_label" in loss.problems}  # a sample
MOONS = {"name": "moons", "samples": 90}
MLP = {"name": "mlp", "hidden": [8], "batch_norm": True, "dropout": 0.2}
TRAIN = {"epochs": 4, "seeds": 2, "device": "cpu", "threads": 1}
TINY: Config = {"name": "tiny", "dataset": MOONS, "model": MLP, "loss": ["mse_softmax", "bce"], "train": TRAIN}
TINY["report"] = {"figures": False}


def untimed(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**record, "seconds": None} for record in records]


def weights(result: clsbench.Result) -> list[Any]:
    return [clsbench.load_model(result.directory, trial)[0].state_dict() for trial in range(len(result.records) // 5)]


def assert_same_end(whole: clsbench.Result, resumed: clsbench.Result) -> None:
    assert untimed(whole.records) == untimed(resumed.records)
    for key in ("status", "pairing", "verdicts", "expectations"):
        assert whole.summary[key] == resumed.summary[key]
    torch.testing.assert_close(weights(whole), weights(resumed), rtol=0, atol=0)
    assert (whole.directory / "replay.npz").read_bytes() == (resumed.directory / "replay.npz").read_bytes()
