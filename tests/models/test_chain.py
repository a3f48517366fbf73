"""Layers whose gradients are made one after the other, against autograd's of the whole."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

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


def scalar_of(logits: Tensor) -> Tensor:
    return (logits.square() * torch.linspace(-1, 1, logits.shape[-1], dtype=logits.dtype)).sum()


def step(stack: Stack, x: Tensor, masks: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """The logits of a step, and the gradient of a scalar that was computed from them on each parameter."""
    logits, backward = stack.tracked(x, masks)
    return logits.detach(), stack.views(backward(scalar_of(logits)).clone())


def by_autograd(stack: Stack, x: Tensor, masks: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """The same by autograd, through one call of the module; the buffers change as well."""
    leaves = {name: view.detach().clone().requires_grad_() for name, view in stack.parameters.items()}
    logits = functional_call(stack.template, {**leaves, **stack.buffers, **masks}, (x,))
    found = torch.autograd.grad(scalar_of(logits), list(leaves.values()))
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
    """And so are running statistics, whatever stands between flattening and the first layer that learns."""

    def module() -> nn.Module:
        parts: list[nn.Module] = [Flatten(2)]
        parts += {"nothing": [], "dropout": [Dropout(6, 0.5)], "activation": [ACTIVATIONS[activation]()]}[first]
        for inputs, outputs in zip([6, *widths], widths, strict=False):
            parts += [Linear(inputs, outputs), *[BatchNorm(outputs)] * batch_norm, ACTIVATIONS[activation]()]
            parts += [Dropout(outputs, 0.5)] * dropout
        return nn.Sequential(*parts, Linear(widths[-1], 3)).double()

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        modules = [module() for _ in range(trials)]
        x = torch.randn(trials, samples, 2, 3, dtype=torch.float64)
    ours, theirs = (Stack(copy.deepcopy(modules), stacked=True, device=CPU) for _ in range(2))
    masks = ours.dropout_masks(list(range(trials)), (1, 0), samples)
    assert is_chain(ours.template)
    assert_close(step(ours, x, masks), by_autograd(theirs, x, masks), rtol=1e-6, atol=1e-9)
    assert_close(ours.buffers, theirs.buffers)


def test_parameters_are_found_by_name() -> None:
    """Also where the weight was taken off and put on again, which puts it after the bias."""
    torch.manual_seed(0)
    module = nn.Sequential(Linear(3, 4), BatchNorm(4), Linear(4, 4))
    for layer in module:
        weight = layer.weight
        del layer.weight
        layer.weight = weight
    stack, x = Stack([module], stacked=True, device=CPU), torch.randn(1, 5, 3)
    assert is_chain(stack.template)
    assert_close(step(stack, x, {}), by_autograd(stack, x, {}))


def test_gradients_of_large_layers_are_autograds() -> None:
    """Those that oneDNN multiplies where it can; and a trial's have the same bits in any company."""
    torch.manual_seed(0)
    modules = [nn.Sequential(Linear(200, 100), ACTIVATIONS["relu"](), Linear(100, 170)) for _ in range(4)]
    stack, x = Stack(modules, stacked=True, device=CPU), torch.randn(4, 20, 200)
    logits, found = step(stack, x, {})
    assert_close((logits, found), by_autograd(stack, x, {}), rtol=1e-4, atol=1e-4)
    for some in (slice(1), slice(1, 3)):
        few = Stack(modules[some], stacked=True, device=CPU)
        own_logits, own = step(few, x[some], {})
        assert own_logits.equal(logits[some])
        assert all(own[name].equal(of_all[some]) for name, of_all in found.items())


@dataclass
class Scaling:
    """A function that has no hash."""

    factor: float

    def __call__(self, x: Tensor) -> Tensor:
        return self.factor * x


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


def repeated() -> nn.Module:
    activation = ACTIVATIONS["tanh"]()
    return nn.Sequential(Linear(4, 4), activation, Linear(4, 3), activation, Linear(3, 2))


def flattened_later() -> nn.Module:
    return nn.Sequential(ACTIVATIONS["relu"](), Flatten(1), Linear(4, 2))


def with_a_parameter_more() -> nn.Module:
    module = nn.Sequential(Linear(4, 4), ACTIVATIONS["relu"](), Linear(4, 2))
    module[0].register_parameter("more", nn.Parameter(torch.ones(2)))
    return module


def of_an_own_object() -> nn.Module:
    return nn.Sequential(Linear(4, 4), Elementwise(Scaling(2.0)), Linear(4, 2))


def nested() -> nn.Module:
    return nn.Sequential(nn.Sequential(Linear(4, 4), ACTIVATIONS["relu"]()), Linear(4, 2))


@pytest.mark.parametrize(
    "module",
    [
        tied,
        repeated,
        frozen,
        of_own_function,
        of_an_own_object,
        hooked,
        flattened_later,
        with_a_parameter_more,
        nested,
    ],
)
def test_other_modules_are_differentiated_as_a_whole(module: Callable[[], nn.Module]) -> None:
    """Layers that stand twice or have more parameters, fixed weights, own functions and hooks count."""
    torch.manual_seed(0)
    modules, x = [module(), module()], torch.randn(2, 5, 4)
    stack = Stack(modules, stacked=True, device=CPU)
    assert not is_chain(stack.template)
    logits, found = step(stack, x, {})
    for trial, own in enumerate(modules):
        output = own(x[trial])
        assert_close(logits[trial], output)
        trained = [each for each in own.parameters() if each.requires_grad]
        theirs = torch.autograd.grad(scalar_of(output), trained, allow_unused=True, materialize_grads=True)
        assert_close([view[trial] for view in found.values()], list(theirs))
