"""Initial weights: a function of the model, its initialisation, its number of outputs and the seed alone.

Layers are drawn in order, so that two networks that differ only in their outputs start from the same hidden layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from clsbench.containment import contained

WEIGHTS: dict[str, Callable[..., Tensor]] = {
    "normal": nn.init.normal_,
    "uniform": lambda tensor, generator: nn.init.uniform_(tensor, -1.0, 1.0, generator=generator),
    "xavier_normal": nn.init.xavier_normal_,
    "xavier_uniform": nn.init.xavier_uniform_,
    "kaiming_normal": nn.init.kaiming_normal_,
    "kaiming_uniform": nn.init.kaiming_uniform_,
    "zeros": lambda tensor, generator: nn.init.zeros_(tensor),
}


def initial_module(
    build: Callable[[], nn.Module], generator: torch.Generator, *, weights: str, scale: float, bias: str
) -> nn.Module:
    """A freshly built module with initial parameters drawn from `generator`.

    Args:
        build: constructs the module; PyTorch's constructors draw from the global generator, which is therefore seeded
            here from `generator`'s seed and restored afterwards.
        generator: the source of all other randomness.
        weights: `default` (as the constructors draw them) or a key of `WEIGHTS`, for every weight of two or more
            dimensions.
        scale: multiplies the weights; for `normal` it is their standard deviation.
        bias: `default`, `zeros`, or `normal` (standard deviation 1).
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(generator.initial_seed())
        with contained():
            module = build()
    with torch.no_grad():
        for weight, offset in _layers(module):
            if weights != "default":
                WEIGHTS[weights](weight, generator=generator)
            weight.mul_(scale)
            if offset is not None and bias != "default":
                offset.zero_() if bias == "zeros" else offset.normal_(generator=generator)
    return module


def _layers(module: nn.Module) -> Iterator[tuple[Tensor, Tensor | None]]:
    """The weight and bias of every affine layer or convolution; normalisation layers are left alone."""
    found: set[int] = set()
    for layer in module.modules():
        weight = getattr(layer, "weight", None)
        # Two layers may share a weight.
        if isinstance(weight, nn.Parameter) and weight.dim() >= 2 and id(weight) not in found:
            found.add(id(weight))
            yield weight, getattr(layer, "bias", None)
