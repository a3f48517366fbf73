"""How the steps of an epoch are put into graphs."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clsbench.training.step import best_unrolling, blocks, in_turn


@pytest.mark.parametrize(("num_steps", "expected"), [(25, 5), (18, 6), (16, 8), (19, 1), (1, 1)])
def test_all_steps_of_an_epoch_are_in_whole_graphs(num_steps: int, expected: int) -> None:
    """Traced graphs have as many steps as divide those of an epoch, eight at most."""
    assert expected == best_unrolling(num_steps)


@given(st.integers(1, 300), st.integers(1, 40), st.integers(1, 30))
def test_blocks_are_the_batches_of_an_epoch(num_samples: int, batch_size: int, together: int) -> None:
    """Blocks hold every batch in order: so many steps together, then fewer, then a smaller batch by itself."""
    order = torch.arange(2 * num_samples).view(2, num_samples)
    found = list(blocks(order, batch_size, together))
    batches = [batch for block in found for batch in block.unbind(1)]
    assert list(map(torch.Tensor.tolist, order.split(batch_size, 1))) == [batch.tolist() for batch in batches]
    whole, smaller = divmod(num_samples, batch_size)
    steps = [block.shape[1] for block in found]
    assert [together] * (whole // together) == steps[: whole // together]
    assert (whole % together > 0) + (smaller > 0) == len(steps) - whole // together


def test_logits_of_calls_one_after_the_other() -> None:
    """The logits of several calls are those of one call for all steps, with samples last in memory."""
    parts = [torch.randn(3, 5, steps, 4).movedim(1, -1) for steps in (1, 2, 2)]
    found = in_turn(parts)
    assert torch.equal(torch.cat(parts, 1), found)
    assert 1 == found.stride(2)
    assert in_turn(parts[:1]) is parts[0]
