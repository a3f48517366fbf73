"""On a GPU: the host never waits for it inside an epoch, and it learns what the CPU learns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

import clsbench.losses
import clsbench.models
import clsbench.training  # noqa: F401 - the rooms register what they offer
from clsbench.losses.contract import build_loss
from clsbench.models.initialisation import initial_module
from clsbench.problems import SingleLabel
from clsbench.registry import catalogue
from clsbench.training import loop
from clsbench.training.epoch import Epochs
from clsbench.training.loop import Row, train
from clsbench.training.rng import generator_for
from clsbench.training.settings import Precision, StackData, StackSettings, TrialSettings
from clsbench.training.stack import Stack

pytestmark = pytest.mark.cuda

SIZE, FEATURES, CLASSES = 700, 4, 3
MLP = {"hidden": [8], "batch_norm": True, "dropout": 0.2}


def clouds() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(CLASSES, (SIZE,), generator=generator)
    x = torch.nn.functional.one_hot(y, FEATURES) * 2.0 + torch.randn(SIZE, FEATURES, generator=generator)
    return x, y


def trained(device: torch.device, loss: str = "cross_entropy", **how: Any) -> Iterator[loop.EpochResult]:
    defaults = {option.name: option.default for option in catalogue.get("loss", loss).options.values()}
    bound, build = build_loss(loss, SingleLabel(CLASSES), defaults), catalogue.get("model", "mlp").factory

    def network(seed: int) -> torch.nn.Module:
        return initial_module(
            lambda: build((FEATURES,), bound.num_outputs, **MLP),
            generator_for("weights", seed),
            weights="default",
            scale=1.0,
            bias="default",
        )

    x, y = (part.to(device) for part in clouds())
    optimizer = how.get("optimizer", "sgd")
    options = {"momentum": 0.9} if optimizer == "sgd" else {}
    trials = [TrialSettings(seed=seed, lr=0.05, options=options) for seed in range(3)]
    stack = Stack([network(trial.seed) for trial in trials], stacked=True, device=device)
    return train(stack, trials, bound, StackData((x, y), val=(x, y)), StackSettings(batch_size=64, epochs=2, **how))


@pytest.mark.parametrize(
    ("optimizer", "precision"), [("sgd", "float32"), ("adam", "float32"), ("rmsprop", "float32"), ("adamw", "bfloat16")]
)
@pytest.mark.parametrize("loss", [component.name for component in catalogue.all("loss")])
def test_the_host_does_not_wait_inside_an_epoch(
    monkeypatch: pytest.MonkeyPatch, loss: str, precision: Precision, optimizer: str
) -> None:
    """From an epoch's first step to its last, with what is added up of its logits, nothing waits for the GPU."""
    logits = Epochs.logits

    def watched(*arguments: Any) -> Iterator[tuple[Tensor, Tensor]]:
        torch.cuda.set_sync_debug_mode("error")
        try:
            yield from logits(*arguments)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(Epochs, "logits", watched)
    results = list(trained(torch.device("cuda"), loss, precision=precision, optimizer=optimizer))
    assert [0, 1, 2] == [result.epoch for result in results]


@pytest.mark.parametrize("how", [{}, {"compiled": True}], ids=["eager", "compiled"])
def test_the_gpu_learns_what_the_cpu_learns(how: dict[str, Any]) -> None:
    """Batches, dropout and weights are the CPU's; the curves differ by rounding alone."""

    def rows(device: str, **how: Any) -> list[Row | None]:
        return [row for result in trained(torch.device(device), **how) for row in result.rows]

    for ours, theirs in zip(rows("cuda", **how), rows("cpu"), strict=True):
        assert ours is not None
        assert theirs is not None
        for key in ("train_loss", "val_nll", "logit_grad_norm"):
            assert pytest.approx(theirs[key], rel=1e-3, abs=1e-4) == ours[key]
