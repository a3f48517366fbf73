"""The models: shapes, and stacked layers against PyTorch's own, trial by trial."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

import clsbench.models  # noqa: F401 - registers them
from clsbench.models import layers
from clsbench.registry import catalogue
from clsbench.training.stack import Stack

CPU = torch.device("cpu")
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU}


@pytest.fixture(autouse=True)
def same_numbers_every_time() -> Iterator[None]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def built(name: str, shape: tuple[int, ...], num_outputs: int, seed: int = 0, **options: Any) -> nn.Module:
    torch.manual_seed(seed)
    module: nn.Module = catalogue.get("model", name).factory(shape, num_outputs, **options)
    return module


def torch_mlp(module: nn.Module, activation: type[nn.Module], batch_norm: bool) -> nn.Sequential:
    """The same perceptron of PyTorch's layers, with the weights of ours."""
    affine = [m for m in module.modules() if isinstance(m, nn.Linear)]
    parts: list[nn.Module] = [nn.Flatten()]
    for layer in affine:
        parts.append(nn.Linear(layer.in_features, layer.out_features))
        if layer is not affine[-1]:
            parts += [nn.BatchNorm1d(layer.out_features)] * batch_norm + [activation()]
    reference = nn.Sequential(*parts)
    names = [name for name in reference.state_dict() if "num_batches" not in name]
    values = {name: value.clone() for name, value in zip(names, in_order(module, names), strict=True)}
    reference.load_state_dict(values, strict=False)
    return reference


def in_order(module: nn.Module, names: list[str]) -> list[Tensor]:
    """Our state in the order of PyTorch's: both go layer by layer, and within one by these names."""
    known = {name: value for name, value in module.state_dict().items() if not name.endswith("mask")}
    assert [name.split(".")[-1] for name in names] == [name.split(".")[-1] for name in known]
    return list(known.values())


SHAPES = [
    ("linear", (2,), {}),
    ("linear", (3, 5, 4), {}),
    ("mlp", (7,), {"hidden": [5]}),
    ("mlp", (1, 8, 8), {"hidden": [5, 6, 7], "activation": "gelu", "batch_norm": True, "dropout": 0.5}),
    ("cnn", (1, 8, 8), {}),
    ("cnn", (3, 1, 5), {"channels": [2, 3, 4], "hidden": 6}),
]


@pytest.mark.parametrize("num_outputs", [1, 2, 10])
@pytest.mark.parametrize(("name", "shape", "options"), SHAPES)
def test_logits_have_one_column_per_output(name: str, shape: tuple[int, ...], options: Any, num_outputs: int) -> None:
    """A batch of samples of any shape becomes `[B, K]`, and another sample gives other logits."""
    module = built(name, shape, num_outputs, **options).eval()
    logits = module(torch.randn(6, *shape))
    assert (6, num_outputs) == logits.shape
    assert not torch.equal(logits[0], logits[1])


@pytest.mark.parametrize(("name", "shape", "options"), SHAPES)
def test_size_is_known_before_it_is_made(name: str, shape: tuple[int, ...], options: Any) -> None:
    """The size that a model tells is that of the module: its parameters, and what its layers put out for a sample."""
    component, module, made = catalogue.get("model", name), built(name, shape, 3, **options), []
    defaults = {option.name: option.default for option in component.options.values()}
    size = component.size(shape, 3, **{**defaults, **options})
    for layer in module.modules():
        if not isinstance(layer, nn.Sequential | layers.Flatten):
            layer.register_forward_hook(lambda layer, given, result: made.append(result.numel()))
    module(torch.randn(1, *shape))
    assert (sum(p.numel() for p in module.parameters()), math.prod(shape)) == (size.parameters, size.inputs)
    assert sum(made) <= size.activations <= 2 * sum(made)


@pytest.mark.parametrize(("hidden", "expected"), [([5], 3 * 5 + 5 + 5 * 2 + 2), ([5, 4], 20 + 24 + 10)])
def test_hidden_names_the_layers(hidden: list[int], expected: int) -> None:
    """Each entry of `hidden` is an affine layer of that width."""
    assert expected == sum(p.numel() for p in built("mlp", (3,), 2, hidden=hidden).parameters())


def test_linear_is_an_affine_map() -> None:
    """Softmax regression has no bend: the logits of a midpoint lie midway."""
    module = built("linear", (4,), 3)
    a, b = torch.randn(2, 5, 4)
    assert_close(module((a + b) / 2), (module(a) + module(b)) / 2)


def test_cnn_is_convolutions_and_pooling() -> None:
    """The network is PyTorch's functions, with its weights: ReLU may as well come before the pooling, to the last bit.

    The gradients as well, of images where many a window has no positive number.
    """
    module, x = built("cnn", (1, 8, 8), 10, channels=[4, 6], hidden=5), torch.randn(3, 1, 8, 8)
    w1, b1, w2, b2, w3, b3, w4, b4 = module.parameters()
    f = nn.functional
    h = f.max_pool2d(f.conv2d(x, w1, b1, padding=1).relu(), 2)
    h = f.max_pool2d(f.conv2d(h, w2, b2, padding=1).relu(), 2)
    ours, theirs = module(x), f.linear(f.linear(h.flatten(1), w3, b3).relu(), w4, b4)
    assert torch.equal(ours, theirs)
    gradients = [torch.autograd.grad(out.square().sum(), list(module.parameters())) for out in (ours, theirs)]
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_stacked_perceptrons_are_pytorchs(activation: str, batch_norm: bool) -> None:
    """Three trials in a stack have PyTorch's logits, gradients and running statistics, in training and out of it."""
    options = {"hidden": [6, 5], "activation": activation, "batch_norm": batch_norm}
    modules = [built("mlp", (1, 2, 2), 3, seed, **options) for seed in range(3)]
    references = [torch_mlp(module, ACTIVATIONS[activation], batch_norm) for module in modules]
    stack = Stack(modules, stacked=True, device=CPU)
    for size in (9, 4, 2):
        x = torch.randn(3, size, 1, 2, 2)
        stack.train(True)
        logits, backward = stack.tracked(x, {})
        expected = torch.stack([r.train()(x[t]) for t, r in enumerate(references)])
        assert_close(logits, expected)
        gradients = stack.views(backward(logits.square().sum())).values()
        for trial, reference in enumerate(references):
            own = [gradient[trial] for gradient in gradients]
            theirs = torch.autograd.grad(expected.square().sum(), list(reference.parameters()), retain_graph=True)
            assert_close(own, list(theirs), atol=1e-3, rtol=1e-3)  # normalising few samples cancels digits
    for trial, reference in enumerate(references):
        wanted = [v for name, v in reference.state_dict().items() if "running" in name]
        assert_close([v for name, v in stack.trial_state(trial).items() if "running" in name], wanted)
    x = torch.randn(3, 5, 1, 2, 2)
    stack.train(False)
    with torch.no_grad():
        assert_close(stack.forward(x), torch.stack([r.eval()(x[t]) for t, r in enumerate(references)]))


def test_unstacked_modules_run_side_by_side() -> None:
    """Any module of PyTorch's runs trial by trial: logits, running statistics and counters are its own."""

    def network() -> nn.Module:
        return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))

    modules, references = [network() for _ in range(2)], [network() for _ in range(2)]
    for module, reference in zip(modules, references, strict=True):
        reference.load_state_dict(module.state_dict())
    stack = Stack(modules, stacked=False, device=CPU)
    x = torch.randn(2, 5, 1, 4, 4)
    stack.train(True)
    assert_close(stack.forward(x), torch.stack([r(x[t]) for t, r in enumerate(references)]))
    for trial, reference in enumerate(references):
        assert_close(stack.trial_state(trial), dict(reference.state_dict()))
        network().load_state_dict(stack.trial_state(trial))


@pytest.mark.parametrize("number", [1, 2])
def test_unstacked_modules_learn_from_their_own_samples(number: int) -> None:
    """Their gradients are those of the modules alone, in the order of `weights`, which is what moves them."""

    def network() -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Conv2d(4, 2, 2, bias=False), nn.Flatten())

    modules, references = [network() for _ in range(number)], [network() for _ in range(number)]
    for module, reference in zip(modules, references, strict=True):
        reference.load_state_dict(module.state_dict())
    stack, x = Stack(modules, stacked=False, device=CPU), torch.randn(number, 5, 3, 6, 6)
    logits, backward = stack.tracked(x, {})
    gradients = backward(logits.square().sum())
    for trial, reference in enumerate(references):
        expected = torch.autograd.grad(reference(x[trial]).square().sum(), list(reference.parameters()))
        for theirs, ours in zip(expected, stack.views(gradients).values(), strict=True):
            assert_close(ours[trial], theirs)
    stack.weights.sub_(gradients)
    for trial, reference in enumerate(references):
        with torch.no_grad():
            for parameter, step in zip(reference.parameters(), stack.views(gradients).values(), strict=True):
                parameter.sub_(step[trial])
        assert_close(stack.forward(x)[trial], reference(x[trial]))
        state = stack.trial_state(trial)
        assert_close(state, dict(reference.state_dict()), rtol=0, atol=0)
        assert all(tensor.is_contiguous() for tensor in state.values())


def test_measuring_leaves_the_samples_alone() -> None:
    """A module that writes into its input writes into a copy."""
    network = nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(4, 2))
    stack = Stack([network], stacked=False, device=CPU)
    for x in (torch.randn(5, 1, 2, 2), torch.randn(5, 4)):
        before = x.clone()
        with torch.no_grad():
            stack.predictor(slice(None))(x)
        assert torch.equal(before, x)


def test_batch_of_one_is_normalised_by_running_statistics() -> None:
    """One sample alone has no deviation: it gets what evaluation would give it, and moves no statistic."""
    stack = Stack([built("mlp", (4,), 3, seed, batch_norm=True) for seed in range(2)], stacked=True, device=CPU)
    stack.train(True)
    stack.forward(torch.randn(2, 8, 4) + 3)
    before, x = stack.trial_state(0), torch.randn(2, 1, 4)
    logits = stack.forward(x)
    stack.train(False)
    assert torch.equal(stack.forward(x), logits)
    assert logits.isfinite().all()
    assert_close(stack.trial_state(0), before, rtol=0, atol=0)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_mask_keeps_the_mean(p: float) -> None:
    """A mask holds zeros, a share p of them, and 1 / (1 - p)."""
    mask = layers.Dropout(100, p).draw(200, torch.Generator().manual_seed(0))
    assert (200, 100) == mask.shape
    assert_close(torch.tensor([0.0, 1 / (1 - p)]), mask.unique())
    assert pytest.approx(p, abs=0.01) == (mask == 0).float().mean().item()


@pytest.mark.parametrize("stacked", [True, False])
def test_dropout_acts_in_training_alone(stacked: bool) -> None:
    """A stack applies its masks in training, whether or not its layers take a trial axis, and none in evaluation."""
    stack = Stack([built("mlp", (4,), 3, dropout=0.5) for _ in range(2)], stacked=stacked, device=CPU)
    x = torch.randn(2, 6, 4)
    masks = stack.dropout_masks([0, 1], step=(1, 0), batch_size=6)
    assert [(2, 6, 32)] * 2 == [tuple(mask.shape) for mask in masks.values()]
    stack.train(False)
    evaluated = stack.forward(x, masks=masks)
    assert torch.equal(evaluated, stack.forward(x))
    stack.train(True)
    assert not torch.equal(evaluated, stack.forward(x, masks=masks))
    zeros = {name: torch.zeros_like(mask) for name, mask in masks.items()}
    last = list(stack.parameters.values())[-1]
    assert_close(stack.forward(x, masks=zeros), last.detach()[:, None].expand(2, 6, 3))


def test_dropout_depends_on_seed_and_step_alone() -> None:
    """A seed draws the same masks beside any other seeds, and other ones at another step and in another layer."""
    stack = Stack([built("mlp", (4,), 3, dropout=0.5)] * 2, stacked=True, device=CPU)
    draw: Callable[..., dict[str, Tensor]] = partial(stack.dropout_masks, step=(1, 0), batch_size=6)
    first, second = draw([7, 8]).values()
    swapped, _ = draw([8, 7]).values()
    (alone,) = next(iter(draw([7]).values()))
    assert torch.equal(alone, first[0])
    assert torch.equal(first.flip(0), swapped)
    others = [first[1], second[0], *(next(iter(draw([7], step=step).values()))[0] for step in ((1, 1), (2, 0)))]
    assert not any(torch.equal(alone, other) for other in others)


@pytest.mark.parametrize("name", ["sigmoid", "gelu"])
def test_activations_are_exact(name: str) -> None:
    """Our sigmoid and GELU are PyTorch's to rounding, in value and in gradient."""
    x = torch.linspace(-12, 12, 1001, dtype=torch.float64).requires_grad_()
    ours, theirs = layers.ACTIVATIONS[name]()(x), ACTIVATIONS[name]()(x)
    assert_close(ours, theirs)
    assert_close(*(torch.autograd.grad(y.sum(), x)[0] for y in (ours, theirs)))


@pytest.mark.parametrize("name", layers.ACTIVATIONS)
def test_activations_do_not_know_their_place(name: str) -> None:
    """A number's activation and gradient have the same bits wherever it stands in an array."""
    activation = layers.ACTIVATIONS[name]()
    for size in range(1, 40):
        x = torch.randn(size)
        wide = x.repeat(3).requires_grad_()
        (slope,) = torch.autograd.grad(activation(wide).sum(), wide)
        for part, found in ((activation(wide).detach(), activation(x)), (slope, slope[:size])):
            assert torch.equal(found.expand(3, size).flatten(), part)


def test_a_hook_sees_whether_a_stack_trains() -> None:
    """Also on layers that do the same in training and in evaluation."""
    module, seen = nn.Sequential(layers.Linear(2, 2)), list[bool]()
    module.register_forward_hook(lambda module, given, result: seen.append(module.training))
    stack = Stack([module, module], stacked=True, device=torch.device("cpu"))
    for mode in (True, False, True):
        stack.train(mode)
        stack.forward(torch.zeros(2, 3, 2))
    assert [True, False, True] == seen
