"""Initial weights: distributions by formula, and what they may depend on."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

import clsbench.models  # noqa: F401 - registers them
from clsbench.models.initialisation import WEIGHTS, initial_module
from clsbench.registry import catalogue
from clsbench.training.rng import generator_for

FAN_IN, FAN_OUT = 400, 300


def initial(
    model: str = "mlp",
    shape: tuple[int, ...] = (4,),
    num_outputs: int = 3,
    seed: int = 0,
    *,
    weights: str = "default",
    scale: float = 1.0,
    bias: str = "default",
    **options: Any,
) -> nn.Module:
    build = partial(catalogue.get("model", model).factory, shape, num_outputs, **options)
    return initial_module(build, generator_for("weights", seed), weights=weights, scale=scale, bias=bias)


def wide(**init: Any) -> tuple[Tensor, Tensor]:
    """Weight and bias of a layer with so many numbers that its distribution shows."""
    weight, bias = initial("linear", (FAN_IN,), FAN_OUT, **init).parameters()
    return weight.detach(), bias.detach()


def equal(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def test_default_is_pytorchs_own() -> None:
    """By default a model starts as PyTorch's constructors would start it under the same seed."""
    module = initial("mlp", (4,), 3, seed=5, hidden=[6, 5])
    torch.manual_seed(generator_for("weights", 5).initial_seed())
    expected = nn.Sequential(nn.Linear(4, 6), nn.Linear(6, 5), nn.Linear(5, 3))
    assert equal(expected, module)


@pytest.mark.parametrize("scale", [0.0, 1.0, 2.5])
@pytest.mark.parametrize(
    ("weights", "deviation"),
    [
        ("normal", 1.0),
        ("xavier_normal", math.sqrt(2 / (FAN_IN + FAN_OUT))),
        ("kaiming_normal", math.sqrt(2 / FAN_IN)),
    ],
)
def test_normal_weights(weights: str, deviation: float, scale: float) -> None:
    """Mean zero and the formula's deviation times `scale`; two thirds lie within one deviation."""
    weight, _ = wide(weights=weights, scale=scale)
    assert pytest.approx(0, abs=0.02 * scale * deviation) == weight.mean().item()
    assert pytest.approx(scale * deviation, rel=0.01) == weight.std().item()
    if scale:
        assert pytest.approx(0.683, abs=0.01) == (weight.abs() < scale * deviation).float().mean().item()


@pytest.mark.parametrize("scale", [1.0, 2.5])
@pytest.mark.parametrize(
    ("weights", "bound"),
    [
        ("default", 1 / math.sqrt(FAN_IN)),
        ("uniform", 1.0),
        ("xavier_uniform", math.sqrt(6 / (FAN_IN + FAN_OUT))),
        ("kaiming_uniform", math.sqrt(6 / FAN_IN)),
    ],
)
def test_uniform_weights(weights: str, bound: float, scale: float) -> None:
    """The weights fill the formula's interval times `scale`, evenly."""
    weight, _ = wide(weights=weights, scale=scale)
    assert pytest.approx(scale * bound, rel=0.001) == weight.abs().max().item()
    assert pytest.approx(scale * bound / math.sqrt(3), rel=0.01) == weight.std().item()


def test_zeros() -> None:
    """`zeros` leaves the weights zero and the biases as PyTorch has them."""
    weight, bias = wide(weights="zeros")
    assert 0 == weight.abs().max().item()
    assert torch.equal(wide()[1], bias)


@pytest.mark.parametrize("weights", ["default", "normal"])
def test_biases(weights: str) -> None:
    """`bias` is PyTorch's, zero, or normal with deviation 1; the weights and `scale` do not touch it."""
    default, zeros, normal = (wide(weights=weights, scale=3.0, bias=bias) for bias in ("default", "zeros", "normal"))
    assert pytest.approx(1 / math.sqrt(FAN_IN), rel=0.05) == default[1].abs().max().item()
    assert 0 == zeros[1].abs().max().item()
    assert pytest.approx(1, rel=0.1) == normal[1].std().item()
    assert torch.equal(default[0], zeros[0])
    assert torch.equal(default[0], normal[0])


@pytest.mark.parametrize("weights", ["normal", "zeros"])
def test_normalisation_layers_are_left_alone(weights: str) -> None:
    """A batch normalisation starts as the identity, whatever the initialisation."""
    module = initial("mlp", batch_norm=True, weights=weights, scale=3.0, bias="normal")
    state = module.state_dict()
    gains = [state[name.replace("running_mean", "weight")] for name in state if "running_mean" in name]
    offsets = [state[name.replace("running_mean", "bias")] for name in state if "running_mean" in name]
    assert_close([torch.ones(32)] * 2 + [torch.zeros(32)] * 2, gains + offsets)


def test_convolutions_count_their_window() -> None:
    """The fan-in of a convolution is channels times window."""
    first = next(initial("cnn", (8, 8, 8), 10, channels=[500], weights="kaiming_uniform").parameters())
    assert pytest.approx(math.sqrt(6 / (8 * 9)), rel=0.001) == first.abs().max().item()


@pytest.mark.parametrize("bias", ["default", "zeros", "normal"])
@pytest.mark.parametrize("weights", ["default", *WEIGHTS])
@pytest.mark.parametrize(("model", "shape"), [("mlp", (4,)), ("cnn", (1, 8, 8))])
def test_another_number_of_outputs_has_the_same_hidden_layers(
    model: str, shape: tuple[int, ...], weights: str, bias: str
) -> None:
    """At one seed, networks with one output and with ten differ in the last layer alone."""
    one, ten = (initial(model, shape, n, seed=3, weights=weights, bias=bias) for n in (1, 10))
    *hidden, _, _ = one.parameters()
    assert 4 <= len(hidden)
    assert all(torch.equal(a, b) for a, b in zip(hidden, ten.parameters(), strict=False))


@pytest.mark.parametrize("weights", ["default", "normal"])
def test_weights_hang_on_the_seed_alone(weights: str) -> None:
    """One seed gives one network whatever was drawn before, another seed another one."""
    first = initial(seed=1, weights=weights)
    torch.manual_seed(99)
    torch.rand(7)
    assert equal(first, initial(seed=1, weights=weights))
    assert not equal(first, initial(seed=2, weights=weights))


def test_global_randomness_is_left_as_it_was() -> None:
    """Building a model neither uses up nor reseeds the user's own random numbers."""
    before = torch.get_rng_state()
    initial(weights="normal", bias="normal", seed=4)
    assert torch.equal(before, torch.get_rng_state())


def test_streams_are_apart() -> None:
    """Purposes, seeds and epochs never share a generator, nor do keys that add up to the same."""
    keys = [("weights", 1), ("weights", 2), ("batches", 1, 2), ("batches", 2, 1), ("batches", 12), ("dropout", 1, 2)]
    seeds = {generator_for(*key).initial_seed() for key in keys}  # type: ignore[arg-type]
    assert len(keys) == len(seeds)
    assert generator_for("batches", 1, 2).initial_seed() in seeds
