"""Layers whose gradients are made one after the other, against autograd's of the whole."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call
from torch.testing import assert_close

from clsbench.models.chain import is_chain
from clsbench.models.layers import ACTIVATIONS, BatchNorm, Dropout, Elementwise, Flatten, Linear
from clsbench.training.stack import Stack

CPU = torch.device("cpu")
WIDTHS = st.lists(st.integers(1, 9), min_size=1, max_size=3)


def gradients(stack: Stack, x: Tensor, masks: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """The logits of a step, and the gradient of a number that was made of them on each parameter."""
    with torch.enable_grad():
        logits, backward = stack.tracked(x, masks)
        number = (logits.square() * torch.linspace(-1, 1, logits.shape[-1])).sum()
        found = stack.views(backward(number).clone())
    return logits.detach(), found


def by_autograd(stack: Stack, x: Tensor, masks: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """The same by autograd through a call of the module."""
    leaves = {name: view.detach().clone().requires_grad_() for name, view in stack.parameters.items()}
    buffers = {name: buffer.clone() for name, buffer in stack.buffers.items()}
    logits = functional_call(stack.template, {**leaves, **buffers, **masks}, (x,))
    number = (logits.square() * torch.linspace(-1, 1, logits.shape[-1])).sum()
    found = torch.autograd.grad(number, list(leaves.values()))
    return logits.detach(), dict(zip(leaves, found, strict=True))


@given(
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    widths=WIDTHS,
    trials=st.integers(1, 3),
    samples=st.integers(1, 6),
    first=st.sampled_from(["nothing", "dropout", "activation"]),
    dropout=st.booleans(),
    batch_norm=st.booleans(),
    seed=st.integers(0, 99),
)
def test_gradients_are_autograds(
    activation: str,
    widths: list[int],
    trials: int,
    samples: int,
    first: str,
    dropout: bool,
    batch_norm: bool,
    seed: int,
) -> None:
    """Of any sequence of layers, whatever stands before the first that learns."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)

        def module() -> nn.Module:
            parts: list[nn.Module] = [Flatten(2)]
            parts += {"nothing": [], "dropout": [Dropout(6, 0.5)], "activation": [ACTIVATIONS[activation]()]}[first]
            for inputs, outputs in zip([6, *widths], widths, strict=False):
                parts += [Linear(inputs, outputs), *[BatchNorm(outputs)] * batch_norm, ACTIVATIONS[activation]()]
                parts += [Dropout(outputs, 0.5)] * dropout
            return nn.Sequential(*parts, Linear(widths[-1], 3))

        stack, x = (
            Stack([module() for _ in range(trials)], stacked=True, device=CPU),
            torch.randn(trials, samples, 2, 3),
        )
        stack.train(True)
        masks = stack.dropout_masks(list(range(trials)), (1, 0), samples)
        assert is_chain(stack.template)
        expected = by_autograd(stack, x, masks)
        assert_close(gradients(stack, x, masks), expected, rtol=1e-4, atol=1e-4)


def tied() -> nn.Module:
    layer = Linear(4, 4)
    return nn.Sequential(layer, ACTIVATIONS["tanh"](), layer)


def frozen() -> nn.Module:
    module = nn.Sequential(Linear(4, 4), ACTIVATIONS["relu"](), Linear(4, 2))
    module[0].weight.requires_grad_(False)
    return module


def of_own_function() -> nn.Module:
    return nn.Sequential(Linear(4, 4), Elementwise(lambda x: x.square() + 1), Linear(4, 2))


def hooked() -> nn.Module:
    module = nn.Sequential(Linear(4, 4), ACTIVATIONS["relu"](), Linear(4, 2))
    module[0].register_forward_hook(lambda _, inputs, output: 2 * output)
    return module


def nested() -> nn.Module:
    return nn.Sequential(nn.Sequential(Linear(4, 4), ACTIVATIONS["relu"]()), Linear(4, 2))


@pytest.mark.parametrize("module", [tied, frozen, of_own_function, hooked, nested])
def test_other_modules_are_differentiated_as_a_whole(module: Callable[[], nn.Module]) -> None:
    """What a sequence does beside its layers counts: shared and fixed weights, own functions, hooks."""
    torch.manual_seed(0)
    modules, x = [module(), module()], torch.randn(2, 5, 4)
    stack = Stack(modules, stacked=True, device=CPU)
    assert not is_chain(stack.template)
    logits, found = gradients(stack, x, {})
    for trial, own in enumerate(modules):
        output = own(x[trial])
        assert_close(logits[trial], output)
        number = (output.square() * torch.linspace(-1, 1, output.shape[-1])).sum()
        theirs = torch.autograd.grad(number, [each for each in own.parameters() if each.requires_grad])
        assert_close([view[trial] for view in found.values()], list(theirs))
