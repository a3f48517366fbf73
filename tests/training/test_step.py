"""How the steps of an epoch are put into graphs."""

from __future__ import annotations

import pytest

from clsbench.training.step import best_unrolling


@pytest.mark.parametrize(("num_samples", "expected"), [(800, 5), (199, 6), (67, 2), (31, 1), (19 * 32, 6)])
def test_most_steps_of_an_epoch_are_compiled(num_samples: int, expected: int) -> None:
    """Of 25, 6, 2, 0 and 19 whole batches, graphs of so many steps leave the fewest to eager ones."""
    assert expected == best_unrolling(num_samples, 32)
