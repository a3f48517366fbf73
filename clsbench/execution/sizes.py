"""How much a step of a trial multiplies, from the size of its network."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor

from clsbench.config.arms import Arm
from clsbench.containment import contained
from clsbench.forks import apart
from clsbench.registry import Size, catalogue

# By function, options, shape of a sample and number of outputs: a model is built once in a process.
_COUNTS: dict[tuple[Callable[..., Any], str, tuple[int, ...], int], int | None] = {}
# With so many parameters a step of any batch is large, and the model is not built.
MANY_PARAMETERS = 10_000_000


def multiplications(arm: Arm, size: Size | None, shape: tuple[int, ...], num_outputs: int) -> int | None:
    """The multiplications of a step of one trial, forward only; None if its model cannot be counted.

    Models that stack use each weight once. Others are tried on one sample, in a process of its own.
    """
    spec, options = catalogue.get("model", arm.model.name), arm.model.options
    if size is not None and (spec.stacked or size.parameters >= MANY_PARAMETERS):
        return arm.batch_size * size.parameters
    known = spec.factory, repr(sorted(options.items())), shape, num_outputs
    if known not in _COUNTS:
        _COUNTS[known] = apart(lambda: _of_sample(lambda: spec.factory(shape, num_outputs, **options), shape), None)
    found = _COUNTS[known]
    return None if found is None else arm.batch_size * found


def _of_sample(build: Callable[[], torch.nn.Module], shape: tuple[int, ...]) -> int | None:
    """The multiplications of a model of unknown size for one sample; those with many parameters use each once."""
    with torch.random.fork_rng(devices=[]), contained():
        torch.set_num_threads(1)  # a process that used several could not be forked
        try:
            with torch.device("meta"):
                parameters = _parameters(build())
            return parameters if parameters >= MANY_PARAMETERS else _counted(build().eval(), shape)
        except (Exception, SystemExit):  # training reports what is wrong; some cannot be built on the meta device
            return None


def _counted(model: torch.nn.Module, shape: tuple[int, ...]) -> int:
    """The multiplications of a model for one sample: of products and convolutions, and the most that others may take.

    PyTorch's own counter imports the compiler, which takes a second.
    """
    found, known = 0, set[torch.nn.Module]()

    def seen(module: torch.nn.Module, given: tuple[Tensor, ...], result: Tensor) -> None:
        nonlocal found
        if (products := _products(module, given, result)) is not None:
            found += products
            known.add(module)

    for module in model.modules():
        module.register_forward_hook(seen)
    with torch.no_grad():
        model(torch.zeros(1, *shape))
    return found + prod(shape[1:]) * (_parameters(model) - sum(map(_parameters, known)))


def _parameters(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def _products(module: torch.nn.Module, given: tuple[Tensor, ...], result: Tensor) -> int | None:
    """The multiplications of a layer that gave this result; None if it is neither linear nor a convolution."""
    match module:
        case torch.nn.Linear():
            return result.numel() * module.in_features
        case torch.nn.ConvTranspose1d() | torch.nn.ConvTranspose2d() | torch.nn.ConvTranspose3d():
            return given[0].numel() * module.weight[0].numel()
        case torch.nn.Conv1d() | torch.nn.Conv2d() | torch.nn.Conv3d():
            return result.numel() * module.weight[0].numel()
    return None
