"""Metrics of any number of labels per sample; a label is predicted where its probability is above 0.5."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clsbench.metrics.by_class import MacroF1
from clsbench.metrics.ranking import average_precision
from clsbench.metrics.single_label import HELD_OUT
from clsbench.registry import SHARE, SPLITS, ProblemName, metric

if TYPE_CHECKING:
    from torch import Tensor

    from clsbench.metrics.ranking import Ranking

PROBLEMS: tuple[ProblemName, ...] = ("multi_label",)


@metric(
    "micro_f1",
    label="micro F1",
    better="higher",
    splits=SPLITS,
    tolerance=0.01,
    bounds=(0, 1),
    problems=PROBLEMS,
    stacked=True,
)
class MicroF1:
    """F1 over the labels of all samples: twice those found, over those that are there and those predicted.

    It is 0 if no label is there and none is predicted.
    """

    @staticmethod
    def sums(class_counts: Tensor) -> Tensor:
        return class_counts.sum(-1)

    @staticmethod
    def value(sums: Tensor, num_samples: int) -> Tensor:
        there, predicted, found = sums.unbind(-1)
        return 2 * found / (there + predicted).clamp_min(1)


metric("macro_f1", label="macro F1", better="higher", splits=HELD_OUT, bounds=(0, 1), problems=PROBLEMS, stacked=True)(
    MacroF1
)


@metric(
    "subset_accuracy",
    unit=SHARE,
    better="higher",
    splits=HELD_OUT,
    tolerance=0.01,
    bounds=(0, 1),
    problems=PROBLEMS,
    stacked=True,
)
def subset_accuracy(wrong: Tensor) -> Tensor:
    """Share of samples all of whose labels are right."""
    return ~wrong


@metric("average_precision", better="higher", splits=HELD_OUT, bounds=(0, 1), problems=PROBLEMS, stacked=True)
def macro_average_precision(ranking: Ranking) -> Tensor:
    """Mean over labels of the average precision of each; labels that no sample of the split has do not count."""
    return average_precision(ranking).nanmean(-1)


@metric(
    "hamming", label="Hamming loss", better="lower", splits=HELD_OUT, bounds=(0, 1), problems=PROBLEMS, stacked=True
)
def hamming(predictions: Tensor, targets: Tensor) -> Tensor:
    """Share of the cells, one for each sample and label, that are wrong."""
    return (predictions != targets).double().mean(-1)
