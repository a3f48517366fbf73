"""Reduction of a loss with one term per output to one number per sample."""

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
