"""The one ruler: what is said of predictions, whatever loss made them.

From `predictions [..., B]`, probabilities `p [..., B, C]` or their logarithms `log_p`, and `targets [..., B]`, or `[B]`
for all, a metric of samples makes one number per sample, `[..., B]`, and its value is their mean. `ece` is a statement
on a whole split, from `p` and whether each prediction is `right [..., B]`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clsbench.losses.targets import at_target, one_hot
from clsbench.registry import SPLITS, catalogue, metric

if TYPE_CHECKING:
    from torch import Tensor

ECE_BINS = 15


@metric("accuracy", better="higher", splits=SPLITS)
def accuracy(predictions: Tensor, targets: Tensor) -> Tensor:
    """Share of samples whose predicted class is the target."""
    return predictions == targets


@metric("nll", better="lower", splits=SPLITS)
def nll(log_p: Tensor, targets: Tensor) -> Tensor:
    """Negative log-likelihood of the target, in nats: -log p_t."""
    return -at_target(log_p, targets)


@metric("brier", better="lower", splits=("val", "test"))
def brier(p: Tensor, targets: Tensor) -> Tensor:
    """Brier score, summed over the classes: sum_i (p_i - y_i)^2, from 0 to 2."""
    return (p - one_hot(targets, p)).square().sum(-1)


@metric("ece", better="lower", splits=("val", "test"))
def ece(p: Tensor, right: Tensor) -> Tensor:
    """Expected calibration error of the top label, in 15 equal-width bins of confidence.

    Returned per bin, `[..., 15]`: the sum over its samples of confidence minus correctness. The error is the
    sum of their magnitudes over the number of samples.
    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, equation 3.
    """
    confidence = p.amax(-1)
    bins = confidence_bins(confidence)
    gap = confidence.double() - right.double()
    return gap.new_zeros(*gap.shape[:-1], ECE_BINS).scatter_add_(-1, bins, gap)


def confidence_bins(confidence: Tensor) -> Tensor:
    """The bin of each confidence, from 0; a bin includes its upper end, and what is no number falls into the first."""
    return (confidence * ECE_BINS).ceil_().nan_to_num_(0.0).long().clamp_(1, ECE_BINS).sub_(1)


@metric("logit_grad_norm")
def logit_grad_norm(gradients: Tensor) -> Tensor:
    """Mean over samples of the L2 norm of the loss's gradient on the logits: how hard the loss pulls."""
    return gradients.square().sum(-1).sqrt()


@metric("stuck_share", better="lower")
def stuck_share(norms: Tensor, norms_at_zero: Tensor, wrong: Tensor) -> Tensor:
    """Share of samples that are wrong and whose gradient norm is under 1% of the loss's at zero logits."""
    return (norms < 0.01 * norms_at_zero) & wrong


# Every measure of a record, in its order; null where a loss or a split cannot have it.
METRICS = tuple(catalogue.measures())
