"""Products as loops, against PyTorch's own."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clsbench.models.loops import product
from clsbench.training.step import has_compiler

SIZES = st.integers(1, 40)


@given(trials=st.integers(1, 4), rows=SIZES, inner=SIZES, columns=SIZES, seed=st.integers(0, 99))
def test_product_and_its_gradients_are_those_of_matrices(
    trials: int, rows: int, inner: int, columns: int, seed: int
) -> None:
    """Whatever number of rows is made at once, and where none divides theirs."""
    chance = torch.Generator().manual_seed(seed)
    left = torch.randn(trials, rows, inner, generator=chance, dtype=torch.float64, requires_grad=True)
    right = torch.randn(trials, inner, columns, generator=chance, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(trials, rows, columns, generator=chance, dtype=torch.float64)
    ours, theirs = product(left, right), left @ right
    torch.testing.assert_close(ours, theirs)
    both = [torch.autograd.grad((each * weights).sum(), (left, right)) for each in (ours, theirs)]
    torch.testing.assert_close(*both)


@pytest.mark.skipif(not has_compiler(), reason="loops are compiled where there is a C++ compiler")
def test_a_compiled_product_hangs_on_its_own_matrices() -> None:
    """Beside one other pair, and at another place among four, a product has the same bits."""
    chance = torch.Generator().manual_seed(0)
    left, right = torch.randn(5, 10, 13, generator=chance), torch.randn(5, 13, 21, generator=chance)
    compiled = torch.compile(product, dynamic=False)
    together = compiled(left, right)
    torch.testing.assert_close(together, left @ right)
    assert together[3:].equal(compiled(left[3:], right[3:]))
    assert together[[1, 0, 4, 2]].equal(compiled(left[[1, 0, 4, 2]], right[[1, 0, 4, 2]]))
