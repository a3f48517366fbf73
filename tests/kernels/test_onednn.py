"""Products of large matrices, trial by trial: PyTorch's numbers, and the same bits in any company."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.testing import assert_close

from clsbench.kernels.onednn import LARGE, affine, gradient_goes_to, worthwhile
from clsbench.models.layers import Linear
from clsbench.training.stack import Stack

SHAPES = [(64, 784, 128), (33, 131, 129), (1, 200, 100), (250, 1000, 17)]


def problem(num_trials: int, samples: int, inputs: int, outputs: int) -> list[Tensor]:
    """x, weight, bias, and the gradient of the result."""
    generator = torch.Generator().manual_seed(0)
    shapes = [(samples, inputs), (outputs, inputs), (outputs,), (samples, outputs)]
    return [torch.randn(num_trials, *shape, generator=generator) for shape in shapes]


def with_gradients(x: Tensor, weight: Tensor, bias: Tensor, of: Tensor) -> list[Tensor]:
    leaves = [each.clone().requires_grad_() for each in (x, weight, bias)]
    result = affine(*leaves)
    return [result.detach(), *torch.autograd.grad(result, leaves, of)]


def supported() -> bool:
    x, weight, *_ = problem(2, 3, 784, 128)
    return worthwhile(x, weight)


needs_onednn = pytest.mark.skipif(not supported(), reason="this PyTorch has no oneDNN")


@needs_onednn
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_pytorchs_linear(shape: tuple[int, int, int]) -> None:
    """Result and gradients are those of `linear` for each trial, for samples that need a gradient and that do not."""
    x, weight, bias, of = problem(3, *shape)
    ours = with_gradients(x, weight, bias, of)
    for trial in range(3):
        leaves = [each[trial].clone().requires_grad_() for each in (x, weight, bias)]
        result = linear(*leaves)
        theirs = [result.detach(), *torch.autograd.grad(result, leaves, of[trial])]
        assert_close([each[trial] for each in ours], theirs, rtol=1e-4, atol=1e-4)
    (without,) = torch.autograd.grad(affine(x, leaf := weight.clone().requires_grad_(), bias), leaf, of)
    assert torch.equal(ours[2], without)


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
    """Weights in float32 from `LARGE` on; smaller ones, other types and autocast go PyTorch's usual way."""
    x, weight, *_ = problem(2, 3, LARGE // 64, 64)
    assert worthwhile(x, weight)
    assert not worthwhile(x[..., 1:], weight[..., 1:])
    assert not worthwhile(x.double(), weight.double())
    with torch.autocast("cpu", torch.bfloat16):
        assert not worthwhile(x, weight)


@needs_onednn
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
    leaf = weight.clone().requires_grad_()
    gradient_goes_to(leaf, memory)
    (found,) = torch.autograd.grad(affine(x, leaf, bias), leaf, of)
    assert torch.equal(found, expected)
    assert torch.equal(memory, expected)


@needs_onednn
def test_a_layer_that_is_used_twice_has_both_gradients() -> None:
    """The second does not write over the first, whose memory a stack gave."""

    class Twice(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = Linear(160, 160)

        def forward(self, x: Tensor) -> Tensor:
            once: Tensor = self.layer(x)
            result: Tensor = self.layer(once.tanh())
            return result

    modules, x = [Twice(), Twice()], torch.randn(2, 5, 160)
    stack = Stack(modules, stacked=True, device=torch.device("cpu"))
    for _ in range(2):
        logits, leaves = stack.tracked(x, {})
        weights = stack.views(stack.gradients(logits.square().sum(), leaves))
        for trial, module in enumerate(modules):
            theirs = torch.autograd.grad(module(x[trial]).square().sum(), list(module.parameters()))
            assert_close([view[trial] for view in weights.values()], list(theirs), rtol=1e-4, atol=1e-4)


@needs_onednn
def test_a_stack_has_large_gradients_written_in_place() -> None:
    """What a step finds of a large layer is the stack's own memory, and is not copied there."""
    stack = Stack([Linear(160, 160), Linear(160, 160)], stacked=True, device=torch.device("cpu"))
    logits, leaves = stack.tracked(torch.randn(2, 5, 160), {})
    weight, bias = torch.autograd.grad(logits.square().sum(), leaves, retain_graph=True)
    of_weight, of_bias = stack.views(stack.gradients(logits.square().sum(), leaves)).values()
    assert weight.data_ptr() == of_weight.data_ptr()
    assert bias.data_ptr() != of_bias.data_ptr()
