"""Convolutional models. On a CPU their trials run one after the other: stacked convolutions are slower."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Len

from clsbench.registry import Size, model

if TYPE_CHECKING:
    from torch import nn


def _cnn_size(shape: tuple[int, ...], num_outputs: int, *, channels: Sequence[int], hidden: int) -> Size:
    depth, height, width = shape
    parameters = activations = 0
    for inputs, outputs in pairwise([depth, *channels]):
        parameters += (9 * inputs + 1) * outputs
        activations += outputs * height * width
        if min(height, width) >= 2:
            height, width = height // 2, width // 2
            activations += outputs * height * width
        activations += outputs * height * width
    last = channels[-1] * height * width
    parameters += (last + 1) * hidden + (hidden + 1) * num_outputs
    return Size(parameters, prod(shape), activations + last + 2 * hidden + num_outputs)


@model("cnn", dimensions=3, size=_cnn_size)
def cnn(
    shape: tuple[int, ...],
    num_outputs: int,
    *,
    channels: Annotated[list[Annotated[int, Ge(1)]], Len(1)] = [16, 32],  # noqa: B006 - never changed
    hidden: Annotated[int, Ge(1)] = 64,
) -> nn.Module:
    """A small convolutional network, for images.

    Per entry of `channels` a 3x3 convolution, 2x2 max-pooling (sides below two are not pooled) and ReLU, which gives
    the same result after pooling as before, on a quarter of the numbers; then one hidden layer and an affine map to
    the logits.
    """
    from torch import nn

    depth, height, width = shape
    modules: list[nn.Module] = []
    for inputs, outputs in pairwise([depth, *channels]):
        modules.append(nn.Conv2d(inputs, outputs, kernel_size=3, padding=1))
        if min(height, width) >= 2:
            modules.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        modules.append(nn.ReLU(inplace=True))
    modules += [nn.Flatten(), nn.Linear(channels[-1] * height * width, hidden), nn.ReLU(inplace=True)]
    return nn.Sequential(*modules, nn.Linear(hidden, num_outputs))
