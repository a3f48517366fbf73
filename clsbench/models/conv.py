"""Convolutional models. On a CPU their trials run one after the other: stacked convolutions are slower."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Annotated, NamedTuple

from annotated_types import Ge, Len

from clsbench.registry import Size, model

if TYPE_CHECKING:
    from torch import nn


class _Block(NamedTuple):
    """A convolution: its channels, the pixels of its output, whether they are pooled, and the pixels after that."""

    inputs: int
    outputs: int
    pixels: int
    pooled: bool
    left: int


def _blocks(shape: tuple[int, ...], channels: Sequence[int]) -> Iterator[_Block]:
    depth, height, width = shape
    for inputs, outputs in pairwise([depth, *channels]):
        pixels, pooled = height * width, min(height, width) >= 2
        if pooled:
            height, width = height // 2, width // 2
        yield _Block(inputs, outputs, pixels, pooled, height * width)


def _cnn_size(shape: tuple[int, ...], num_outputs: int, *, channels: Sequence[int], hidden: int) -> Size:
    parameters = activations = last = 0
    for block in _blocks(shape, channels):
        parameters += (9 * block.inputs + 1) * block.outputs
        last = block.outputs * block.left
        activations += block.outputs * block.pixels + last * (1 + block.pooled)
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

    modules: list[nn.Module] = []
    last = 0
    for block in _blocks(shape, channels):
        modules.append(nn.Conv2d(block.inputs, block.outputs, kernel_size=3, padding=1))
        if block.pooled:
            modules.append(nn.MaxPool2d(2))
        modules.append(nn.ReLU(inplace=True))
        last = block.outputs * block.left
    modules += [nn.Flatten(), nn.Linear(last, hidden), nn.ReLU(inplace=True)]
    return nn.Sequential(*modules, nn.Linear(hidden, num_outputs))
