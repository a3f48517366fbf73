"""Losses on softmax: the outputs compete, and their probabilities sum to one.

Every loss here takes `logits [..., B, K]` and `targets [..., B]` (class numbers from 0) and returns the
loss per sample, `[..., B]`. They are written with tensor methods alone, so nothing imports torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Gt, Interval

from clsbench.losses.reduction import Reduction, over_outputs
from clsbench.losses.smoothing import Smoothing, smoothed
from clsbench.problems.encoding import at_target, log_softmax, one_hot, softmax
from clsbench.registry import loss

if TYPE_CHECKING:
    from torch import Tensor


@loss(
    "cross_entropy",
    link="softmax",
    stacked=True,
    problems=("single_label", "probability"),
    aliases=("CrossEntropyLoss", "categorical_crossentropy"),
)
def cross_entropy(
    logits: Tensor,
    targets: Tensor,
    class_shares: Tensor | None = None,
    *,
    label_smoothing: Smoothing = 0.0,
    temperature: Annotated[float, Gt(0)] = 1.0,
    logit_adjustment: Annotated[float, Gt(0)] | None = None,
) -> Tensor:
    """Cross-entropy of softmax: -log p_t; of a soft target, -sum_i y_i log p_i.

    With label smoothing e, the target is (1 - e) y + e / C instead of the one-hot y. The gradient on the
    logits is p - y: it vanishes only where the prediction is right, however confident a wrong one is.
    `logit_adjustment`: with tau, training sees z + tau log(share), the share being that of each class in the training
    split. The network's own logits then suit equally frequent classes: at tau 1 they aim at balanced accuracy, and its
    probabilities are those of balanced data.
    Source of the temperature: Hinton et al. 2015, Distilling the Knowledge in a Neural Network, equation 1; of the
    adjustment: Menon et al. 2021, Long-tail Learning via Logit Adjustment, equation 10.
    """
    if temperature != 1:
        logits = logits / temperature
    if logit_adjustment is not None:
        if class_shares is None:
            raise ValueError("logit_adjustment needs the share of each class in the training split")
        logits = logits + logit_adjustment * class_shares.log()
    log_p = log_softmax(logits)
    hard = -at_target(log_p, targets)
    if label_smoothing == 0:
        return hard
    return (1 - label_smoothing) * hard - label_smoothing * log_p.mean(-1)


@loss("mse_softmax", link="softmax", stacked=True, problems=("single_label", "probability"))
def mse_softmax(logits: Tensor, targets: Tensor, *, reduction: Reduction = "sum") -> Tensor:
    """Squared error of softmax against the one-hot or soft label: sum_i (p_i - y_i)^2.

    Its gradient on the logits carries the Jacobian of softmax, p_i (delta_ij - p_j), which vanishes on every
    confident prediction, right or wrong: hence the plateaus where the loss is large and the slope is not.
    `reduction`: sum over the classes, their mean, or half the sum.
    """
    p = softmax(logits)
    return over_outputs((p - one_hot(targets, p)).square(), reduction)


def _focal_outputs(num_classes: int, *, alpha: float | None, **_: object) -> int:
    if alpha is not None and num_classes != 2:
        raise ValueError(f"alpha is for two classes, and there are {num_classes}; use class_weight")
    return num_classes


@loss("focal", link="softmax", outputs=_focal_outputs, stacked=True)
def focal(
    logits: Tensor,
    targets: Tensor,
    *,
    gamma: Annotated[float, Ge(0)] = 2.0,
    alpha: Annotated[float, Interval(gt=0, lt=1)] | None = None,
    label_smoothing: Smoothing = 0.0,
) -> Tensor:
    """Focal loss: -a_t (1 - p_t)^gamma log p_t.

    Cross-entropy with less weight on samples that are already right; gamma 0 is cross-entropy.
    `alpha`: of two classes, a_t is alpha for class 1 and 1 - alpha for class 0; by default it is 1. With label
    smoothing e, the terms of all classes are summed, weighted by (1 - e) y + e / C.
    Source: Lin et al. 2017, Focal Loss for Dense Object Detection, equations 4 and 5.
    """
    log_p = log_softmax(logits)
    if label_smoothing != 0:
        labels = smoothed(one_hot(targets, log_p), label_smoothing, log_p.shape[-1])
        terms = labels * (gamma * _log_rest(log_p)).exp() * log_p
        return -(terms if alpha is None else terms * _sides(alpha, log_p)).sum(-1)
    # log(1 - p_t) from the other classes: no cancellation where p_t is near one. And no power: like its
    # sigmoid, PyTorch's power computes the end of an array by another formula.
    others = log_p.masked_fill(one_hot(targets, log_p).bool(), -float("inf")).logsumexp(-1)
    value = -(gamma * others).exp() * at_target(log_p, targets)
    return value if alpha is None else value * at_target(_sides(alpha, log_p).expand(log_p.shape), targets)


def _sides(alpha: float, like: Tensor) -> Tensor:
    """`[2]`: the weights of class 0 and of class 1."""
    return like.new_tensor((1 - alpha, alpha))


def _log_rest(log_p: Tensor) -> Tensor:
    """`[..., K]`: log(1 - p_i) of every class."""
    # The likeliest class alone can be above a half: there the others are summed, so that nothing cancels.
    top = one_hot(log_p.argmax(-1), log_p).bool()
    others = log_p.masked_fill(top, -float("inf")).logsumexp(-1, keepdim=True)
    return others.where(top, (-log_p.exp().clamp(max=0.75)).log1p())


@loss("squentropy", stacked=True)
def squentropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy plus the mean square of the other logits: -log p_t + 1 / (C - 1) sum over i != t of z_i^2.

    The square holds the logits of the wrong classes near zero, which limits confidence. The gradient on a logit is
    p_i - y_i, plus 2 z_i / (C - 1) for every class but the true one.
    Source: Hui, Belkin and Wright 2023, Cut your Losses with Squentropy, section 2.
    """
    wrong = 1 - one_hot(targets, logits)
    others = (logits.square() * wrong).sum(-1) / (logits.shape[-1] - 1)
    return others - at_target(log_softmax(logits), targets)


@loss("cross_entropy_on_softmax", link="softmax", stacked=True)
def cross_entropy_on_softmax(logits: Tensor, targets: Tensor) -> Tensor:
    """A common mistake: probabilities passed to CrossEntropyLoss, which applies softmax again.

    The second softmax gets only numbers between 0 and 1, so the loss cannot fall below
    log(1 + (C - 1) / e): 1.461 for ten classes. The metrics are those of the first softmax.
    """
    return -at_target(log_softmax(softmax(logits)), targets)
