"""The memory layout of a stack: one padded row for each trial."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

PART = 64  # the weights of a trial are padded to a multiple of this
ALL = slice(None)


def rows(tensor: Tensor, trials: slice) -> Tensor:
    """The rows of some trials; slicing costs as much as arithmetic, so it is skipped if it changes nothing."""
    return tensor if trials == ALL else tensor[trials]
