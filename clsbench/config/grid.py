"""Tuning's grid: what each loss tries of it, and tuning as an experiment. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from clsbench.config.entries import LossEntry
from clsbench.config.naming import named_by
from clsbench.config.schema import Experiment, Grid, OptimizerConfig, TuneConfig


def settings_for(experiment: Experiment, loss: LossEntry) -> list[dict[str, Any]]:
    """Every setting of the grid for a loss, in grid order: the last key changes fastest."""
    own = axes_for(experiment, loss)
    return [dict(zip(own, values, strict=True)) for values in itertools.product(*own.values())]


def grid_experiment(experiment: Experiment, tune: TuneConfig, seeds: Sequence[int]) -> Experiment:
    """Tuning as an experiment: a sweep over the grid."""
    train = experiment.train.model_copy(update={"seeds": seeds})
    _, axes = parted(experiment, tune.grid.axes)
    losses = {
        (loss.key, entry.key): entry
        for loss in experiment.loss
        for setting in settings_for(experiment, loss)
        for entry in [tried(loss, parted(experiment, setting)[0])]
    }
    return experiment.model_copy(
        update={
            "optimizer": experiment.optimizer.sweeping(axes),
            "loss": tuple(losses.values()),
            "train": train,
            "tune": None,
        }
    )


def parted(experiment: Experiment, settings: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings that are options of a loss, and the others."""
    of_losses = _axes_of_losses(experiment)
    own = {key: value for key, value in settings.items() if key in of_losses}
    return own, {key: value for key, value in settings.items() if key not in of_losses}


def tried(loss: LossEntry, setting: Mapping[str, Any]) -> LossEntry:
    """A loss as tuning tries it, at some of its options; told from the others by its label."""
    if not setting:
        return loss
    return loss.model_copy(update={**setting, "label": named_by(loss.title, setting)})


def takes(loss: LossEntry, key: str) -> bool:
    """Whether a loss has an option, or a weight for each class, that a grid may tune."""
    return key == "class_weight" or key in loss.options


def axes_of_losses(grid: Grid, optimizer: OptimizerConfig, losses: Sequence[LossEntry]) -> dict[str, tuple[Any, ...]]:
    """The keys of a grid that are options of losses, with their values.

    A key of the optimizer or its schedule is theirs, but `gamma` of a schedule that has no drops is the losses'.
    """
    own = set(optimizer.swept)
    if optimizer.schedule.name != "step" and any(takes(loss, "gamma") for loss in losses):
        own.discard("gamma")
    return {key: values for key, values in grid.axes.items() if key not in own}


def axes_for(experiment: Experiment, loss: LossEntry) -> dict[str, tuple[Any, ...]]:
    """The keys of the grid that a loss tries, with their values."""
    axes = {} if experiment.tune is None else experiment.tune.grid.axes
    foreign = {key for key in _axes_of_losses(experiment) if not takes(loss, key)}
    return {key: values for key, values in axes.items() if key not in foreign}


def _axes_of_losses(experiment: Experiment) -> dict[str, tuple[Any, ...]]:
    tune = experiment.tune
    return {} if tune is None else axes_of_losses(tune.grid, experiment.optimizer, experiment.loss)
