"""Dense models. Their layers take parameters with or without a leading trial axis (see `layers`)."""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Interval, Len

from clsbench.registry import model

if TYPE_CHECKING:
    from torch import nn


@model("linear", stacked=True)
def linear(shape: tuple[int, ...], num_outputs: int) -> nn.Module:
    """Softmax regression: one affine map from the flattened sample to the logits."""
    from torch import nn

    from clsbench.models import layers

    return nn.Sequential(layers.Flatten(len(shape)), layers.Linear(prod(shape), num_outputs))


@model("mlp", stacked=True)
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
    deviation to be normalised by: it is normalised by the running statistics.
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
