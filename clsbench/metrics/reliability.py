"""Reliability of the confidence of the predicted class, in bins of equal width."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

NUM_BINS = 15
COLUMNS = ("count", "confidence", "correct")


def by_bin(confidence: Tensor, values: Tensor) -> Tensor:
    """`[..., B]` and `[..., B]` to `[..., 15]`: the sum of the values in each bin of confidence.

    A bin includes its upper end; NaN falls into the first bin.
    """
    bins = (confidence * NUM_BINS).ceil_().nan_to_num_(0.0).long().clamp_(1, NUM_BINS).sub_(1)
    return values.new_zeros(*values.shape[:-1], NUM_BINS).scatter_add_(-1, bins, values)


def reliability(log_probabilities: Tensor, predictions: Tensor, targets: Tensor) -> Tensor:
    """`[..., 3, 15]`: for each bin, its samples, the sum of their confidence and how many are right."""
    import torch

    confidence = log_probabilities.amax(-1).exp()
    right = (predictions == targets).double()
    columns = (torch.ones_like(right), confidence.double(), right)
    return torch.stack([by_bin(confidence, values) for values in columns], -2)
