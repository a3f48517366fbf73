"""Metrics of probabilities against targets between 0 and 1, of labels that are there or not, or of soft targets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clsbench.metrics.regression import RootMeanSquaredError
from clsbench.metrics.reliability import by_bin
from clsbench.metrics.single_label import HELD_OUT
from clsbench.metrics.single_label import ExpectedCalibrationError as OfPredictedClass
from clsbench.metrics.truth import PosteriorError
from clsbench.registry import SPLITS, ProblemName, metric

if TYPE_CHECKING:
    from torch import Tensor

PROBLEMS: tuple[ProblemName, ...] = ("multi_label", "probability")


@metric(
    "nll",
    label="NLL",
    unit="nats",
    better="lower",
    splits=SPLITS,
    tolerance=0.02,
    bounds=(0, None),
    problems=PROBLEMS,
    stacked=True,
)
def nll(log_likelihoods: Tensor) -> Tensor:
    """Negative log-likelihood of the target, in nats, summed over the labels or values of a sample.

    -sum_i (y_i log p_i + (1 - y_i) log(1 - p_i)); where they are the shares of classes, -sum_i y_i log p_i.
    """
    return -log_likelihoods


@metric(
    "brier",
    label="Brier",
    better="lower",
    splits=SPLITS,
    tolerance=0.01,
    bounds=(0, None),
    problems=PROBLEMS,
    stacked=True,
)
def brier(probabilities: Tensor, targets: Tensor) -> Tensor:
    """Brier score, summed over the labels or values of a sample: sum_i (p_i - y_i)^2."""
    return (probabilities - targets).square().sum(-1)


metric(
    "rmse",
    label="RMSE",
    better="lower",
    splits=HELD_OUT,
    tolerance=0.01,
    bounds=(0, 1),
    problems=("probability",),
    stacked=True,
)(RootMeanSquaredError)


@metric("ece", label="ECE", better="lower", splits=HELD_OUT, bounds=(0, 1), problems=("probability",), stacked=True)
class ExpectedCalibrationError:
    """Expected calibration error of every probability, in 15 equal-width bins.

    How far the mean target of a bin is from the mean probability, in the mean over all probabilities.
    """

    @staticmethod
    def sums(probabilities: Tensor, targets: Tensor) -> Tensor:
        """`[..., 15]`: for each bin, the sum of its probabilities minus targets, over their number in a sample."""
        surplus = (probabilities - targets).double()
        return by_bin(probabilities.flatten(-2), surplus.flatten(-2)) / probabilities.shape[-1]

    value = staticmethod(OfPredictedClass.value)


metric(
    "posterior_rmse",
    label="posterior RMSE",
    better="lower",
    splits=HELD_OUT,
    bounds=(0, 1),
    problems=("probability",),
    stacked=True,
)(PosteriorError)
