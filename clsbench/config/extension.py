"""How tuning's grids grow by themselves beyond an edge on which a best value lies. Pure.

All arms of a comparison grow together, so that each tries the same values: at equal budget, whichever of them is at an
edge. Where each seed tunes inside its own split, the grids of a seed grow by its own results alone, for the others were
validated on samples that it tests.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from pydantic import ValidationError

from clsbench.config.arms import arms_of
from clsbench.config.entries import LossEntry
from clsbench.config.grid import grid_experiment, settings_for
from clsbench.config.optimizer import conflict_mistakes
from clsbench.config.plan import Axes, Extension, Ground, Plan, Trial
from clsbench.config.schema import Experiment, TuneConfig
from clsbench.config.tuning import option_mistakes
from clsbench.config.yaml_text import Path

Edge = Literal["low", "high"]
DIGITS = 12  # of a new value: 0.001, not 0.0009999999999999998


def axes_at(tune: TuneConfig, extensions: Sequence[Extension], ground: Ground) -> dict[str, tuple[Any, ...]]:
    """The values that the arms of a ground try, by key: those of the grid, then the new ones."""
    axes = dict(tune.grid.axes)
    for each in extensions:
        axes |= {key: (*axes[key], *new) for key, new in each.get(ground, {}).items()}
    return axes


def extension(experiment: Experiment, tuning: Plan, edges: Mapping[Ground, Mapping[str, set[Edge]]]) -> Extension:
    """The next values beyond the edges on which best values lie, as far as the budget and their bounds allow.

    Args:
        edges: by ground, the keys of which some arm chose a value at an edge, and at which.
    """
    tune = experiment.tune
    assert tune is not None
    found = {
        ground: _grown(experiment, tune, axes_at(tune, tuning.extensions, ground), at) for ground, at in edges.items()
    }
    return {ground: new for ground, new in found.items() if new}


def extended(experiment: Experiment, tuning: Plan, new: Extension) -> Plan:
    """The plan of tuning with the trials of an extension after its own, which keep their numbers."""
    tune, extensions = experiment.tune, (*tuning.extensions, new)
    assert tune is not None
    arms, trials = {arm.name: arm for arm in tuning.arms}, list(tuning.trials)
    for ground in new:
        seeds = tune.seed_list(experiment.train.seed_list if ground.seed is None else [ground.seed])
        before, now = (
            list(arms_of(_at(experiment, tune.at(axes_at(tune, known, ground)), seeds), ground.comparison))
            for known in (tuning.extensions, extensions)
        )
        known_names = {arm.name for arm in before}
        for arm in now:
            if arm.name not in known_names:
                same = arms.setdefault(arm.name, arm)
                trials += [Trial(len(trials) + place, same, seed, ground.seed) for place, seed in enumerate(seeds)]
    in_order = sorted(arms.values(), key=lambda arm: arm.comparison)
    return replace(tuning, arms=tuple(in_order), trials=tuple(trials), extensions=extensions, since=len(tuning.trials))


def _at(experiment: Experiment, tune: TuneConfig, seeds: Sequence[int]) -> Experiment:
    return grid_experiment(experiment.model_copy(update={"tune": tune}), tune, seeds)


def _grown(
    experiment: Experiment, tune: TuneConfig, axes: dict[str, tuple[Any, ...]], edges: Mapping[str, set[Edge]]
) -> Axes:
    """The new values of a ground's axes, in the order of the grid."""
    found: dict[str, tuple[Any, ...]] = {}
    for key in axes:
        for edge in sorted(edges.get(key, ()), reverse=True):  # low before high
            for value in candidates(axes[key], edge):
                longer = axes | {key: (*axes[key], value)}
                if value not in axes[key] and _is_taken(experiment, tune, key, longer):
                    if _is_within_budget(experiment, tune, longer):
                        axes, found[key] = longer, (*found.get(key, ()), value)
                    break
    return found


def candidates(values: Sequence[Any], edge: Edge) -> Iterator[float | int]:
    """The values that may come next beyond an edge of an axis, the first of them that its option takes does.

    Where the steps from the last three values are equal, or the last but one is not above 0, it goes on by that step;
    otherwise, and where the step would leave the bounds of the option, by the ratio of the last two values. Whole
    numbers are kept whole where a fraction is not taken.
    """
    numbers = sorted((value for value in values if isinstance(value, int | float)), reverse=edge == "low")
    if len(numbers) < 2:
        return
    *rest, before, last = numbers
    by_step, has_ratio = last + (last - before), last > 0 and before > 0
    is_even = bool(rest) and math.isclose(last - before, before - rest[-1], rel_tol=1e-9)
    are_whole = all(isinstance(value, int) for value in numbers)
    for value in ([by_step] if is_even or not has_ratio else []) + ([last * (last / before)] if has_ratio else []):
        rounded = float(f"{value:.{DIGITS}g}")
        if not math.isfinite(rounded):
            return
        yield int(rounded) if are_whole and rounded.is_integer() else rounded
        if are_whole and not rounded.is_integer():
            yield round(rounded)


def _is_taken(experiment: Experiment, tune: TuneConfig, key: str, axes: Axes) -> bool:
    """Whether the grid may have these axes, of which one has a new last value."""
    try:
        type(tune.grid).model_validate({key: [axes[key][-1]]})
    except ValidationError:
        return False
    longer = tune.at(axes)
    losses: dict[Path, LossEntry] = {("loss", place): loss for place, loss in enumerate(experiment.loss)}
    return not [
        *conflict_mistakes(experiment.optimizer, longer),
        *option_mistakes(longer, experiment.optimizer, losses),
    ]


def _is_within_budget(experiment: Experiment, tune: TuneConfig, axes: Axes) -> bool:
    """Whether no arm tries more than its part of the budget."""
    longer = experiment.model_copy(update={"tune": tune.at(axes)})
    return all(
        len(settings_for(longer, loss)) <= tune.most_times * len(settings_for(experiment, loss))
        for loss in experiment.loss
    )


def merged_axes(axes: Iterable[Mapping[str, Iterable[Any]]]) -> dict[str, list[Any]]:
    """The axes that have, by key, every value of several axes once, in the order of their first."""
    found: dict[str, dict[Any, None]] = {}
    for each in axes:
        for key, values in each.items():
            found.setdefault(key, {}).update(dict.fromkeys(values))
    return {key: list(values) for key, values in found.items()}
