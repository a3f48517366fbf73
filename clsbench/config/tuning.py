"""What only the sections together can say of tuning and of matched weights: mistakes, each with its path."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from clsbench.config.schema import (
    DatasetEntry,
    Entry,
    Experiment,
    LossEntry,
    OptimizerConfig,
    Schedule,
    TuneConfig,
)
from clsbench.config.wording import Mistake, mistakes_of
from clsbench.config.yaml_text import Path
from clsbench.registry import Kind, catalogue


def read_tune(value: Any, mistakes: list[Mistake]) -> TuneConfig | None:
    if value is None:
        return None
    try:
        return TuneConfig.model_validate(value)
    except ValidationError as error:
        mistakes.extend((("tune", *where), text) for where, text in mistakes_of(error, TuneConfig))
        return None


def swept(optimizer: OptimizerConfig, tune: TuneConfig) -> OptimizerConfig:
    """An optimizer that sweeps over the whole grid."""
    axes = tune.grid.axes
    own = {key: values for key, values in axes.items() if key in OptimizerConfig.model_fields}
    schedule = {key: values for key, values in axes.items() if key in Schedule.model_fields}
    return optimizer.model_copy(update={**own, "schedule": optimizer.schedule.model_copy(update=schedule)})


def tune_mistakes(
    tune: TuneConfig, optimizer: OptimizerConfig, found: Mapping[Kind, Mapping[Path, Entry]]
) -> Iterable[Mistake]:
    """Settings that are tuned and given too, and what tuning lacks to judge by."""
    for key in tune.grid.axes:
        section = () if key in OptimizerConfig.model_fields else ("schedule",)
        if len(getattr(optimizer.schedule if section else optimizer, key)) > 1:
            yield ("optimizer", *section, key), f"{key} is tuned, so it cannot be swept too; drop one of the two"
    for path, entry in found["dataset"].items():
        if isinstance(entry, DatasetEntry) and not entry.val_fraction:
            yield (*path, "val_fraction"), "tuning chooses on validation data; give a share above 0"
    for path, entry in found["loss"].items():
        if isinstance(entry, LossEntry) and entry.lr is not None and tune.grid.lr:
            yield (*path, "lr"), "lr is tuned, so a loss cannot bring its own; drop one of the two"
        if tune.metric != "val_accuracy" and catalogue.get("loss", entry.name).facts["link"] == "identity":
            yield ("tune", "metric"), f"{entry.name} gives no probabilities, so no {tune.metric}; use val_accuracy"


def seed_mistake(experiment: Experiment) -> Mistake | None:
    """A seed of the experiment that tuning would have seen."""
    tune, seeds = experiment.tune, experiment.train.seeds
    if tune is None:
        return None
    own = tune.seed_range
    # Not by listing them: their number is checked later.
    shared = range(own[0], seeds) if isinstance(seeds, int) else [seed for seed in seeds if seed in own]
    if not shared:
        return None
    return ("train", "seeds"), f"seed {shared[0]} is one of tuning's own, {own[0]} to {own[-1]}; name others"


def match_mistakes(losses: Mapping[Path, Entry]) -> Iterable[Mistake]:
    for path, entry in losses.items():
        if path in (("loss",), ("loss", 0)) and isinstance(entry, LossEntry) and entry.weight == "match":
            yield (*path, "weight"), "the first loss is what others match; give it a number"
