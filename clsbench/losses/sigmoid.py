"""Losses on sigmoids: each output is a binary classification; the one-hot, multi-hot or soft label holds its targets.

With two classes, `outputs: 1` has a single output for class 1; a sigmoid of z1 - z0 equals a softmax of (z0, z1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Gt

from clsbench.losses.reduction import Reduction, over_outputs
from clsbench.losses.smoothing import Smoothing, smoothed
from clsbench.problems.encoding import is_encoded, one_hot
from clsbench.registry import ProblemName, loss

if TYPE_CHECKING:
    from torch import Tensor

PROBLEMS: tuple[ProblemName, ...] = ("single_label", "multi_label", "probability")


def _num_outputs(num_classes: int, *, outputs: int | None, **_: object) -> int:
    if outputs == 1 and num_classes != 2:
        raise ValueError(f"outputs: 1 is for two classes, and there are {num_classes}")
    return outputs or num_classes


@loss(
    "bce",
    link="sigmoid",
    outputs=_num_outputs,
    stacked=True,
    problems=PROBLEMS,
    aliases=("BCEWithLogitsLoss", "binary_crossentropy"),
)
def bce(
    logits: Tensor,
    targets: Tensor,
    *,
    outputs: Literal[1] | None = None,
    reduction: Reduction = "sum",
    pos_weight: Annotated[float, Gt(0)] | None = None,
    label_smoothing: Smoothing = 0.0,
) -> Tensor:
    """Binary cross-entropy of sigmoids, over the outputs: -w y log s - (1 - y) log(1 - s).

    The gradient on a logit is s - y where w is 1, as by default. `outputs`: one per class, or 1 for two classes.
    `reduction`: sum over the outputs, their mean, or half the sum. `pos_weight`: w, the weight of the positive term of
    every output. With label smoothing e, y is (1 - e) y + e / C instead of 0 or 1; of multi-hot and soft labels, whose
    outputs are two-class problems of their own, (1 - e) y + e / 2.
    """
    from torch.nn.functional import logsigmoid

    y = _answers(targets, logits)
    if pos_weight is None and label_smoothing == 0 and not is_encoded(targets):
        # log s where y = 1 and log(1 - s) = log sigma(-z) where y = 0: exact in both tails.
        return over_outputs(-logsigmoid((2 * y - 1) * logits), reduction)
    y = smoothed(y, label_smoothing, 2 if is_encoded(targets) else max(logits.shape[-1], 2))
    terms = -(pos_weight or 1) * y * logsigmoid(logits) - (1 - y) * logsigmoid(-logits)
    return over_outputs(terms, reduction)


@loss("mse_sigmoid", link="sigmoid", outputs=_num_outputs, stacked=True, problems=PROBLEMS)
def mse_sigmoid(
    logits: Tensor, targets: Tensor, *, outputs: Literal[1] | None = None, reduction: Reduction = "sum"
) -> Tensor:
    """Squared error of sigmoids against the one-hot, multi-hot or soft label: sum_i (s_i - y_i)^2.

    The gradient on a logit is 2 (s - y) s (1 - s): a saturated neuron does not learn. `outputs`: one per
    class, or 1 for two classes. `reduction`: sum over the outputs, their mean, or half the sum.
    """
    s = sigmoid(logits)
    return over_outputs((s - _answers(targets, logits)).square(), reduction)


def sigmoid(logits: Tensor) -> Tensor:
    """The logistic function 1 / (1 + e^-z), exact to rounding in both tails.

    PyTorch's own computes the end of an array by another formula than its vectors, so that a value's last bit
    depends on its position; that of exp and log-sigmoid does not.
    """
    from torch.nn.functional import logsigmoid

    return logsigmoid(logits).exp()


def _answers(targets: Tensor, logits: Tensor) -> Tensor:
    if logits.shape[-1] == 1 and not is_encoded(targets):
        return targets.unsqueeze(-1).to(logits.dtype)
    return one_hot(targets, logits)
