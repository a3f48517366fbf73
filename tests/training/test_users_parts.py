"""Losses and models of the user's own, in the engine: any module, any function of a batch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import clsbench
import clsbench.experiment  # registers what clsbench brings
from clsbench.registry import load_plugin

PLUGIN = """
import clsbench
import torch
from clsbench.models.layers import Elementwise, Linear
from clsbench.registry import Size
from torch import nn


@clsbench.loss("counting", stacked=True)
def counting(logits, targets):
    '''Cross-entropy, trial by trial, where there are several.'''
    if logits.dim() == 2:
        return nn.functional.cross_entropy(logits, targets, reduction="none")
    return torch.stack([counting(logits[trial], targets[trial]) for trial in range(len(logits))])


def softened(x):
    return torch.cat([x[trial : trial + 1].tanh() for trial in range(len(x))])


@clsbench.model("counting", stacked=True, size=lambda shape, num_outputs: Size(10 * num_outputs, 2, 10))
def counting_model(shape, num_outputs):
    '''A layer that goes through the trials, between two of clsbench.'''
    return nn.Sequential(Linear(shape[0], 4), Elementwise(softened), Linear(4, num_outputs))


@clsbench.loss("summed")
def summed(logits, targets):
    '''Cross-entropy, summed over the batch.'''
    return nn.functional.cross_entropy(logits, targets, reduction="sum")


class Masked(nn.Module):
    def __init__(self, features):
        super().__init__()
        self.register_buffer("mask", torch.arange(features) % 2 == 0)
        self.register_buffer("scratch", torch.zeros(3), persistent=False)
        self.unused = nn.Parameter(torch.ones(2))

    def forward(self, x):
        return x * self.mask


@clsbench.model("frozen")
def frozen(shape, num_outputs):
    '''A fixed random layer, dropout, and a layer that learns.'''
    body = nn.Linear(shape[0], 16).requires_grad_(False)
    return nn.Sequential(body, nn.Tanh(), Masked(16), nn.Dropout(0.5), nn.Linear(16, num_outputs))
"""


@pytest.fixture
def plugin(tmp_path: Path) -> None:
    """The catalogue with the user's parts, for one test."""
    (tmp_path / "parts.py").write_text(PLUGIN)
    load_plugin(tmp_path / "parts.py")


def config(**parts: Any) -> dict[str, Any]:
    train = {"epochs": 2, "seeds": 2, "device": "cpu", "batch_size": 16}
    return {"dataset": {"name": "moons", "samples": 100}, "train": train, "report": "off", **parts}


@pytest.mark.usefixtures("plugin")
def test_a_loss_of_a_batch_is_measured_by_the_sample(tmp_path: Path) -> None:
    """A summed loss pulls on each sample as cross-entropy does, and its running mean is over batches."""
    result = clsbench.run(config(loss=["summed", "cross_entropy"], optimizer={"lr": 0.001}), output=tmp_path)
    start = {record["loss"]: record for record in result.records if (record["epoch"], record["seed"]) == (0, 0)}
    for key in ("train_loss", "logit_grad_norm", "stuck_share"):
        assert pytest.approx(start["cross_entropy"][key], rel=1e-5) == start["summed"][key]
    for record in result.records:
        if record["loss"] == "summed" and record["epoch"] > 0:
            # Sixty samples: three batches of sixteen and one of twelve, each weighed by its size.
            assert 12 * record["train_nll"] < record["train_loss"] < 16 * record["train_nll"] * 1.05


@pytest.mark.usefixtures("plugin")
def test_a_model_of_ones_own_keeps_what_it_freezes(tmp_path: Path) -> None:
    """Frozen weights stay, buffers of any name are kept, dropout repeats, and the model reads back."""
    once, twice = (clsbench.run(config(model="frozen"), output=tmp_path) for _ in range(2))
    for ours, theirs in zip(once.records, twice.records, strict=True):
        assert {**ours, "seconds": 0} == {**theirs, "seconds": 0}
    model, predict = clsbench.load_model(once.directory, 0)
    other, _ = clsbench.load_model(once.directory, 2)
    body, head = model.get_submodule("0"), model.get_submodule("4")
    assert torch.equal(body.weight, other.get_submodule("0").weight)  # the other loss's arm started so, too
    assert not torch.equal(head.weight, other.get_submodule("4").weight)
    assert 5 == len(predict(torch.randn(5, 2)).classes)


@pytest.mark.slow
@pytest.mark.compiler
@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize("part", [{"loss": "counting"}, {"model": "counting"}], ids=["loss", "model"])
def test_parts_that_count_trials_are_compiled(part: dict[str, str], tmp_path: Path) -> None:
    """A compiled step learns what an eager one learns, where a user's part looks at the number of trials."""
    parts = {"loss": "cross_entropy", "model": {"name": "mlp", "hidden": [4]}, **part}
    eager, compiled = (
        clsbench.run(config(**parts, train={**config()["train"], "batch_size": 60, "compile": how}), output=tmp_path)
        for how in ("off", "on")
    )
    assert ("eager", "compiled") == (eager.summary["engine"]["mode"], compiled.summary["engine"]["mode"])
    ours, theirs = (torch.tensor([row["train_loss"] for row in run.records]) for run in (eager, compiled))
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
