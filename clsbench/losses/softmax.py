"""Losses on softmax: the outputs compete, and their probabilities sum to one.

Every loss here takes `logits [..., B, K]` and `targets [..., B]` (class numbers from 0) and returns the
loss per sample, `[..., B]`. They are written with tensor methods alone, so nothing imports torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Interval

from clsbench.losses.reduction import Reduction, over_outputs
from clsbench.problems.encoding import at_target, log_softmax, one_hot, softmax
from clsbench.registry import loss

if TYPE_CHECKING:
    from torch import Tensor


@loss("cross_entropy", link="softmax", stacked=True, aliases=("CrossEntropyLoss", "categorical_crossentropy"))
def cross_entropy(
    logits: Tensor, targets: Tensor, *, label_smoothing: Annotated[float, Interval(ge=0, lt=1)] = 0.0
) -> Tensor:
    """Cross-entropy of softmax: -log p_t.

    With label smoothing e, the target is (1 - e) y + e / C instead of the one-hot y. The gradient on the
    logits is p - y: it vanishes only where the prediction is right, however confident a wrong one is.
    """
    log_p = log_softmax(logits)
    hard = -at_target(log_p, targets)
    if label_smoothing == 0:
        return hard
    return (1 - label_smoothing) * hard - label_smoothing * log_p.mean(-1)


@loss("mse_softmax", link="softmax", stacked=True)
def mse_softmax(logits: Tensor, targets: Tensor, *, reduction: Reduction = "sum") -> Tensor:
    """Squared error of softmax against the one-hot label: sum_i (p_i - y_i)^2.

    Its gradient on the logits carries the Jacobian of softmax, p_i (delta_ij - p_j), which vanishes on every
    confident prediction, right or wrong: hence the plateaus where the loss is large and the slope is not.
    `reduction`: sum over the classes, their mean, or half the sum.
    """
    p = softmax(logits)
    return over_outputs((p - one_hot(targets, p)).square(), reduction)


@loss("focal", link="softmax", stacked=True)
def focal(logits: Tensor, targets: Tensor, *, gamma: Annotated[float, Ge(0)] = 2.0) -> Tensor:
    """Focal loss: -(1 - p_t)^gamma log p_t.

    Cross-entropy with less weight on samples that are already right; gamma 0 is cross-entropy.
    Source: Lin et al. 2017, Focal Loss for Dense Object Detection, equation 4.
    """
    log_p = log_softmax(logits)
    # log(1 - p_t) from the other classes: no cancellation where p_t is near one. And no power: like its
    # sigmoid, PyTorch's power computes the end of an array by another formula.
    others = log_p.masked_fill(one_hot(targets, log_p).bool(), -float("inf")).logsumexp(-1)
    return -(gamma * others).exp() * at_target(log_p, targets)


@loss("cross_entropy_on_softmax", link="softmax", stacked=True)
def cross_entropy_on_softmax(logits: Tensor, targets: Tensor) -> Tensor:
    """A common mistake: probabilities passed to CrossEntropyLoss, which applies softmax again.

    The second softmax gets only numbers between 0 and 1, so the loss cannot fall below
    log(1 + (C - 1) / e): 1.461 for ten classes. The metrics are those of the first softmax.
    """
    return -at_target(log_softmax(softmax(logits)), targets)
