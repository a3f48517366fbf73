"""How the steps of an epoch are put into graphs."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clsbench.training.step import best_unrolling, blocks, in_turn


@pytest.mark.parametrize(("num_samples", "expected"), [(800, 5), (199, 6), (67, 2), (31, 1), (19 * 32, 6)])
def test_most_steps_of_an_epoch_are_compiled(num_samples: int, expected: int) -> None:
    """Of 25, 6, 2, 0 and 19 whole batches, graphs of so many steps leave the fewest to eager ones."""
    assert expected == best_unrolling(num_samples, 32)


@given(st.integers(1, 300), st.integers(1, 40), st.integers(1, 8), st.integers(0, 30))
def test_blocks_are_the_batches_of_an_epoch(num_samples: int, batch_size: int, unrolled: int, together: int) -> None:
    """Blocks hold every batch in order: whole graphs of at most so many steps together, then single batches."""
    order = torch.arange(2 * num_samples).view(2, num_samples)
    found = list(blocks(order, batch_size, unrolled, together))
    batches = [batch for block in found for batch in block.unbind(1)]
    assert list(map(torch.Tensor.tolist, order.split(batch_size, 1))) == [batch.tolist() for batch in batches]
    graphs = num_samples // (unrolled * batch_size)
    steps = [block.shape[1] for block in found]
    compiled = steps[: -(-graphs // max(1, together // unrolled))]
    assert graphs * unrolled == sum(compiled)
    assert all(0 == number % unrolled and number <= max(unrolled, together) for number in compiled)
    assert {1} >= set(steps[len(compiled) :])


def test_logits_of_calls_one_after_the_other() -> None:
    """The logits of several calls are those of one call for all steps, with samples last in memory."""
    parts = [torch.randn(3, 5, steps, 4).movedim(1, -1) for steps in (1, 2, 2)]
    found = in_turn(parts)
    assert torch.equal(torch.cat(parts, 1), found)
    assert 1 == found.stride(2)
    assert in_turn(parts[:1]) is parts[0]
