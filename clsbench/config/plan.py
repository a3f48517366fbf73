"""From an experiment to its comparisons, trials and stacks. Pure, and cheap."""

from __future__ import annotations

import itertools
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

from clsbench.config.arms import Arm, arms_of, most_trials
from clsbench.config.entries import DatasetEntry, LossEntry
from clsbench.config.grid import grid_experiment, parted
from clsbench.config.memory import size_of, state_bytes, trial_bytes, trials_that_fit
from clsbench.config.naming import named_by, spanned
from clsbench.config.schema import FIRST_TUNING_SEED, Experiment
from clsbench.errors import ConfigError
from clsbench.problems import Posed, Problem
from clsbench.registry import catalogue
from clsbench.signatures import is_own
from clsbench.slices import even_parts, spaced

MAX_TRIALS = 100_000
# Of a run, for its page.
FRAMED_COMPARISONS, FRAMED_ARMS = 8, 8


@dataclass(frozen=True)
class Trial:
    """One training run: an arm and a seed, numbered in plan order.

    `tunes` is the seed of the experiment inside whose split it tunes, if it tunes for one alone.
    """

    number: int
    arm: Arm
    seed: int
    tunes: int | None = None

    @property
    def dataset(self) -> DatasetEntry:
        """The arm's dataset; if `split_seed` is `per_seed`, split by the seed that it tunes for, or its own."""
        entry, seed = self.arm.dataset, self.seed if self.tunes is None else self.tunes
        return entry.model_copy(update={"split_seed": seed}) if entry.split_seed == "per_seed" else entry

    @cached_property
    def data_key(self) -> str:
        """The key of its dataset, by which its data are known: kept, since it is made of all values of an entry."""
        return sys.intern(self.dataset.key)  # one text for all trials of a split


class Ground(NamedTuple):
    """The trials of tuning that have one grid: those of a comparison, and of one seed where each tunes by itself."""

    comparison: int
    seed: int | None


Axes = Mapping[str, tuple[Any, ...]]  # values by the keys of a grid
Extension = Mapping[Ground, Axes]  # the values that are new


@dataclass(frozen=True)
class Plan:
    """All trials of an experiment, in order. `sees_test` is false for tuning, which must not use test data.

    `posed` holds the problem of each opened dataset, by its key. `spared` are the seeds whose test samples no
    `per_seed` split of this plan may contain: in tuning for all seeds of the experiment, these. `extensions` are those
    of tuning's grids, in order; the trials of the last one begin at the number `since`, and are those to train.
    """

    experiment: Experiment
    arms: tuple[Arm, ...]
    trials: tuple[Trial, ...]
    sees_test: bool = True
    posed: Mapping[str, Posed] = field(default_factory=dict)
    spared: tuple[int, ...] = ()
    extensions: tuple[Extension, ...] = ()
    since: int = 0

    @property
    def num_trial_epochs(self) -> int:
        return len(self.trials) * self.experiment.train.epochs

    @property
    def comparisons(self) -> list[list[Arm]]:
        """The arms, grouped by dataset, model and batch size."""
        return [list(group) for _, group in itertools.groupby(self.arms, key=lambda arm: arm.comparison)]

    @cached_property
    def losses(self) -> list[LossEntry]:
        """The losses of the experiment; each setting that a loss sweeps is one of its own, labelled with it."""
        points = [point for entry in self.experiment.loss for point in entry.points()]
        return [loss.model_copy(update={"label": named_by(loss.title, setting)}) for setting, loss in points]

    @cached_property
    def _opened(self) -> dict[str, Posed]:
        """What is known about the data of each arm, by the arm's name, of those whose data are opened."""
        opened = ((trial.arm.name, self.posed.get(trial.data_key)) for trial in self.trials)
        return {name: known for name, known in opened if known is not None}

    def data_of(self, arm: Arm) -> Posed:
        """What is known about the data of an arm: of one of its splits, or before they are opened what the config says.

        Raises:
            ValueError: the options of its dataset are impossible; the message gives the reason.
        """
        return self._opened.get(arm.name) or arm.dataset.posed

    @cached_property
    def problems(self) -> dict[str, Problem]:
        """The problem that the data of each arm pose, by the arm's name, of those whose data are opened."""
        return {name: known.problem for name, known in self._opened.items() if known.problem is not None}

    @cached_property
    def own_tests(self) -> frozenset[str]:
        """The names of the arms whose data have a test set of their own, as far as that is known."""
        found = {name for name, known in self._opened.items() if known.own_test}
        return frozenset(found | {arm.name for arm in self.arms if arm.dataset.test_fraction is None})

    def stacks(self) -> list[list[Trial]]:
        """The trials to train, in stacks that can be one tensor program: of `train.stack` at most, or of what fits.

        Trials of different splits of one dataset are together, if these have equal sizes and shapes.
        The stacks have nearly equal sizes: a small one costs more per trial, and the others wait for the last one.
        Models whose layers take no trial axis run one trial at a time.
        """
        together: dict[str, list[Trial]] = {}
        for trial in self.trials[self.since :]:
            together.setdefault(self._stack_key(trial), []).append(trial)
        stacks = []
        for trials in together.values():
            number = -(-len(trials) // self._largest_stack(trials[0]))
            stacks += [trials[part] for part in even_parts(len(trials), number)]
        return stacks

    def state_bytes(self, arm: Arm) -> int | None:
        """The numbers that a trial of the arm keeps; None until the data or model is opened."""
        return state_bytes(arm.model, arm.loss, self.experiment.optimizer.name, self.data_of(arm))

    def _largest_stack(self, trial: Trial) -> int:
        """How many trials like this one fit into a stack that has the memory to itself."""
        arm, asked = trial.arm, self.experiment.train.stack
        if not catalogue.get("model", arm.model.name).stacked:
            return 1
        if asked != "auto":
            return int(asked)
        return trials_that_fit(self.bytes_each(arm, self.posed.get(trial.data_key) or arm.dataset.posed))

    def bytes_each(self, arm: Arm, known: Posed) -> int | None:
        """The memory that a trial of the arm takes in a stack; None until the data or model is opened."""
        size = size_of(arm.model, arm.loss, known)
        if size is None:
            return None
        own = sum(known.sizes or ()) if arm.dataset.split_seed == "per_seed" else 0
        optimizer = self.experiment.optimizer
        return trial_bytes(size, optimizer.name, arm.batch_size, own, decay_biases=optimizer.decay_biases)

    def _stack_key(self, trial: Trial) -> str:
        arm, spec = trial.arm, catalogue.get("loss", trial.arm.loss.name)
        shape: list[Any] = [arm.dataset.key, arm.model.name, arm.model.options, arm.batch_size]
        shape += [arm.loss.name, arm.loss.options, arm.loss.class_weight]
        if (known := self.posed.get(trial.data_key)) is not None:
            shape += [known.shape, known.sizes, None if known.problem is None else known.problem.shared_facts]
            # A user's function takes the numbers of one split.
            if not is_own(spec.factory) and (spec.takes_shares or arm.loss.class_weight is not None):
                shape += [known.class_counts]
        return json.dumps(shape, sort_keys=True)


def make_plan(experiment: Experiment) -> Plan:
    """Expand the grid of an experiment.

    Raises:
        ConfigError: the grid is too large, or two arms have one name.
    """
    mistake = plan_mistake(experiment)
    if mistake is not None:
        raise ConfigError(mistake)
    arms = tuple(arms_of(experiment))
    numbered = enumerate(itertools.product(arms, experiment.train.seed_list))
    return Plan(experiment, arms, tuple(Trial(number, arm, seed) for number, (arm, seed) in numbered))


def tuning_plan(experiment: Experiment) -> Plan | None:
    """Every arm at every setting of the grid, on tuning's seeds; None if nothing is tuned."""
    tune, own = experiment.tune, experiment.train.seed_list
    if tune is None:
        return None
    plan = replace(make_plan(grid_experiment(experiment, tune, tune.seed_list(own))), sees_test=False)
    if not tune.is_per_seed:
        return replace(plan, spared=own)
    return replace(plan, trials=tuple(replace(each, tunes=each.seed % FIRST_TUNING_SEED) for each in plan.trials))


def plans(experiment: Experiment) -> list[Plan]:
    """The plans that a run trains, in order: that of tuning, if there is one, and that of the experiment.

    Raises:
        ConfigError: as `make_plan`.
    """
    own, tuning = make_plan(experiment), tuning_plan(experiment)
    return [own] if tuning is None else [tuning, own]


def with_chosen(plan: Plan, chosen: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> Plan:
    """The plan with the settings that tuning chose, by the arm's name and the seed."""
    found: dict[str, dict[str, Arm]] = {}
    trials = []
    for trial in plan.trials:
        settings = chosen[trial.arm.name][trial.seed]
        known, text = found.setdefault(trial.arm.name, {}), json.dumps(settings)
        if text not in known:
            known[text] = _at(plan.experiment, trial.arm, settings)
        trials.append(replace(trial, arm=known[text]))
    arms = tuple(_over_seeds(plan.experiment, [*each.values()]) for each in found.values())
    return replace(plan, arms=arms, trials=tuple(trials))


def _at(experiment: Experiment, arm: Arm, settings: Mapping[str, Any]) -> Arm:
    of_loss, rest = parted(experiment, settings)
    return replace(
        arm, loss=arm.loss.model_copy(update=of_loss), settings={**arm.settings, **rest}, tuned=dict(settings)
    )


def _over_seeds(experiment: Experiment, arms: Sequence[Arm]) -> Arm:
    """An arm that was tuned to these settings at different seeds, that of the first seed first."""
    columns = {key: [arm.tuned[key] for arm in arms] for key in arms[0].tuned}
    told = {key: f"{spanned(values)} by seed" for key, values in columns.items() if len(set(values)) > 1}
    of_loss, rest = parted(experiment, told)
    varied = frozenset({*(f"loss.{key}" for key in of_loss), *(f"optimizer.{key}" for key in rest)})
    return replace(arms[0], tuned={**arms[0].tuned, **told}, varied=varied)


def framed_trials(plan: Plan) -> frozenset[int]:
    """The trials whose frames are kept for the page: of each of the first comparisons, some arms at the first seed.

    Of many arms they are evenly spaced in the order of the plan, so that every loss of a sweep has some.
    """
    if not plan.sees_test or not plan.experiment.report.html:
        return frozenset()
    seeds, found, before = plan.experiment.train.num_seeds, set(), 0
    for arms in plan.comparisons[:FRAMED_COMPARISONS]:
        found |= {(before + place) * seeds for place in spaced(len(arms), FRAMED_ARMS)}
        before += len(arms)
    return frozenset(found)


def plan_mistake(experiment: Experiment) -> str | None:
    """Why the grid of an experiment cannot be expanded; None if it can."""
    in_tuning = _most_trials_of_tuning(experiment)
    size = most_trials(experiment) + in_tuning
    if size > MAX_TRIALS:
        spent = f" ({in_tuning:,} of them tuning)" if in_tuning else ""
        return f"the grid has up to {size:,} trials{spent}; the limit is {MAX_TRIALS:,}: sweep less, or fewer seeds"
    names = Counter(arm.name for arm in arms_of(experiment))
    name, times = names.most_common(1)[0]
    return None if times == 1 else f"{times} arms are called {name!r}; give their entries distinct labels"


def _most_trials_of_tuning(experiment: Experiment) -> int:
    tune = experiment.tune
    if tune is None:
        return 0
    # Not a list of the seeds: their number is what is asked.
    seeds = range(tune.seeds * (experiment.train.num_seeds if tune.is_per_seed else 1))
    return tune.most_times * most_trials(grid_experiment(experiment, tune, seeds))
