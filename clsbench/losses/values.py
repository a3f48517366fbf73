"""Losses on values: the distance of raw outputs from targets that may be any number, summed over a sample's values.

Training sees targets standardised, so that a distance of 1 is a standard deviation of the training targets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt

from clsbench.registry import ProblemName, loss

if TYPE_CHECKING:
    from torch import Tensor

PROBLEMS: tuple[ProblemName, ...] = ("regression",)


@loss("mse", link="identity", stacked=True, problems=PROBLEMS, aliases=("MSELoss", "mean_squared_error"))
def mse(logits: Tensor, targets: Tensor) -> Tensor:
    """Squared error on raw outputs: sum_i (z_i - y_i)^2, which the conditional mean minimises.

    The gradient on an output is 2 (z - y): samples far off decide.
    """
    return (logits - targets).square().sum(-1)


@loss("mae", link="identity", stacked=True, problems=PROBLEMS, aliases=("L1Loss", "mean_absolute_error"))
def mae(logits: Tensor, targets: Tensor) -> Tensor:
    """Absolute error on raw outputs: sum_i |z_i - y_i|, which the conditional median minimises.

    The gradient on an output is 1 or -1 however near the target is, so that a constant learning rate never settles.
    """
    return (logits - targets).abs().sum(-1)


@loss("huber", link="identity", stacked=True, problems=PROBLEMS, aliases=("HuberLoss",))
def huber(logits: Tensor, targets: Tensor, *, delta: Annotated[float, Gt(0)] = 1.0) -> Tensor:
    """Huber loss on raw outputs: e^2 / 2 up to |e| = delta, beyond it delta (|e| - delta / 2), e = z - y, summed.

    The gradient on an output is e, cut off at `delta` on either side: outliers pull no more than that. `delta` is in
    standard deviations of the training targets.
    Source: Huber 1964, Robust Estimation of a Location Parameter, equation 1.
    """
    size = (logits - targets).abs()
    within = size.clamp(max=delta)
    return (within * (size - within / 2)).sum(-1)
