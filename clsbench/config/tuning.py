"""Checks of tuning, stopping and matched weights that need several sections; each mistake has its path."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PlainValidator, ValidationError, create_model

from clsbench.config.entries import DatasetEntry, Entry, Frozen, LossEntry
from clsbench.config.grid import axes_of_losses, takes
from clsbench.config.optimizer import without_foreign
from clsbench.config.options import numbers_of
from clsbench.config.schema import (
    DEFAULT_GRID,
    DEFAULT_OPTIMIZER,
    FIRST_TUNING_SEED,
    SCHEDULE_KEYS,
    Experiment,
    Grid,
    OptimizerConfig,
    TuneConfig,
)
from clsbench.config.values import Trials, mistake, number
from clsbench.config.wording import Mistake, mistakes_of
from clsbench.config.yaml_text import Path
from clsbench.metrics.measures import Measured, Posing, headline, on_split
from clsbench.problems import Posed, Problem
from clsbench.registry import Kind, Spec, catalogue


def tune_type(spec: Spec) -> type[TuneConfig]:
    """The type of the section `tune` for an optimizer: its grid has the numbers of the optimizer and of losses."""
    return _tune_type(spec, tuple(sorted({name for loss in catalogue.losses() for name in numbers_of(loss)})))


@functools.cache
def _tune_type(spec: Spec, of_losses: tuple[str, ...]) -> type[TuneConfig]:
    trials: Any = Trials
    axes: dict[str, Any] = {name: (trials[kind], ()) for name, kind in numbers_of(spec).items()}
    bases: Any = (Grid, create_model(f"numbers of {spec.name}", __base__=Frozen, **axes))
    kind: Any = trials[Annotated[int | float, PlainValidator(number())]]
    options: dict[str, Any] = {name: (kind, ()) for name in of_losses if name not in {**axes, **Grid.model_fields}}
    grid: Any = Annotated[create_model(f"grid of {spec.name}", __base__=bases, **options), AfterValidator(_not_empty)]
    described = TuneConfig.model_fields["grid"].description
    default: Any = Field(DEFAULT_GRID, validate_default=True, description=described)
    return create_model(f"tuning of {spec.name}", __base__=TuneConfig, grid=(grid, default))


def _not_empty(grid: Grid) -> Grid:
    if not grid.axes:
        raise mistake(f"an empty grid; give values for one or more of {', '.join(type(grid).model_fields)}")
    return grid


def read_tune(value: Any, spec: Spec | None, mistakes: list[Mistake]) -> TuneConfig | None:
    """The section `tune` for an optimizer; no grid can be read for an unknown one."""
    if value is None:
        return None
    if isinstance(value, Mapping) and isinstance(grid := value.get("grid"), Mapping) and grid:
        value = {key: part for key, part in value.items() if key != "grid"}
        if spec is not None:
            grid, foreign = without_foreign(grid, spec, tuned=True)
            mistakes.extend((("tune", "grid", key), text) for key, text in foreign)
            value |= {"grid": grid} if grid else {}
    kind = tune_type(spec or catalogue.get("optimizer", DEFAULT_OPTIMIZER))
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        mistakes.extend((("tune", *where), text) for where, text in mistakes_of(error))
        return None


def with_protocol(value: Any, datasets: Iterable[Entry]) -> Any:
    """The section `tune` as it is given, with the protocol for these datasets if it names none.

    Where each seed tests other samples of one set, what one seed tests others train on, so that one setting for all
    seeds can only be chosen by what is left: each seed tunes inside its own split instead.
    """
    if not isinstance(value, Mapping) or "protocol" in value:
        return value
    return {**value, "protocol": "per_arm_per_seed"} if any(map(_tests_share_samples, datasets)) else value


def _tests_share_samples(entry: Entry) -> bool:
    """Whether each seed tests samples of one set that others may train on."""
    return (
        isinstance(entry, DatasetEntry)
        and entry.split_seed == "per_seed"
        and entry.test_fraction is not None
        and not catalogue.get("dataset", entry.name).drawn
    )


def with_metric(section: str, value: Any, datasets: Iterable[Entry]) -> Any:
    """The section `tune` or `stop` as it is given, with the problem's own metric if it names none.

    Tuning goes by the headline, a stop by the second metric, which moves where the headline rests.
    """
    kind = _kind_of(datasets)
    if kind is None or not isinstance(value, Mapping) or "metric" in value:
        return value
    return {**value, "metric": headline(kind, "val") if section == "tune" else f"val_{kind.second}"}


def _kind_of(datasets: Iterable[Entry]) -> type[Problem] | None:
    """The kind of problem that all datasets pose; None if there are several, or if one is not known."""
    kinds = {each.posed.kind for each in datasets if isinstance(each, DatasetEntry)}
    return kinds.pop() if len(kinds) == 1 else None


def tune_mistakes(
    tune: TuneConfig, optimizer: OptimizerConfig, found: Mapping[Kind, Mapping[Path, Entry]]
) -> Iterable[Mistake]:
    """Settings that are both tuned and given, and metrics that tuning lacks."""
    swept = {key for key, values in optimizer.swept.items() if len(values) > 1}
    for key in tune.grid.axes:  # the losses' gamma cannot be tuned beside a sweep of the schedule's either
        if key in swept:
            section = ("schedule",) if key in SCHEDULE_KEYS else ()
            yield ("optimizer", *section, key), f"{key} is tuned, so it cannot be swept too; drop one of the two"
    for path, entry in found["loss"].items():
        if isinstance(entry, LossEntry) and entry.lr is not None and "lr" in tune.grid.axes:
            yield (*path, "lr"), "lr is tuned, so a loss cannot bring its own; drop one of the two"
    losses = {path: entry for path, entry in found["loss"].items() if isinstance(entry, LossEntry)}
    yield from option_mistakes(tune, optimizer, losses)
    yield from metric_mistakes("tune", tune.metric, found)


def option_mistakes(
    tune: TuneConfig, optimizer: OptimizerConfig, losses: Mapping[Path, LossEntry]
) -> Iterable[Mistake]:
    """Tuned options that no loss has, that one gives or cannot take, or that cannot be shared."""
    axes = axes_of_losses(tune.grid, optimizer, list(losses.values()))
    for key, values in axes.items():
        having = {path: entry for path, entry in losses.items() if takes(entry, key)}
        if not having:
            yield ("tune", "grid", key), f"no loss here has an option {key}; leave it out"
        elif tune.protocol == "shared" and len(having) < len(losses):
            yield ("tune", "grid", key), f"not every loss has an option {key}, so they cannot share it; use per_arm"
        for path, entry in having.items():
            if getattr(entry, key) != type(entry).model_fields[key].default:
                yield (*path, key), f"{key} is tuned, so a loss cannot bring its own; drop one of the two"
            yield from _refused(entry, key, values)
    if axes and any(entry.weight == "match" for entry in losses.values()):
        yield (
            ("tune", "grid", next(iter(axes))),
            "losses that match the first one need it as it is; drop one",
        )
    if optimizer.schedule.name == "step" and 0 in tune.grid.axes.get("gamma", ()):
        yield ("tune", "grid", "gamma"), "must be above 0: it is the factor of each drop of the schedule"


def _refused(entry: LossEntry, key: str, values: Iterable[Any]) -> Iterable[Mistake]:
    """Values that a loss does not take."""
    for value in values:
        try:
            type(entry).model_validate({"name": entry.name, key: value})
        except ValidationError as error:
            own = [text for where, text in mistakes_of(error) if where[:1] == (key,)]
            yield from ((("tune", "grid", key), f"{entry.name}: {text}") for text in own)


def metric_mistakes(section: str, metric: str, found: Mapping[Kind, Mapping[Path, Entry]]) -> Iterable[Mistake]:
    """Validation metrics that a section chooses by and some dataset or loss does not have."""
    for path, entry in found["dataset"].items():
        if not isinstance(entry, DatasetEntry):
            continue
        if not entry.val_fraction:
            yield (*path, "val_fraction"), f"`{section}` goes by validation data; give a fraction above 0"
        if reason := foreign(metric, entry.posed.kind) or lacking(metric, entry.posed):
            yield (section, "metric"), reason
    metrics = chosen_by(_kind_of(found["dataset"].values()))
    if metric not in metrics:
        return
    if section == "stop" and metrics[metric].at_last:
        yield (section, "metric"), f"{metric} is measured after the last epoch alone; use val_nll"
    for entry in found["loss"].values():
        if metrics[metric].needs_probabilities and catalogue.get("loss", entry.name).link == "identity":
            others = [name for name, each in metrics.items() if not (each.needs_probabilities or each.of_some_data)]
            yield (section, "metric"), f"{entry.name} gives no probabilities, so no {metric}; use {' or '.join(others)}"


def chosen_by(problem: Posing | None) -> dict[str, Measured]:
    """The validation metrics of a problem that tuning can choose by."""
    return {name: each for name, each in on_split("val", problem).items() if not each.by_class}


def foreign(metric: str, problem: Posing | None) -> str | None:
    """Why tuning cannot choose by a metric that a problem does not have; None if it can, or if it is not known."""
    if problem is None or metric in chosen_by(problem):
        return None
    return f"{metric} is not a metric of {problem.kind}; one of {', '.join(chosen_by(problem))}"


def lacking(metric: str, known: Posed) -> str | None:
    """Why tuning cannot choose by a metric of some data alone; None if it can, as far as is known."""
    spec, problem = on_split("val")[metric].metric, known.problem
    if spec is None or problem is None:
        return None
    if spec.ranks and not problem.ranks:
        return f"{metric} is for two classes, and there are {len(problem.names)}; use val_balanced_accuracy"
    if "class_distances" in spec.needs and not problem.ordered:
        return f"{metric} is for classes that have an order; use val_accuracy"
    if "posterior" in spec.needs and known.has_posterior is False:
        return f"{metric} is for data whose true probabilities are known; use val_nll"
    return None


def seed_mistake(experiment: Experiment) -> Mistake | None:
    """A seed of the experiment that tuning uses too."""
    tune, seeds = experiment.tune, experiment.train.seeds
    if tune is None:
        return None
    if tune.is_per_seed:
        largest = seeds - 1 if isinstance(seeds, int) else max(seeds)
        if largest < FIRST_TUNING_SEED:
            return None
        text = f"seed {largest} may be one of tuning's own, which count from {FIRST_TUNING_SEED}; name smaller ones"
        return ("train", "seeds"), text
    own = range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + tune.seeds)
    # Not by a list of all seeds: their number is checked later.
    shared = range(own[0], seeds) if isinstance(seeds, int) else [seed for seed in seeds if seed in own]
    if not shared:
        return None
    return ("train", "seeds"), f"seed {shared[0]} is one of tuning's own, {own[0]} to {own[-1]}; name others"


def match_mistakes(losses: Mapping[Path, Entry]) -> Iterable[Mistake]:
    for path, entry in losses.items():
        if path in (("loss",), ("loss", 0)) and isinstance(entry, LossEntry) and entry.weight == "match":
            yield (*path, "weight"), "the other losses match the first; give it a number"
