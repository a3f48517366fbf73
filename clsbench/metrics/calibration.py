"""Temperature scaling of trained networks, and the metrics of their probabilities after it.

A temperature T divides the log-probabilities of a network: p becomes the softmax of log p / T, which under softmax is
that of its logits over T. Above 1 it takes confidence back, below it adds some, and no prediction changes. Each trial
has one, which minimises its NLL on validation data after the last epoch; in records of earlier epochs these metrics
are null. Test data have no part in it.

Source: Guo et al. 2017, On Calibration of Modern Neural Networks, section 4.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from clsbench.metrics.single_label import HELD_OUT, ExpectedCalibrationError, brier, nll
from clsbench.problems.encoding import at_target, log_softmax
from clsbench.registry import metric

if TYPE_CHECKING:
    from torch import Tensor

LEAST, MOST = 0.01, 100.0
HALVINGS, NEWTON_STEPS = 12, 3  # the first leave 0.2% of T, the others square the error


@metric("nll_ts", label="scaled NLL", unit="nats", better="lower", splits=HELD_OUT, bounds=(0, None), stacked=True)
def nll_ts(scaled_log_probabilities: Tensor, targets: Tensor) -> Tensor:
    """NLL of the target after temperature scaling, in nats."""
    return nll(scaled_log_probabilities, targets)


@metric("brier_ts", label="scaled Brier", better="lower", splits=HELD_OUT, bounds=(0, 2), stacked=True)
def brier_ts(scaled_probabilities: Tensor, targets: Tensor) -> Tensor:
    """Brier score after temperature scaling, summed over the classes."""
    return brier(scaled_probabilities, targets)


@metric("ece_ts", label="scaled ECE", better="lower", splits=HELD_OUT, bounds=(0, 1), stacked=True)
class ScaledCalibrationError:
    """Expected calibration error of the predicted class after temperature scaling, in 15 equal-width bins."""

    @staticmethod
    def sums(scaled_probabilities: Tensor, predictions: Tensor, targets: Tensor) -> Tensor:
        return ExpectedCalibrationError.sums(scaled_probabilities, predictions, targets)

    value = staticmethod(ExpectedCalibrationError.value)


def scaled(log_probabilities: Tensor, temperatures: Tensor) -> Tensor:
    """`[T, n, C]` and `[T]` to the log-probabilities of each trial at its temperature, in double precision."""
    return log_softmax(log_probabilities.double() / temperatures[:, None, None])


def temperatures(chunks: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """`[T]`: the temperature of least NLL of each trial, from 0.01 to 100, in double precision.

    It is 1 where a trial gets every sample right: its NLL then falls to 0 with T, and no temperature is the best.

    The NLL is convex in 1 / T. Its slope is the mean of E[log p] - log p_t, the expectation being that of the scaled
    probabilities, and its curvature their variance of log p.

    Args:
        chunks: log-probabilities `[T, n, C]` and targets `[n]` of all samples, in parts that do not depend on T.
    """
    import torch

    pairs = [(log_p.double(), at_target(log_p.double(), targets)) for log_p, targets in chunks]

    def derivatives(inverse: Tensor) -> tuple[Tensor, Tensor]:
        slope, curvature = torch.zeros_like(inverse), torch.zeros_like(inverse)
        for log_p, right in pairs:
            p = scaled(log_p, 1 / inverse).exp()
            mean = (p * log_p).sum(-1)
            slope += (mean - right).sum(-1)
            curvature += ((p * log_p.square()).sum(-1) - mean.square()).sum(-1)
        return slope, curvature

    settled = torch.stack([(right >= log_p.amax(-1)).all(-1) for log_p, right in pairs]).all(0)
    low, high = (pairs[0][0].new_full(pairs[0][0].shape[:1], 1 / bound) for bound in (MOST, LEAST))
    for _ in range(HALVINGS):
        middle = (low * high).sqrt()
        falls = derivatives(middle)[0] < 0
        low, high = middle.where(falls, low), high.where(falls, middle)
    inverse = (low * high).sqrt()
    for _ in range(NEWTON_STEPS):
        slope, curvature = derivatives(inverse)
        inverse = (inverse - slope / curvature.clamp_min(torch.finfo(slope.dtype).tiny)).clamp(low, high)
    return (1 / inverse).where(~settled, 1.0)
