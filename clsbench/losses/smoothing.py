"""Label smoothing of one-hot labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from annotated_types import Interval

if TYPE_CHECKING:
    from torch import Tensor

Smoothing = Annotated[float, Interval(ge=0, lt=1)]


def smoothed(y: Tensor, label_smoothing: float, num_classes: int) -> Tensor:
    """(1 - e) y + e / C: a share e of each label is spread over all classes.

    Source: Szegedy et al. 2016, Rethinking the Inception Architecture for Computer Vision, section 7.
    """
    return (1 - label_smoothing) * y + label_smoothing / num_classes
