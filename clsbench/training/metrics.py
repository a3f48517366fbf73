"""The one ruler: what is said of predictions, whatever loss made them.

A metric of samples takes `predictions [..., B]`, `log_p [..., B, C]` and `targets [..., B]` and returns one
number per sample, `[..., B]`; its value is their mean. `ece` is a statement on a whole split.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clsbench.registry import metric

if TYPE_CHECKING:
    from torch import Tensor

ECE_BINS = 15

# Every measure of a record, in its order; null where a loss or a split cannot have it.
METRICS = (
    *("train_loss", "train_accuracy", "train_nll"),
    *("val_accuracy", "val_nll", "val_brier", "val_ece"),
    *("test_accuracy", "test_nll", "test_brier", "test_ece"),
    *("logit_grad_norm", "stuck_share"),
)


@metric("accuracy", better="higher")
def accuracy(predictions: Tensor, log_p: Tensor | None, targets: Tensor) -> Tensor:
    """Share of samples whose predicted class is the target."""
    return (predictions == targets).double()


@metric("nll", better="lower")
def nll(predictions: Tensor, log_p: Tensor, targets: Tensor) -> Tensor:
    """Negative log-likelihood of the target, in nats: -log p_t."""
    return -log_p.gather(-1, targets.unsqueeze(-1)).squeeze(-1).double()


@metric("brier", better="lower")
def brier(predictions: Tensor, log_p: Tensor, targets: Tensor) -> Tensor:
    """Brier score, summed over the classes: sum_i (p_i - y_i)^2, from 0 to 2."""
    y = log_p.new_zeros(log_p.shape).scatter_(-1, targets.unsqueeze(-1), 1.0)
    return (log_p.exp() - y).square().sum(-1).double()


@metric("ece", better="lower")
def ece(predictions: Tensor, log_p: Tensor, targets: Tensor) -> Tensor:
    """Expected calibration error of the top label, in 15 equal-width bins of confidence.

    Returned per bin, `[..., 15]`: the sum over its samples of confidence minus correctness. The error is the
    sum of their magnitudes over the number of samples.
    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, equation 3.
    """
    confidence = log_p.amax(-1).exp()
    bins = (confidence * ECE_BINS).ceil().sub(1).clamp(0, ECE_BINS - 1).nan_to_num().long()
    gap = confidence.double() - (log_p.argmax(-1) == targets).double()
    return gap.new_zeros(*gap.shape[:-1], ECE_BINS).scatter_add_(-1, bins, gap)


@metric("logit_grad_norm")
def logit_grad_norm(gradients: Tensor) -> Tensor:
    """Mean over samples of the L2 norm of the loss's gradient on the logits: how hard the loss pulls."""
    return gradients.square().sum(-1).sqrt()


@metric("stuck_share", better="lower")
def stuck_share(norms: Tensor, norms_at_zero: Tensor, wrong: Tensor) -> Tensor:
    """Share of samples that are wrong and whose gradient norm is under 1% of the loss's at zero logits."""
    return ((norms < 0.01 * norms_at_zero) & wrong).double()
