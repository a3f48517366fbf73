"""Metrics of the order in which a network puts all samples of a split, from class 0 to class 1.

The score of a sample is the difference of the logits of class 1 and class 0 (of their log-sigmoids under a sigmoid),
or a single output. It rises with the probability of class 1 where the link gives one, without the ties of
probabilities that round to 1, and exists for every link.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from clsbench.metrics.single_label import HELD_OUT
from clsbench.registry import metric

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Ranking:
    """All samples of a split by rising score, `[..., N]`; whole numbers, so that no sum of them is rounded.

    Attributes:
        positive: 1 for a sample of class 1, else 0; all 0 if a score is not a number.
        lower: how many samples have a lower score; ties are not lower.
        positives_lower: how many of those are of class 1.
    """

    positive: Tensor
    lower: Tensor
    positives_lower: Tensor

    @classmethod
    def of(cls, scores: Tensor, targets: Tensor) -> Ranking:
        """`[..., N]` scores with their targets, `[..., N]` or `[N]`."""
        import torch

        ordered, positive = _by_score(scores, targets.long())
        positive = positive * ~scores.isnan().any(-1, keepdim=True)
        place = torch.arange(ordered.shape[-1], device=ordered.device)
        rises = torch.nn.functional.pad(ordered[..., 1:] != ordered[..., :-1], (1, 0))
        lower = (place * rises).cummax(-1).values
        return cls(positive, lower, (positive.cumsum(-1) - positive).gather(-1, lower))

    def trial(self, number: int) -> Ranking:
        """The ranking of one trial, `[N]`."""
        return Ranking(self.positive[number], self.lower[number], self.positives_lower[number])


def _by_score(scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The scores in rising order, or whole numbers in the same order and with the same ties, and the target of each."""
    import torch

    if scores.dtype != torch.float32 or scores.device.type != "cpu":
        ordered, order = scores.sort(dim=-1, stable=True)
        return ordered, targets.expand_as(order).gather(-1, order)
    # NumPy sorts whole numbers several times as fast as PyTorch sorts: each holds a score, its place and its target.
    bits = (scores.contiguous() + 0.0).view(torch.int32)  # no zero is negative
    rising = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    keys = (rising.long() << 32) + (torch.arange(scores.shape[-1]) * 2 + targets)
    keys.numpy().sort(-1)
    return keys >> 32, keys & 1


@metric("auroc", label="AUROC", better="higher", splits=HELD_OUT, bounds=(0, 1), stacked=True, skewed=True)
def auroc(ranking: Ranking) -> Tensor:
    """Area under the ROC curve of two classes: how often a sample of class 1 scores above one of class 0.

    Ties count half. It is null if the split lacks one of the classes.
    """
    positives = ranking.positive.sum(-1)
    negatives = ranking.positive.shape[-1] - positives
    # Pairs in the right order less those in the wrong one.
    surplus = (ranking.positive * ranking.lower - ranking.positives_lower).sum(-1)
    return (1 + surplus.double() / (positives * negatives)) / 2


@metric("average_precision", better="higher", splits=HELD_OUT, bounds=(0, 1), stacked=True, skewed=True)
def average_precision(ranking: Ranking) -> Tensor:
    """Average precision of class 1 of two: the sum over thresholds of the gain in recall times the precision.

    Equal scores share a threshold, and nothing is interpolated. It is null if the split lacks class 1.
    """
    positives, num_samples = ranking.positive.sum(-1), ranking.positive.shape[-1]
    found = positives.unsqueeze(-1) - ranking.positives_lower
    precision = found.double() / (num_samples - ranking.lower)
    return (precision * ranking.positive).sum(-1) / positives
