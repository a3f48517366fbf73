"""The weight of each class in a loss, from what a config asks and how often each class is trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

ClassWeight = Literal["balanced"] | Mapping[str, float]


def class_weights(asked: ClassWeight, names: Sequence[str], counts: Sequence[int]) -> list[float]:
    """The weight of each class.

    `balanced` is n / (C n_c), as in scikit-learn: n training samples, n_c of them of class c, C classes that have some;
    its mean over the training samples is 1. A mapping gives weights by name. All other classes weigh 1.

    Args:
        names: the name of each class.
        counts: its samples in the training split.
    """
    if asked == "balanced":
        total, present = sum(counts), sum(count > 0 for count in counts)
        return [total / (present * count) if count else 1.0 for count in counts]
    return [float(asked.get(name, 1.0)) for name in names]
