"""Softmax, and targets over a last axis of classes: class numbers encoded, multi-hot and soft ones as they are.

Class numbers are integers, `[..., B]`; multi-hot and soft targets are floating-point, `[..., B, K]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

# Over a last axis of fewer classes than this, PyTorch computes row by row, ten times slower than over the axis before.
MANY_CLASSES = 32


def log_softmax(logits: Tensor) -> Tensor:
    """`[..., B, K] -> [..., B, K]`: log-probabilities, over the last axis."""
    # The samples at the end of a batch that fill no vector of the processor are computed by another formula: the last
    # bit of a value may depend on its place in the batch, never on the samples and trials beside it.
    if logits.shape[-1] < MANY_CLASSES:
        return logits.mT.contiguous().log_softmax(-2).mT
    return logits.log_softmax(-1)


def softmax(logits: Tensor) -> Tensor:
    """`[..., B, K] -> [..., B, K]`: probabilities, over the last axis."""
    # PyTorch's own computes the end of an array by another formula; its logarithm does not.
    return log_softmax(logits).exp()


def one_hot(targets: Tensor, like: Tensor) -> Tensor:
    """`[..., B] -> [..., B, K]`, with the classes and the dtype of `like [..., B, K]`: 1 at the target, 0 elsewhere.

    Multi-hot and soft targets are encoded already.
    """
    if is_encoded(targets):
        return targets.to(like.dtype)
    if _compares(like):
        return _is_target(targets, like).to(like.dtype)
    num_classes = like.shape[-1]
    if num_classes < MANY_CLASSES:  # in the layout of `log_softmax`
        return (
            like.new_zeros(*targets.shape[:-1], num_classes, targets.shape[-1])
            .scatter(-2, targets.unsqueeze(-2), 1.0)
            .mT
        )
    return like.new_zeros(*targets.shape, num_classes).scatter(-1, targets.unsqueeze(-1), 1.0)


def at_target(values: Tensor, targets: Tensor) -> Tensor:
    """`[..., B, K]` and `[..., B]`, or `[B]` for all, `-> [..., B]`: each sample's value at its target.

    Of multi-hot and soft targets it is the sum of the values, weighted by the target.
    """
    if is_encoded(targets):
        return (values * targets.to(values.dtype)).sum(-1)
    if _compares(values):
        return values.where(_is_target(targets, values), 0.0).sum(-1)
    places = targets.expand(values.shape[:-1])
    return values.mT.gather(-2, places.unsqueeze(-2)).squeeze(-2)


def is_encoded(targets: Tensor) -> bool:
    """Whether targets are multi-hot or soft, not class numbers."""
    return targets.is_floating_point()


def _compares(values: Tensor) -> bool:
    """Whether to find the target by comparing with few classes: scatter and gather compile to scalar loops."""
    import torch

    return torch.compiler.is_compiling() and values.shape[-1] < MANY_CLASSES


def _is_target(targets: Tensor, like: Tensor) -> Tensor:
    import torch

    return targets.unsqueeze(-1) == torch.arange(like.shape[-1], device=like.device)
