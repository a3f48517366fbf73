"""What a step of a trial multiplies, by which its threads are chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import clsbench
from clsbench.config.memory import size_of
from clsbench.config.plan import make_plan
from clsbench.execution.opening import load_data, posed_of
from clsbench.execution.sizes import multiplications
from clsbench.experiment import read

BATCH = 16


class Own(nn.Module):
    """A layer whose code is not known: a matrix that may be used at every pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.ones(64, 10))

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1) @ self.matrix


class Rows(nn.Module):
    """A layer that is used eight times for each sample, once a row."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.squeeze(1)).sum(1)


class Broken(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        raise RuntimeError


def flat() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def convolutional() -> nn.Module:
    layers = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Conv2d(4, 8, 3, groups=4), nn.Flatten()
    return nn.Sequential(*layers, nn.Linear(8 * 36, 10))


def transposed() -> nn.Module:
    return nn.Sequential(nn.ConvTranspose2d(1, 2, 3), nn.Flatten(), nn.Linear(2 * 100, 10))


def counted(model: Any) -> int | None:
    """Those of a model on digits, 1 x 8 x 8 pixels."""
    config = {"dataset": "digits", "model": model, "loss": "cross_entropy", "train": {"batch_size": BATCH}}
    plan = make_plan(read(config))
    (data,) = load_data(plan.trials[:1], torch.device("cpu")).values()
    arm = plan.trials[0].arm
    return multiplications(arm, size_of(arm.model, arm.loss, posed_of(data)), data.shape, 10)


@pytest.mark.parametrize(
    ("build", "by_sample"),
    [
        (flat, 64 * 32 + 32 * 10),
        (convolutional, 64 * 4 * 9 + 36 * 8 * 9 + 8 * 36 * 10 + 64 * 8),
        (transposed, 64 * 2 * 9 + 200 * 10),
        (Rows, 8 * 8 * 10),
        (Own, 64 * 640),
    ],
)
def test_products_of_a_users_model(build: Callable[[], nn.Module], by_sample: int) -> None:
    """Layers are counted as they run on a sample; what is not a layer counts as if it were used at every pixel."""

    @clsbench.model("own")
    def own(shape: tuple[int, ...], num_outputs: int) -> nn.Module:
        return build()

    assert BATCH * by_sample == counted("own")


def test_model_that_cannot_run_is_not_counted() -> None:
    """Training says what is wrong with it."""

    @clsbench.model("own")
    def own(shape: tuple[int, ...], num_outputs: int) -> nn.Module:
        return Broken()

    assert counted("own") is None


def test_products_of_known_models() -> None:
    """A dense one uses each weight once; a convolution is counted pixel by pixel."""
    assert BATCH * (64 * 32 + 32 + 32 * 10 + 10) == counted({"name": "mlp", "hidden": [32]})
    at_pixels, after_pooling = 64 * 9 * 4, 16 * 4
    by_sample = at_pixels + after_pooling * 8 + 8 * 10
    assert BATCH * by_sample == counted({"name": "cnn", "channels": [4], "hidden": 8})
