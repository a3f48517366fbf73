"""IDX files, MNIST's format: arrays of bytes behind a header with their shape."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def idx_shape(path: Path) -> tuple[int, ...]:
    """The shape in an IDX header (two zeros, type, number of axes, each axis as 4 bytes); () if it is not one."""
    with path.open("rb") as file:
        zeros, kind, axes = file.read(2), file.read(1), file.read(1)
        if zeros != b"\0\0" or kind != b"\x08" or axes not in (b"\1", b"\3"):
            return ()
        return tuple(int.from_bytes(file.read(4), "big") for _ in range(axes[0]))


def idx_fault(path: Path) -> str | None:
    """What is wrong with a file of grey images of 28 by 28 pixels or of labels, by its name; None if nothing is.

    Raises:
        OSError: it cannot be read.
    """
    shape = idx_shape(path)
    if len(shape) != (3 if "-images-" in path.name else 1):
        return "is not an IDX file of bytes"
    if shape[1:] not in ((), (28, 28)):
        return f"holds images of {shape[1]} x {shape[2]} pixels, not 28 x 28"
    expected, size = 4 + 4 * len(shape) + math.prod(shape), path.stat().st_size
    if size != expected:
        return f"holds {size} bytes, and its header says {expected}"
    return None


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """The array in an IDX file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not as long as its header says.
    """
    import numpy as np

    shape = idx_shape(path)
    return np.fromfile(path, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)
