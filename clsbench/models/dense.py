"""Dense models. Their layers take parameters with or without a leading trial axis (see `layers`)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Interval, Len

from clsbench.registry import Size, model

if TYPE_CHECKING:
    from torch import nn


def _dense_size(
    shape: tuple[int, ...],
    num_outputs: int,
    *,
    hidden: Sequence[int] = (),
    batch_norm: bool = False,
    dropout: float = 0.0,
    **_: object,
) -> Size:
    widths = [prod(shape), *hidden, num_outputs]
    affine = sum((inputs + 1) * outputs for inputs, outputs in pairwise(widths))
    # Copies of each hidden value: before and after its activation, three in normalisation, two in dropout.
    copies = 2 + 3 * batch_norm + 2 * (dropout > 0)
    return Size(affine + 2 * batch_norm * sum(hidden), widths[0], copies * sum(hidden) + num_outputs)


@model("linear", stacked=True, size=_dense_size)
def linear(shape: tuple[int, ...], num_outputs: int) -> nn.Module:
    """Softmax regression: one affine map from the flattened sample to the logits."""
    from torch import nn

    from clsbench.models import layers

    return nn.Sequential(layers.Flatten(len(shape)), layers.Linear(prod(shape), num_outputs))


@model("mlp", stacked=True, size=_dense_size)
def mlp(
    shape: tuple[int, ...],
    num_outputs: int,
    *,
    hidden: Annotated[list[Annotated[int, Ge(1)]], Len(1)] = [32, 32],  # noqa: B006 - never changed
    activation: Literal["relu", "tanh", "sigmoid", "gelu"] = "relu",
    batch_norm: bool = False,
    dropout: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
) -> nn.Module:
    """A multi-layer perceptron.

    Per entry of `hidden` an affine map, batch normalisation if asked, the activation, and dropout if asked;
    then an affine map to the logits. A batch of one sample (the last of an epoch may be one) has no
    variance: it is normalised by the running statistics.
    """
    from torch import nn

    from clsbench.models import layers

    widths = [prod(shape), *hidden]
    modules: list[nn.Module] = [layers.Flatten(len(shape))]
    for inputs, outputs in pairwise(widths):
        modules.append(layers.Linear(inputs, outputs))
        if batch_norm:
            modules.append(layers.BatchNorm(outputs))
        modules.append(layers.ACTIVATIONS[activation]())
        if dropout > 0:
            modules.append(layers.Dropout(outputs, dropout))
    return nn.Sequential(*modules, layers.Linear(widths[-1], num_outputs))
