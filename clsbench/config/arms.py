"""The arms of an experiment: what differs by seed alone. Pure."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from clsbench.config.entries import DatasetEntry, LossEntry, ModelEntry
from clsbench.config.grid import axes_for
from clsbench.config.naming import as_json, named_by
from clsbench.config.schema import Experiment, OptimizerConfig


@dataclass(frozen=True)
class Arm:
    """The trials that differ by seed alone.

    `settings` holds one value for every number of the optimizer and its schedule; `comparison` counts the
    comparisons from 0; `tuned` holds the settings that tuning chose, or says that it has yet to choose; `swept` has
    those of the loss and the optimizer that its name tells, by dotted key. `varied` are the dotted keys of which tuning
    chose several values, each for some seeds: `tuned` tells them, `settings` and `loss` have that of the first seed.
    """

    name: str
    comparison: int
    dataset: DatasetEntry
    model: ModelEntry
    scale: float
    batch_size: int
    loss: LossEntry
    settings: Mapping[str, Any]
    tuned: Mapping[str, Any] = field(default_factory=dict)
    swept: Mapping[str, Any] = field(default_factory=dict)
    varied: frozenset[str] = frozenset()

    @property
    def alike(self) -> str:
        """Its name without the dataset, the model and the batch size, the same in every comparison."""
        return named_by(self.loss.title, self.swept)

    @property
    def lr(self) -> float:
        return float(self.settings["lr"])

    @property
    def setting(self) -> str:
        """What is printed with the loss's name: its options, its weights and its learning rate."""
        own = {"weight": self.loss.weight, "class_weight": self.loss.class_weight, "lr": self.settings["lr"]}
        shown = {**self.loss.options, **own, **self.tuned}
        return ", ".join(f"{key}={as_json(value)}" for key, value in shown.items() if value is not None)


def most_trials(experiment: Experiment) -> int:
    """How many trials the grid of an experiment has at most: not expanded, and as if every loss swept `lr`."""
    swept = math.prod(len(values) for values in _optimizer_values(experiment.optimizer, None).values())
    scales = sum(len(model.init.scale) * model.num_points for model in experiment.model)
    grounds = len(experiment.dataset) * scales * len(experiment.train.batch_size)
    return grounds * sum(loss.num_points for loss in experiment.loss) * swept * experiment.train.num_seeds


def arms_of(experiment: Experiment, only: int | None = None) -> Iterator[Arm]:
    """The arms of an experiment in order, or those of one comparison."""
    models = [
        (point, setting | ({"scale": scale} if len(model.init.scale) > 1 else {}), scale)
        for model in experiment.model
        for setting, point in model.points()
        for scale in model.init.scale
    ]
    grounds = itertools.product(experiment.dataset, models, experiment.train.batch_size)
    for comparison, (dataset, (model, own, scale), batch_size) in enumerate(grounds):
        if only not in (None, comparison):
            continue
        ground = {
            **({"dataset": dataset.title} if len(experiment.dataset) > 1 else {}),
            **({"model": model.title} if len(experiment.model) > 1 else {}),
            **{f"model.{key}": value for key, value in own.items()},
            **({"batch_size": batch_size} if len(experiment.train.batch_size) > 1 else {}),
        }
        for setting, loss in (point for entry in experiment.loss for point in entry.points()):
            values = _optimizer_values(experiment.optimizer, loss.lr)
            own_setting = {f"loss.{key}": value for key, value in setting.items()}
            for combination in itertools.product(*values.values()):
                settings = dict(zip(values, combination, strict=True))
                swept = own_setting | {f"optimizer.{key}": settings[key] for key in values if len(values[key]) > 1}
                name = named_by(loss.title, ground | swept)
                tuned = dict.fromkeys(axes_for(experiment, loss), "tuned")
                yield Arm(name, comparison, dataset, model, float(scale), batch_size, loss, settings, tuned, swept)


def _optimizer_values(optimizer: OptimizerConfig, own_lr: float | None) -> dict[str, tuple[Any, ...]]:
    return optimizer.swept if own_lr is None else optimizer.swept | {"lr": (own_lr,)}
