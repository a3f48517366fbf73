"""The settings of a stack: those that its trials share, and those of each trial, as columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin

import torch
from torch import Tensor

from clsbench.registry import catalogue, column_of, is_number, suggestion
from clsbench.training.layout import ALL
from clsbench.training.stack import sent
from clsbench.training.stopping import Stop

Pair = tuple[Tensor, Tensor]
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class StackData:
    """The data of a stack: pairs `x [N, ...]`, `y [N]` on the stack's device.

    The posteriors `[N, C]` are the true probabilities of the classes, where they are known: metrics see them, and
    neither training nor a network does. If trials have different splits, all of these have a leading axis of S splits,
    and `places [T]` holds the split of each trial.
    """

    train: Pair
    val: Pair | None = None
    test: Pair | None = None
    val_posterior: Tensor | None = None
    test_posterior: Tensor | None = None
    places: Tensor | None = None


@dataclass(frozen=True)
class StackSettings:
    """The settings that all trials of a stack share.

    `compiled` trains by compiled graphs, whose last bits differ from those of eager steps; `precision` is that of the
    layers in a step; evaluation is in float32. `stop` ends trials before the last epoch. Without `decay_biases`, weight
    decay spares them.
    """

    batch_size: int
    epochs: int
    optimizer: str = "sgd"
    compiled: bool = False
    precision: Precision = "float32"
    stop: Stop | None = None
    decay_biases: bool = True


@dataclass(frozen=True)
class TrialSettings:
    """The settings of one trial of a stack.

    `options` are those of the optimizer besides `lr`; missing ones have their defaults. In an epoch, counted from 0,
    the learning rate is `lr` times `rate_factor(epoch)`.
    """

    seed: int
    lr: float
    options: Mapping[str, Any] = field(default_factory=dict)
    clip_norm: float | None = None
    loss_weight: float = 1.0
    rate_factor: Callable[[int], float] = lambda epoch: 1.0


StackedOptions = Mapping[str, Any]  # an optimizer's options as arguments of its update


def stacked_options(
    optimizer: str, trials: Sequence[Mapping[str, Any]], weights: Tensor, spared: Tensor | None = None
) -> StackedOptions:
    """The options of some trials without `lr`, as arguments of an update of `weights` (see `registry.optimizer`).

    `spared [P]` says of each weight whether weight decay leaves it; None for none.

    Raises:
        ValueError: the optimizer has no such option, or trials differ in one that is not a number.
    """
    known = {name: option for name, option in catalogue.get("optimizer", optimizer).options.items() if name != "lr"}
    if foreign := sorted({name for trial in trials for name in trial} - known.keys()):
        raise ValueError(
            f"optimizer {optimizer!r} has no option {foreign[0]!r} of a trial; {suggestion(foreign[0], known)}"
        )
    return {
        name: _stacked(option.annotation, [trial.get(name, option.default) for trial in trials], weights, spared)
        for name, option in known.items()
    }


def _stacked(annotation: Any, values: Sequence[Any], weights: Tensor, spared: Tensor | None) -> Any:
    """One option of all trials, by its annotation."""
    if is_number(annotation):
        form = column_of(annotation)
        if all(value == form.off for value in values):
            return None
        numbers = column(values, weights, torch.float64 if form.double else None)
        return numbers if spared is None or not form.decays else numbers * ~spared
    members = get_args(annotation)
    if get_origin(annotation) is tuple and all(map(is_number, members)):
        return tuple(_stacked(kind, [value[i] for value in values], weights, spared) for i, kind in enumerate(members))
    if any(value != values[0] for value in values):
        raise ValueError(
            f"trials of a stack must share options that are not numbers, and these have {values[0]!r} and others"
        )
    return values[0]


def options_of(options: StackedOptions, trials: slice) -> StackedOptions:
    """The options of some of the trials."""
    return options if trials == ALL else mapped_options(options, lambda column: column[trials])


def mapped_options(options: StackedOptions, function: Callable[[Tensor], Tensor]) -> StackedOptions:
    """The options with other columns."""
    return {name: _mapped(value, function) for name, value in options.items()}


def _mapped(value: Any, function: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(value, tuple):
        return tuple(_mapped(each, function) for each in value)
    return function(value) if isinstance(value, Tensor) else value


def clip_norms(trials: Sequence[TrialSettings], weights: Tensor) -> Tensor | None:
    """`[T, 1]`, infinite for trials that are not clipped; None if none is."""
    norms = [math.inf if trial.clip_norm is None else trial.clip_norm for trial in trials]
    return None if all(math.isinf(norm) for norm in norms) else column(norms, weights)


def column(values: Sequence[float], weights: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """`[T, 1]`: a number of each trial, on the weights' device, and in their precision unless another is given."""
    numbers = torch.tensor([float(value) for value in values], dtype=torch.float64)
    return sent(numbers.to(dtype or weights.dtype).unsqueeze(1), weights.device)
