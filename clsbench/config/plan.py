"""From an experiment to what is to be trained: comparisons, arms, trials and stacks. Pure, and cheap."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from clsbench.config.schema import DatasetEntry, Experiment, LossEntry, ModelEntry, OptimizerConfig
from clsbench.errors import ConfigError
from clsbench.registry import Registry

MAX_TRIALS = 100_000
MAX_STACK = 256

SCHEDULE_KEYS = ("warmup", "step", "gamma")
OPTIMIZER_KEYS = ("lr", "momentum", "weight_decay", "eps", "clip_norm")


@dataclass(frozen=True)
class Arm:
    """The trials that differ by seed alone. `settings` holds one value of every number of the optimizer
    and of its schedule; `comparison` counts the comparisons from 0."""

    name: str
    comparison: int
    dataset: DatasetEntry
    model: ModelEntry
    scale: float
    batch_size: int
    loss: LossEntry
    settings: Mapping[str, Any]

    @property
    def lr(self) -> float:
        return float(self.settings["lr"])

    @property
    def setting(self) -> str:
        """What must be said with the loss's name: its options, its weight and its learning rate."""
        shown = {**self.loss.options, "weight": self.loss.weight, "lr": self.settings["lr"]}
        return ", ".join(f"{key}={_as_json(value)}" for key, value in shown.items() if value is not None)


@dataclass(frozen=True)
class Trial:
    """One training run: an arm and a seed, numbered in plan order."""

    number: int
    arm: Arm
    seed: int


@dataclass(frozen=True)
class Plan:
    """All that an experiment asks for, in order."""

    experiment: Experiment
    arms: tuple[Arm, ...]
    trials: tuple[Trial, ...]

    @property
    def num_trial_epochs(self) -> int:
        return len(self.trials) * self.experiment.train.epochs

    @property
    def comparisons(self) -> list[list[Arm]]:
        """The arms with the same dataset, model and batch size, together."""
        return [list(group) for _, group in itertools.groupby(self.arms, key=lambda arm: arm.comparison)]

    def stacks(self, catalogue: Registry) -> list[list[Trial]]:
        """The trials that can be one tensor program, in pieces of at most `train.stack`.

        Models whose layers take no trial axis run one trial at a time.
        """
        together: dict[str, list[Trial]] = {}
        for trial in self.trials:
            together.setdefault(self._stack_key(trial.arm), []).append(trial)
        asked = self.experiment.train.stack
        limit = MAX_STACK if asked == "auto" else int(asked)
        pieces = []
        for trials in together.values():
            stacked = catalogue.get("model", trials[0].arm.model.name).facts["stacked"]
            size = limit if stacked else 1
            pieces += [trials[start : start + size] for start in range(0, len(trials), size)]
        return pieces

    def _stack_key(self, arm: Arm) -> str:
        shape: list[Any] = [arm.dataset.key, arm.model.name, arm.model.options, arm.model.init.weights]
        shape += [arm.model.init.bias, arm.loss.name, arm.loss.options, arm.batch_size]
        return json.dumps(shape, sort_keys=True)


def make_plan(experiment: Experiment) -> Plan:
    """Multiply an experiment out.

    Raises:
        ConfigError: the grid is too large, or two arms have one name.
    """
    mistake = plan_mistake(experiment)
    if mistake is not None:
        raise ConfigError(mistake)
    arms = tuple(_arms(experiment))
    numbered = enumerate(itertools.product(arms, experiment.train.seed_list))
    return Plan(experiment, arms, tuple(Trial(number, arm, seed) for number, (arm, seed) in numbered))


def plan_mistake(experiment: Experiment) -> str | None:
    """Why an experiment cannot be multiplied out; None where it can."""
    size = _most_trials(experiment)
    if size > MAX_TRIALS:
        return f"the grid has up to {size:,} trials; the limit is {MAX_TRIALS:,}: sweep less, or fewer seeds"
    names = Counter(arm.name for arm in _arms(experiment))
    name, times = names.most_common(1)[0]
    return None if times == 1 else f"{times} arms are called {name!r}; give their entries distinct labels"


def _most_trials(experiment: Experiment) -> int:
    swept = math.prod(len(values) for values in _optimizer_values(experiment.optimizer, None).values())
    scales = sum(len(model.init.scale) for model in experiment.model)
    grounds = len(experiment.dataset) * scales * len(experiment.train.batch_size)
    return grounds * len(experiment.loss) * swept * experiment.train.num_seeds


def _arms(experiment: Experiment) -> Iterator[Arm]:
    scales = [(model, scale) for model in experiment.model for scale in model.init.scale]
    grounds = itertools.product(experiment.dataset, scales, experiment.train.batch_size)
    for comparison, (dataset, (model, scale), batch_size) in enumerate(grounds):
        ground = {
            **({"dataset": dataset.title} if len(experiment.dataset) > 1 else {}),
            **({"model": model.title} if len(experiment.model) > 1 else {}),
            **({"scale": scale} if len(model.init.scale) > 1 else {}),
            **({"batch_size": batch_size} if len(experiment.train.batch_size) > 1 else {}),
        }
        for loss in experiment.loss:
            values = _optimizer_values(experiment.optimizer, loss.lr)
            for combination in itertools.product(*values.values()):
                settings = dict(zip(values, combination, strict=True))
                swept = ground | {key: settings[key] for key in values if len(values[key]) > 1}
                name = _arm_name(loss.title, swept)
                yield Arm(name, comparison, dataset, model, float(scale), batch_size, loss, settings)


def _optimizer_values(optimizer: OptimizerConfig, own_lr: float | None) -> dict[str, tuple[Any, ...]]:
    values = {key: getattr(optimizer, key) for key in OPTIMIZER_KEYS}
    values |= {key: getattr(optimizer.schedule, key) for key in SCHEDULE_KEYS}
    return values if own_lr is None else values | {"lr": (own_lr,)}


def _arm_name(label: str, swept: Mapping[str, Any]) -> str:
    parts = [f"{key}={_as_json(value)}" for key, value in sorted(swept.items())]
    return " ".join([label, *parts])


def _as_json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
