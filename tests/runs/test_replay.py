"""Frames as bytes: what damage of them does."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from clsbench.data.scene import Frame
from clsbench.runs.replay import packed, unpacked


def test_a_damaged_bit_is_a_value_error_or_changes_no_number() -> None:
    """Whichever it is, in the arrays or in what the archive says of them: nothing else is raised."""
    losses = np.random.default_rng(0).random((2, 8))
    content = packed([Frame(epoch, {"losses": row}) for epoch, row in enumerate(losses)])
    read = 0
    for place, byte in enumerate(content):
        for bit in range(8):
            damaged = content[:place] + bytes([byte ^ 1 << bit]) + content[place + 1 :]
            with suppress(ValueError):
                for frame in unpacked(damaged):
                    assert losses[frame.epoch].tolist() == frame.arrays.get("losses", losses[frame.epoch]).tolist()
                read += 1
    assert read < 4 * len(content)
