"""Gradient diagnostics: the gradient of a loss on the logits, sample by sample."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clsbench.registry import PROBLEMS, SHARE, metric

if TYPE_CHECKING:
    from torch import Tensor

STUCK_SHARE = "stuck_share"
STUCK_BELOW = 0.01  # of the norm at zero logits


@metric("logit_grad_norm", label="gradient norm", bounds=(0, None), problems=PROBLEMS, stacked=True)
def logit_grad_norm(gradient_norms: Tensor) -> Tensor:
    """Mean over samples of the L2 norm of the loss's gradient on the logits."""
    return gradient_norms


@metric(
    STUCK_SHARE,
    label="stuck share",
    unit=SHARE,
    better="lower",
    bounds=(0, 1),
    problems=("single_label", "multi_label"),
    stacked=True,
)
def stuck_share(gradient_norms: Tensor, zero_gradient_norms: Tensor, wrong: Tensor) -> Tensor:
    """Share of samples that are wrong and whose gradient norm is below 1% of the loss's at zero logits."""
    return (gradient_norms < STUCK_BELOW * zero_gradient_norms) & wrong
