"""Metrics of predictions of one class per sample, for every loss."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clsbench.metrics.reliability import by_bin
from clsbench.problems.encoding import at_target, one_hot
from clsbench.registry import SHARE, SPLITS, Split, metric

if TYPE_CHECKING:
    from torch import Tensor

HELD_OUT: tuple[Split, ...] = ("val", "test")


@metric("accuracy", unit=SHARE, better="higher", splits=SPLITS, tolerance=0.005, bounds=(0, 1), stacked=True)
def accuracy(predictions: Tensor, targets: Tensor) -> Tensor:
    """Share of samples whose predicted class is the target."""
    return predictions == targets


@metric("nll", label="NLL", unit="nats", better="lower", splits=SPLITS, tolerance=0.02, bounds=(0, None), stacked=True)
def nll(log_probabilities: Tensor, targets: Tensor) -> Tensor:
    """Negative log-likelihood of the target, in nats: -log p_t."""
    return -at_target(log_probabilities, targets)


@metric("likelihood", label="likelihood per sample", better="higher", final=True, bounds=(0, 1), stacked=True)
class Likelihood:
    """Geometric mean over samples of the probability given to the target: exp(-NLL)."""

    @staticmethod
    def sums(log_probabilities: Tensor, targets: Tensor) -> Tensor:
        return at_target(log_probabilities, targets).double().sum(-1)

    @staticmethod
    def value(sums: Tensor, num_samples: int) -> Tensor:
        return (sums / num_samples).exp()


@metric("brier", label="Brier", better="lower", splits=HELD_OUT, tolerance=0.01, bounds=(0, 2), stacked=True)
def brier(probabilities: Tensor, targets: Tensor) -> Tensor:
    """Brier score, summed over the classes: sum_i (p_i - y_i)^2, from 0 to 2."""
    return (probabilities - one_hot(targets, probabilities)).square().sum(-1)


@metric("ece", label="ECE", better="lower", splits=HELD_OUT, bounds=(0, 1), stacked=True)
class ExpectedCalibrationError:
    """Expected calibration error of the predicted class, in 15 equal-width bins of confidence.

    Source: Guo et al. 2017, On Calibration of Modern Neural Networks, equation 3.
    """

    @staticmethod
    def sums(probabilities: Tensor, predictions: Tensor, targets: Tensor) -> Tensor:
        """`[..., 15]`: for each bin, the sum over its samples of confidence minus correctness."""
        confidence = probabilities.amax(-1)
        return by_bin(confidence, confidence.double() - (predictions == targets).double())

    @staticmethod
    def value(sums: Tensor, num_samples: int) -> Tensor:
        """The sum of the bins' magnitudes, divided by the number of samples."""
        return sums.abs().sum(-1) / num_samples


@metric("margin", better="higher", final=True, stacked=True)
def margin(margins: Tensor) -> Tensor:
    """Mean over samples of the target's logit minus the largest other one; positive where a sample is right."""
    return margins
