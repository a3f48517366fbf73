"""Metrics against what a dataset knows beyond its labels: the true probabilities, and the order of the classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clsbench.metrics.single_label import HELD_OUT
from clsbench.registry import metric

if TYPE_CHECKING:
    from torch import Tensor


@metric("posterior_rmse", label="posterior RMSE", better="lower", splits=HELD_OUT, bounds=(0, 1), stacked=True)
class PosteriorError:
    """Root mean square error of the probabilities against the true ones, over samples and classes or values.

    It is null where the dataset does not know them; `gaussians` does.
    """

    @staticmethod
    def sums(probabilities: Tensor, posterior: Tensor) -> Tensor:
        return (probabilities.double() - posterior).square().mean(-1).sum(-1)

    @staticmethod
    def value(sums: Tensor, num_samples: int) -> Tensor:
        return (sums / num_samples).sqrt()


@metric(
    "posterior_rmse_ts",
    label="scaled posterior RMSE",
    better="lower",
    splits=HELD_OUT,
    bounds=(0, 1),
    stacked=True,
)
class ScaledPosteriorError:
    """The same of the probabilities after temperature scaling."""

    @staticmethod
    def sums(scaled_probabilities: Tensor, posterior: Tensor) -> Tensor:
        return PosteriorError.sums(scaled_probabilities, posterior)

    value = staticmethod(PosteriorError.value)


@metric(
    "class_mae", label="MAE in classes", unit="classes", better="lower", splits=HELD_OUT, bounds=(0, None), stacked=True
)
def class_mae(class_distances: Tensor) -> Tensor:
    """Mean distance of the predicted class from the target, in classes; null unless the classes have an order."""
    return class_distances
