"""How much a step of a trial multiplies, from the size of its network."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch

from clsbench.config.arms import Arm
from clsbench.containment import contained
from clsbench.forks import apart
from clsbench.registry import Size, catalogue

# By function, options, shape of a sample and number of outputs: a model is built once in a process.
_PARAMETERS: dict[tuple[Callable[..., Any], str, tuple[int, ...], int], int | None] = {}


def multiplications(arm: Arm, size: Size | None, shape: tuple[int, ...], num_outputs: int) -> int | None:
    """The multiplications of a step of one trial, forward only; None if its model cannot be counted.

    Where layers may use a weight at each place of a sample, as convolutions do, it is the most that they may be.
    """
    stacked = catalogue.get("model", arm.model.name).stacked
    parameters = _parameters(arm, shape, num_outputs) if size is None else size.parameters
    return None if parameters is None else arm.batch_size * parameters * (1 if stacked else prod(shape[1:]))


def _parameters(arm: Arm, shape: tuple[int, ...], num_outputs: int) -> int | None:
    """The number of parameters of a model of unknown size, which is built for that, without memory for them."""
    factory, options = catalogue.get("model", arm.model.name).factory, arm.model.options
    known = factory, repr(sorted(options.items())), shape, num_outputs
    if known not in _PARAMETERS:
        _PARAMETERS[known] = apart(lambda: _counted(lambda: factory(shape, num_outputs, **options)), otherwise=None)
    return _PARAMETERS[known]


def _counted(build: Callable[[], torch.nn.Module]) -> int | None:
    with torch.random.fork_rng(devices=[]), contained(), torch.device("meta"):
        try:
            return sum(parameter.numel() for parameter in build().parameters())
        except (Exception, SystemExit):  # training reports what is wrong; some cannot be built so
            return None
