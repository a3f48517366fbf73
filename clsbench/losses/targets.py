"""How a loss that has one term per output becomes one number per sample, and the labels' encoding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Reduction = Literal["sum", "mean", "half"]


def over_outputs(terms: Tensor, reduction: Reduction) -> Tensor:
    """`[..., B, K] -> [..., B]`: the sum over outputs, their mean, or half the sum.

    Mean and sum differ K-fold in value and in gradient, which is the same as another learning rate.
    """
    if reduction == "mean":
        return terms.mean(-1)
    total = terms.sum(-1)
    return total / 2 if reduction == "half" else total


def one_hot(targets: Tensor, like: Tensor) -> Tensor:
    """`[..., B] -> [..., B, K]` in the shape and dtype of `like`: 1 at the target, 0 elsewhere."""
    return like.new_zeros(like.shape).scatter_(-1, targets.unsqueeze(-1), 1.0)


def at_target(values: Tensor, targets: Tensor) -> Tensor:
    """`[..., B, K], [..., B] -> [..., B]`: each sample's value at its target."""
    return values.gather(-1, targets.unsqueeze(-1)).squeeze(-1)
