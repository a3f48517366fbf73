"""Products of large matrices, trial by trial: PyTorch's numbers, and the same bits in any company."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.testing import assert_close

from clsbench.kernels.onednn import LARGE, products, worthwhile
from clsbench.models.layers import Linear, affine

SHAPES = [(64, 784, 128), (33, 131, 129), (1, 200, 100), (250, 1000, 17)]


def problem(num_trials: int, samples: int, inputs: int, outputs: int) -> list[Tensor]:
    """x, weight, bias, and the gradient of the result."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(samples, inputs), (outputs, inputs), (outputs,), (samples, outputs)]
    return [torch.randn(num_trials, *shape, generator=generator) for shape in shapes]


@torch.no_grad()
def with_gradients(x: Tensor, weight: Tensor, bias: Tensor, of: Tensor) -> list[Tensor]:
    """The result, and the gradients on samples and weights of the sum of its products with `of`."""
    return [affine(x.mT, weight, bias.unsqueeze(-1)).mT, products(weight.mT, of).mT, products(of.mT, x.mT)]


@torch.no_grad()
def supported() -> bool:
    x, weight, *_ = problem(2, 3, 784, 128)
    return worthwhile(x, weight)


needs_onednn = pytest.mark.skipif(not supported(), reason="this PyTorch has no oneDNN")


@needs_onednn
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_pytorchs_linear(shape: tuple[int, int, int]) -> None:
    """Result and gradients are those of `linear` for each trial."""
    x, weight, bias, of = problem(3, *shape)
    ours = with_gradients(x, weight, bias, of)
    for trial in range(3):
        leaves = [each[trial].clone().requires_grad_() for each in (x, weight)]
        result = linear(*leaves, bias[trial])
        theirs = [result.detach(), *torch.autograd.grad(result, leaves, of[trial])]
        assert_close([each[trial] for each in ours], theirs, rtol=1e-4, atol=1e-4)


@needs_onednn
@pytest.mark.parametrize("shape", SHAPES)
def test_neighbours_change_no_bit(shape: tuple[int, int, int]) -> None:
    """A trial's result and gradients are the same alone, among others, and wherever it stands."""
    whole = problem(7, *shape)
    among = with_gradients(*whole)
    for part in (slice(0, 1), slice(6, 7), slice(2, 5)):
        for ours, theirs in zip(with_gradients(*(each[part] for each in whole)), among, strict=True):
            assert torch.equal(ours, theirs[part])


@needs_onednn
def test_large_layers_alone_take_it() -> None:
    """Weights in float32 from `LARGE` on; smaller ones, other types, autocast and autograd go PyTorch's usual way."""
    x, weight, *_ = problem(2, 3, LARGE // 64, 64)
    assert not worthwhile(x, weight)
    with torch.no_grad():
        assert worthwhile(x, weight)
        assert not worthwhile(x[..., 1:], weight[..., 1:])
        assert not worthwhile(x.double(), weight.double())
        with torch.autocast("cpu", torch.bfloat16):
            assert not worthwhile(x, weight)


@needs_onednn
@torch.no_grad()
def test_layer_is_the_same_on_either_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large layer differs by rounding alone from what it is where it may not take it."""
    x, weight, bias, _ = problem(4, 20, 300, 100)
    layer = Linear(300, 100)
    state = {"weight": weight, "bias": bias}
    ours = torch.func.functional_call(layer, state, (x,))
    monkeypatch.setattr("clsbench.kernels.onednn.worthwhile", lambda x, weight: False)
    theirs = torch.func.functional_call(layer, state, (x,))
    assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@needs_onednn
def test_a_gradient_is_written_where_it_belongs() -> None:
    """It is the same gradient, in the memory that was given for it and lies apart trial by trial."""
    x, weight, bias, of = problem(3, 64, 784, 128)
    expected = with_gradients(x, weight, bias, of)[2]
    memory = torch.zeros(3, 2, *weight.shape[1:])[:, 1]
    assert products(of.mT, x.mT, memory) is memory
    assert torch.equal(memory, expected)
