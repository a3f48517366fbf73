"""Metrics of values, on the data's own scale; of several values, the mean of each one's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clsbench.metrics.single_label import HELD_OUT
from clsbench.registry import SPLITS, ProblemName, metric

if TYPE_CHECKING:
    from torch import Tensor

PROBLEMS: tuple[ProblemName, ...] = ("regression",)


class RootMeanSquaredError:
    """Square root of the mean squared error; of several values, the mean of each one's."""

    @staticmethod
    def sums(predictions: Tensor, targets: Tensor) -> Tensor:
        return (predictions - targets).double().square().sum(-2)

    @staticmethod
    def value(sums: Tensor, num_samples: int) -> Tensor:
        return (sums / num_samples).sqrt().mean(-1)


metric(
    "rmse",
    label="RMSE",
    better="lower",
    splits=SPLITS,
    tolerance=0.0,
    bounds=(0, None),
    problems=PROBLEMS,
    stacked=True,
)(RootMeanSquaredError)


@metric(
    "mae", label="MAE", better="lower", splits=SPLITS, tolerance=0.0, bounds=(0, None), problems=PROBLEMS, stacked=True
)
def mae(predictions: Tensor, targets: Tensor) -> Tensor:
    """Mean absolute error; of several values, the mean of each one's."""
    return (predictions - targets).abs().mean(-1)


@metric(
    "r2",
    label="R2",
    better="higher",
    splits=HELD_OUT,
    tolerance=0.01,
    bounds=(None, 1),
    problems=PROBLEMS,
    stacked=True,
)
class R2:
    """Share of the variance that is explained: 1 - sum (y - z)^2 / sum (y - mean)^2; of several values, the mean.

    It is null for a split in which a value never varies.
    """

    @staticmethod
    def sums(logits: Tensor, encoded_targets: Tensor) -> Tensor:
        """Of targets as training sees them, whose small mean cancels no digits."""
        import torch

        z, y = logits.double(), encoded_targets.double().expand(logits.shape)
        return torch.cat([(y - z).square().sum(-2), y.sum(-2), y.square().sum(-2)], -1)

    @staticmethod
    def value(sums: Tensor, num_samples: int) -> Tensor:
        import torch

        errors, total, squares = sums.unflatten(-1, (3, -1)).unbind(-2)
        spread = squares - total.square() / num_samples
        # What rounding can leave of equal values, a difference of either sign, is no variance.
        rounding = num_samples * torch.finfo(sums.dtype).eps * squares
        explained: Tensor = 1 - errors / spread.where(spread > rounding, 0.0)
        return explained.mean(-1)
