"""Metrics for classes that are not equally frequent, from the counts of each class."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clsbench.metrics.single_label import HELD_OUT
from clsbench.problems.encoding import is_encoded
from clsbench.registry import metric

if TYPE_CHECKING:
    from torch import Tensor


RECALL, BALANCED_ACCURACY = "recall", "balanced_accuracy"


def _counts(class_counts: Tensor) -> Tensor:
    return class_counts


@metric(BALANCED_ACCURACY, better="higher", splits=HELD_OUT, tolerance=0.005, bounds=(0, 1), stacked=True, skewed=True)
class BalancedAccuracy:
    """Mean recall of the classes that the split has: accuracy, if each of them were equally frequent."""

    sums = staticmethod(_counts)

    @staticmethod
    def value(sums: Tensor, num_samples: int) -> Tensor:
        of, _, right = sums.unbind(-2)
        return _mean_of(right / of, of > 0)


@metric("macro_f1", label="macro F1", better="higher", splits=HELD_OUT, bounds=(0, 1), stacked=True, skewed=True)
class MacroF1:
    """Mean over classes of F1, the harmonic mean of recall and precision.

    The classes are those that the split has or that are predicted.
    """

    sums = staticmethod(_counts)

    @staticmethod
    def value(sums: Tensor, num_samples: int) -> Tensor:
        of, predicted, right = sums.unbind(-2)
        either = of + predicted
        return _mean_of(2 * right / either, either > 0)


@metric(RECALL, better="higher", splits=HELD_OUT, bounds=(0, 1), stacked=True, by_class=True)
class Recall:
    """Share of the samples of a class that are predicted as it; null for a class that the split lacks."""

    sums = staticmethod(_counts)

    @staticmethod
    def value(sums: Tensor, num_samples: int) -> Tensor:
        of, _, right = sums.unbind(-2)
        return right / of


@metric("precision", better="higher", splits=HELD_OUT, bounds=(0, 1), stacked=True, by_class=True)
class Precision:
    """Share of the predictions of a class that are right; null for one never predicted, or that the split lacks."""

    sums = staticmethod(_counts)

    @staticmethod
    def value(sums: Tensor, num_samples: int) -> Tensor:
        of, predicted, right = sums.unbind(-2)
        return (right / predicted).where(of > 0, float("nan"))


def class_counts(predictions: Tensor, targets: Tensor, num_classes: int) -> Tensor:
    """`[..., B]` twice to `[..., 3, C]`: for each class the samples of it, those predicted as it, and those of both.

    Of multi-hot predictions and targets, `[..., B, C]`, a sample counts for each of its labels.
    """
    import torch

    if is_encoded(targets):
        both = (targets.expand_as(predictions), predictions, targets * predictions)
        return torch.stack([each.sum(-2, dtype=torch.float64) for each in both], -2)

    targets = targets.expand_as(predictions)
    right = targets.where(predictions == targets, num_classes)  # the last place counts mistakes
    places = torch.cat([targets, predictions + num_classes, right + 2 * num_classes], -1)
    counts = places.new_zeros(*places.shape[:-1], 3 * num_classes + 1, dtype=torch.float64)
    counts.scatter_add_(-1, places, counts.new_ones(()).expand_as(places))
    return counts[..., :-1].view(*places.shape[:-1], 3, num_classes)


def confusion(predictions: Tensor, targets: Tensor, num_classes: int) -> Tensor:
    """`[..., B]` twice to `[..., C, C]`: how many samples of each class, in rows, are predicted as each."""
    import torch

    cells = targets * num_classes + predictions
    counts = cells.new_zeros(*cells.shape[:-1], num_classes**2, dtype=torch.float64)
    counts.scatter_add_(-1, cells, counts.new_ones(()).expand_as(cells))
    return counts.view(*cells.shape[:-1], num_classes, num_classes)


def _mean_of(values: Tensor, counted: Tensor) -> Tensor:
    return values.where(counted, 0.0).sum(-1) / counted.sum(-1)
