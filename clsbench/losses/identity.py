"""Losses on the raw logits: no link, hence no probabilities; `nll`, `brier` and `ece` are null."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Gt

from clsbench.losses.reduction import Reduction, over_outputs
from clsbench.problems.encoding import at_target, one_hot
from clsbench.registry import loss

if TYPE_CHECKING:
    from torch import Tensor


@loss("mse_logits", link="identity", stacked=True)
def mse_logits(
    logits: Tensor,
    targets: Tensor,
    *,
    k: Annotated[float, Gt(0)] = 1.0,
    M: Annotated[float, Gt(0)] = 1.0,
    reduction: Reduction = "sum",
) -> Tensor:
    """Square loss on the raw logits: k (z_t - M)^2 + sum over the other classes of z_i^2.

    `k` is the weight of the true class and `M` its target value; the paper raises both for many classes.
    `reduction`: sum over the classes, their mean (the paper's), or half the sum.
    Source: Hui and Belkin 2021, Evaluation of Neural Architectures Trained with Square Loss vs
    Cross-Entropy in Classification Tasks, section 2.
    """
    y = one_hot(targets, logits)
    terms = (logits - M * y).square()
    return over_outputs(terms * (1 + (k - 1) * y), reduction)


def _one_output(num_classes: int) -> int:
    return 1


@loss("mse_class_index", link="identity", outputs=_one_output, stacked=True)
def mse_class_index(logits: Tensor, targets: Tensor) -> Tensor:
    """Classification as regression: (z - class number)^2 on a single output.

    Predicts the nearest class number. It treats the numbers as quantities: class 2 is between 1 and 3. That is right
    for classes that have an order and wrong for others.
    """
    return (logits.squeeze(-1) - targets.to(logits.dtype)).square()


@loss("hinge", link="identity", stacked=True)
def hinge(logits: Tensor, targets: Tensor) -> Tensor:
    """Multi-class margin: max(0, 1 + max over the other classes of z_i - z_t).

    Source: Crammer and Singer 2001, On the Algorithmic Implementation of Multiclass Kernel-based Vector
    Machines.
    """
    true_class = one_hot(targets, logits).bool()
    best_other = logits.masked_fill(true_class, -float("inf")).amax(-1)
    return (1 + best_other - at_target(logits, targets)).clamp_min(0)


@loss("hinge_ovr", link="identity", stacked=True)
def hinge_ovr(logits: Tensor, targets: Tensor) -> Tensor:
    """One-vs-rest hinge, summed over the classes: sum_i max(0, 1 - (2 y_i - 1) z_i).

    Each output is a linear support vector machine's, of its class against all others: +1 asks for it, -1 for the rest.
    Source: Rifkin and Klautau 2004, In Defense of One-Vs-All Classification.
    """
    sides = 2 * one_hot(targets, logits) - 1
    return (1 - sides * logits).clamp_min(0).sum(-1)
