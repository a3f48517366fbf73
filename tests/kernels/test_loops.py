"""Products as loops, against PyTorch's own."""

from collections.abc import Iterator

import pytest
import torch
import torch._dynamo.config
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from clsbench.kernels.loops import product
from clsbench.training.layout import PART

SIZES = st.integers(1, 40)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As operations of models that stack have."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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


@pytest.mark.compiler
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(("rows", "inner", "columns"), [(32, 32, 32), (10, 13, 21), (13, 784, 5)])
def test_a_compiled_product_depends_on_its_own_matrices(rows: int, inner: int, columns: int) -> None:
    """Beside one other pair, and at another place among four, a product and its gradients have the same bits.

    As in a stack, the left factors lie in rows of a multiple of 64 numbers, and the right ones transposed. One pair
    alone may have other bits: a lone trial trains beside its copy.
    """
    torch.compiler.reset()  # it compiles a function for so many shapes, and no further ones
    chance = torch.Generator().manual_seed(0)
    weights = torch.randn(5, -(-rows * inner // PART) * PART, generator=chance)
    samples = torch.randn(5, columns, inner, generator=chance)

    @torch.compile(dynamic=False)
    def compiled(weights: Tensor, samples: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        left = weights[:, : rows * inner].view(-1, rows, inner).detach().requires_grad_()
        right = samples.mT.detach().requires_grad_()
        result = product(left, right)
        return result.detach(), *torch.autograd.grad(result.square().sum(), (left, right))

    with torch._dynamo.config.patch(trace_autograd_ops=True):
        together = compiled(weights, samples)
        some = compiled(weights[3:], samples[3:])
        places = [1, 0, 4, 2]
        others = compiled(weights[places], samples[places])
    torch.testing.assert_close(together[0], weights[:, : rows * inner].view(-1, rows, inner) @ samples.mT)
    for whole, part, moved in zip(together, some, others, strict=True):
        assert whole[3:].equal(part)
        assert whole[places].equal(moved)
