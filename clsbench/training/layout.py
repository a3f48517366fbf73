"""How the trials of a stack lie in memory: a row each, padded, and moved a few at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

PART = 64  # the weights of a trial are padded to a multiple of this
ALL = slice(None)


def rows(tensor: Tensor, trials: slice) -> Tensor:
    """Those of some trials; slicing costs as much as arithmetic, and so is left out where it changes nothing."""
    return tensor if trials == ALL else tensor[trials]
