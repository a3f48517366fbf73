"""Small runs, whose stacks are dealt out in parts where there are several threads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import clsbench
import clsbench.shown
from clsbench.execution import scheduling
from clsbench.experiment import Result
from tests.promises.curves import MLP, MOONS, Run


@pytest.fixture(autouse=True)
def threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """They are put back; where there are several, every stack that can be is dealt out in parts."""
    monkeypatch.setattr(scheduling, "WORTH_A_PROCESS", 1)
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run(loss=..., optimizer=..., epochs=..., ...)`: a small run on the CPU, without its figures."""
    monkeypatch.setattr(clsbench.shown, "figures", lambda *_: {})

    def small(dataset: Any = MOONS, model: Any = MLP, loss: Any = "cross_entropy", **rest: Any) -> Result:
        optimizer = rest.pop("optimizer", {})
        train = {"epochs": 2, "seeds": [4], "device": "cpu", "threads": 1, **rest}
        config = {"dataset": dataset, "model": model, "loss": loss, "optimizer": optimizer, "train": train}
        return clsbench.run(config, output=tmp_path)

    return small
