"""What tests of many files train compiled: the same steps, so that a session compiles their graph once."""

from __future__ import annotations

from typing import Any

PARTS: dict[str, Any] = {
    "dataset": {"name": "moons", "samples": 333},
    "model": {"name": "mlp", "hidden": [13], "batch_norm": True, "dropout": 0.2},
    "loss": "focal",
    "optimizer": {"momentum": 0.9},
}
TRAIN: dict[str, Any] = {"batch_size": 120, "compile": "on"}  # two steps an epoch, which one traced graph takes
WARM_START: dict[str, Any] = {"epochs": 1, "lr": 0.1}
