"""Small runs, whose stacks are dealt out in parts where there are several threads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import clsbench
import clsbench.shown
from clsbench.execution import scheduling
from clsbench.experiment import Result
from tests.promises.curves import MLP, MOONS, Run


@pytest.fixture(autouse=True)
def in_parts(monkeypatch: pytest.MonkeyPatch, same_threads: None) -> None:
    """Where there are several threads, every stack that can be is dealt out in parts."""
    monkeypatch.setattr(scheduling, "WORTH_A_PROCESS", 1)


@pytest.fixture
def run(tmp_path: Path, undrawn: None) -> Run:
    """`run(loss=..., optimizer=..., epochs=..., ...)`: a small run on the CPU, without its figures."""

    def small(dataset: Any = MOONS, model: Any = MLP, loss: Any = "cross_entropy", **rest: Any) -> Result:
        optimizer = rest.pop("optimizer", {})
        train = {"epochs": 2, "seeds": [4], "device": "cpu", "threads": 1, **rest}
        config = {"dataset": dataset, "model": model, "loss": loss, "optimizer": optimizer, "train": train}
        return clsbench.run(config, output=tmp_path)

    return small
