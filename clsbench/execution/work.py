"""A stack, resolved once: every decision that depends on the plan, its data or this machine is made here."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch

from clsbench.config.arms import Arm
from clsbench.config.entries import Entry, LossEntry
from clsbench.config.extension import extended
from clsbench.config.memory import size_of, trials_that_fit
from clsbench.config.plan import Ground, Plan, Trial, framed_trials, plans, with_chosen
from clsbench.config.reader import read_mapping
from clsbench.config.schema import SCHEDULE_KEYS, Experiment
from clsbench.data.memory import ARRAYS
from clsbench.data.splits import Splits, joined
from clsbench.errors import RunError
from clsbench.execution.modes import compiles, threads_for, worth_compiling
from clsbench.execution.opening import load_data, posed_of
from clsbench.execution.sizes import multiplications
from clsbench.losses.contract import Loss, build_loss, side_by_side
from clsbench.metrics.measures import direction
from clsbench.models.initialisation import initial_module
from clsbench.problems import Problem
from clsbench.registry import SPLITS, Kind, catalogue, load_installed_plugins, load_plugin
from clsbench.training.compiled import has_compiler
from clsbench.training.frames import frame_epochs
from clsbench.training.libraries import are_loaded
from clsbench.training.optimizers import rate_factor
from clsbench.training.rng import generator_for
from clsbench.training.settings import StackData, StackSettings, TrialSettings
from clsbench.training.stack import Stack
from clsbench.training.stopping import Stop


@dataclass(frozen=True)
class StackWork:
    """Trials that train as one tensor program, with everything needed to build and train them.

    Attributes:
        trials: they differ only by seed, split, initial weights and the numbers of the optimizer.
        splits: the data of the trials, by the keys of their datasets, of equal sizes and shapes.
        first_loss: the first loss of the experiment, which `weight: match` matches.
        stacked: whether the model's layers take a leading trial axis; other models run one trial at a time.
        compiled: whether steps are taken by a compiled graph, `worth_compiling` whether they would be if this machine
            could.
        num_cores: the cores that train a trial, alone or in a stack; `num_threads` the threads of each operation.
        multiplications: those of a trial's step, forward only; None if the number of weights is unknown.
        bytes_each: the memory of a trial; None if unknown.
        framed: the numbers of the trials that have frames.
    """

    experiment: Experiment
    trials: tuple[Trial, ...]
    splits: Mapping[str, Splits]
    sees_test: bool
    device: torch.device
    loss: Loss
    first_loss: Loss
    stacked: bool
    compiled: bool
    worth_compiling: bool
    num_cores: int
    num_threads: int
    multiplications: int | None
    bytes_each: int | None
    framed: frozenset[int] = frozenset()

    @property
    def frame_epochs(self) -> frozenset[int]:
        """The epochs after which those have one."""
        return frame_epochs(self.experiment.train.epochs) if self.framed else frozenset()

    @property
    def arm(self) -> Arm:
        """One of the arms; all have the same data, model, loss and batch size."""
        return self.trials[0].arm

    @property
    def shape(self) -> tuple[int, ...]:
        """That of a sample, as the networks see it."""
        return self.splits_of(self.trials[0]).shape

    @cached_property
    def problem(self) -> Problem:
        """The problem of one of the trials; those of the others differ in what they learned from their splits alone."""
        return self.splits_of(self.trials[0]).problem

    def splits_of(self, trial: Trial) -> Splits:
        """The data of a trial."""
        return self.splits[trial.data_key]

    @cached_property
    def data(self) -> StackData:
        """The tensors that the trials may use."""
        each = list(self.splits.values())
        train, val, test = (joined([getattr(splits, name) for splits in each]) for name in SPLITS)
        assert train is not None
        assert test is not None
        places = [list(self.splits).index(trial.data_key) for trial in self.trials]
        return StackData(
            (train.x, train.y),
            val=None if val is None else (val.x, val.y),
            test=(test.x, test.y) if self.sees_test else None,
            val_posterior=None if val is None else val.posterior,
            test_posterior=test.posterior if self.sees_test else None,
            places=None if len(each) == 1 else torch.tensor(places, device=self.device),
        )

    @property
    def settings(self) -> StackSettings:
        """The settings that the trials share."""
        asked, optimizer = self.experiment.train, self.experiment.optimizer
        return StackSettings(
            self.arm.batch_size,
            asked.epochs,
            optimizer.name,
            self.compiled,
            asked.precision,
            self.stop,
            optimizer.decay_biases,
        )

    @property
    def stop(self) -> Stop | None:
        """When a trial stops before the last epoch; None for never."""
        asked = self.experiment.stop
        if asked is None:
            return None
        return Stop(asked.metric, direction(asked.metric) or "lower", asked.patience)

    def trial_settings(self, trial: Trial, loss_weight: float) -> TrialSettings:
        """The settings of a trial."""
        chosen, optimizer, epochs = trial.arm.settings, self.experiment.optimizer, self.experiment.train.epochs
        shape = {key: chosen[key] for key in SCHEDULE_KEYS}
        return TrialSettings(
            seed=trial.seed,
            lr=float(chosen["lr"]),
            options={name: chosen.get(name, value) for name, value in optimizer.options.items() if name != "lr"},
            clip_norm=None if chosen["clip_norm"] is None else float(chosen["clip_norm"]),
            loss_weight=loss_weight,
            rate_factor=lambda epoch: rate_factor(optimizer.schedule.name, epoch, epochs, **shape),
        )

    def stack(self, trials: Sequence[Trial], num_outputs: int | None = None) -> Stack:
        """Models of some of the trials with their initial weights, by default with the loss's number of outputs."""
        outputs = self.loss.num_outputs if num_outputs is None else num_outputs
        modules = [initial_model(trial.arm, trial.seed, self.shape, outputs) for trial in trials]
        return Stack(modules, stacked=self.stacked, device=self.device)

    def places_in_stack(self, number: int) -> list[int]:
        """The places of the trials to put into one stack: all of them, and a lone one twice.

        On a CPU, a batched product of one matrix takes another path through the BLAS than one of several, with other
        last bits: a lone trial is trained beside a copy of itself, so that its numbers are those of a larger stack.
        """
        lone = self.stacked and number == 1 and self.device.type == "cpu"
        return [0, 0] if lone else list(range(number))

    @property
    def is_bounded_by_memory(self) -> bool:
        """Whether only memory limits the number of trials of a stack."""
        return self.stacked and self.experiment.train.stack == "auto"

    def most_beside(self, num_stacks: int) -> int:
        """How many trials each of several stacks may have that share the memory."""
        if self.is_bounded_by_memory:
            return trials_that_fit(self.bytes_each, num_stacks)
        return int(self.experiment.train.stack) if self.stacked else 1


@dataclass
class Work:
    """A plan with its data on this machine. A process that is not a fork builds its own from `recipe`.

    `experiment` is the source of the plan, or of the tuning before it. `compiled` says, by trial number, whether the
    steps of the trials with a checkpoint were compiled. `num_cores` is how many train a trial, where another machine
    has decided it.
    """

    experiment: Experiment
    plan: Plan
    data: dict[str, Splits]
    device: torch.device
    compiled: Mapping[int, bool] = field(default_factory=dict)
    num_cores: int | None = None

    @cached_property
    def stacks(self) -> list[StackWork]:
        """Every stack of the plan, in its order.

        Raises:
            RunError: this machine would take compiled steps after eager ones, or the reverse.
        """
        return [self.resolved(trials) for trials in self.plan.stacks()]

    def resolved(self, trials: Sequence[Trial]) -> StackWork:
        """The trials as one stack; their data are opened if necessary.

        Raises:
            DataError, ConfigError: as `load_data`.
            RunError: as `stacks`.
        """
        plan, first = self.plan, trials[0]
        self.data |= load_data(trials, self.device, plan.spared, self.data)
        splits = {trial.data_key: self.data[trial.data_key] for trial in trials}
        each = [splits[trial.data_key] for trial in trials]
        one, arm, asked = each[0], first.arm, plan.experiment.train
        model = catalogue.get("model", arm.model.name)
        stacked = model.stacked
        num_steps = -(-len(one.train) // arm.batch_size) * asked.epochs
        loss = bound_loss(arm.loss, each)
        # In a graph what a loss draws depends on the trials beside.
        graphed = stacked and not loss.draws
        optimizer = catalogue.get("optimizer", plan.experiment.optimizer.name)
        loaded = are_loaded(self.device, model.factory, optimizer.factory, loss.function)
        compiled = compiles(asked.compile, stacked=graphed, num_steps=num_steps, loaded=loaded)
        known = posed_of(one)
        size = size_of(arm.model, arm.loss, known)
        products = multiplications(arm, size, one.shape, loss.num_outputs)
        num_cores = self.num_cores or threads_for(
            asked.threads, stacked=stacked, compiled=compiled, multiplications=products
        )
        work = StackWork(
            experiment=plan.experiment,
            trials=tuple(trials),
            splits=splits,
            sees_test=plan.sees_test,
            device=self.device,
            loss=loss,
            first_loss=bound_loss(next(plan.experiment.loss[0].points())[1], each),
            stacked=stacked,
            compiled=compiled,
            worth_compiling=worth_compiling(asked.compile, stacked=graphed, num_steps=num_steps, loaded=loaded),
            num_cores=num_cores,
            num_threads=1 if stacked else num_cores,
            multiplications=products,
            bytes_each=plan.bytes_each(arm, known),
            framed=self.framed,
        )
        _require_same_steps(work, self.compiled)
        return work

    def problem_of(self, trial: Trial) -> Problem:
        """The problem that an opened dataset poses to a trial."""
        return self.data[trial.data_key].problem

    @cached_property
    def framed(self) -> frozenset[int]:
        """The numbers of the trials that have frames, for the page of the run."""
        return framed_trials(self.plan)

    @property
    def needs_this_process(self) -> bool:
        """Whether data, a model or a loss were handed over in Python: only this process and its forks have them."""
        given = (catalogue.get(kind, entry.name).is_given for arm in self.plan.arms for kind, entry in _parts(arm))
        return any(given) or any(arm.dataset.name == ARRAYS for arm in self.plan.arms)

    def recipe(self) -> dict[str, Any]:
        """Plain data from which a process that is not a fork builds the same work."""
        return {
            "experiment": self.experiment.to_dict(),
            "sees_test": self.plan.sees_test,
            "chosen": _chosen(self.plan),
            "extensions": [[(*ground, dict(new)) for ground, new in each.items()] for each in self.plan.extensions],
            "plugins": {path: (content, _sha256(content)) for path, content in catalogue.plugins.items()},
            "device": str(self.device),
            "compiled": dict(self.compiled),
        }

    @classmethod
    def of_recipe(cls, recipe: Mapping[str, Any]) -> Work:
        """The work of another process, whose data are not opened yet."""
        import clsbench.data
        import clsbench.losses
        import clsbench.models  # noqa: F401 - the rooms register what they offer

        load_installed_plugins()
        for path, (content, sha256) in recipe["plugins"].items():
            if _sha256(content) != sha256:
                raise RunError(f"plugin {path}: what came here is not what was sent; start again")
            if catalogue.plugins.get(path) != content:  # a process may train several plans
                load_plugin(Path(path), content)
        experiment = read_mapping(recipe["experiment"])
        each = plans(experiment)
        plan = each[-1] if recipe["sees_test"] else each[0]
        if recipe["sees_test"] and len(each) > 1:
            plan = with_chosen(plan, recipe["chosen"])
        for each in recipe["extensions"]:
            plan = extended(experiment, plan, {Ground(*ground): new for *ground, new in each})
        return cls(experiment, plan, {}, torch.device(recipe["device"]), recipe["compiled"])


def _chosen(plan: Plan) -> dict[str, dict[int, dict[str, Any]]]:
    """The settings that each trial has from tuning, by the arm's name and the seed."""
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for trial in plan.trials:
        found.setdefault(trial.arm.name, {})[trial.seed] = dict(trial.arm.tuned)
    return found


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def bound_loss(entry: LossEntry, splits: Sequence[Splits]) -> Loss:
    """The loss of an entry for trials with these data; class weights and shares are those of each training split."""
    distinct = {id(each): each for each in splits}
    bound = {
        key: build_loss(entry.name, each.problem, entry.options, entry.class_weight, each.train_counts)
        for key, each in distinct.items()
    }
    return side_by_side([bound[id(each)] for each in splits])


def _parts(arm: Arm) -> tuple[tuple[Kind, Entry], ...]:
    return ("model", arm.model), ("loss", arm.loss)


def initial_model(arm: Arm, seed: int, shape: tuple[int, ...], num_outputs: int) -> torch.nn.Module:
    """The model of an arm with the initial weights of a seed."""
    factory = catalogue.get("model", arm.model.name).factory
    return initial_module(
        partial(factory, shape, num_outputs, **arm.model.options),
        generator_for("weights", seed),
        weights=arm.model.init.weights,
        scale=arm.scale,
        bias=arm.model.init.bias,
    )


def lacks_compiler(stacks: Sequence[StackWork]) -> bool:
    """Whether compiling pays and this machine cannot."""
    return any(stack.worth_compiling for stack in stacks) and not has_compiler()


def _require_same_steps(work: StackWork, compiled: Mapping[int, bool]) -> None:
    """Refuse to go on with compiled steps after eager ones, or the reverse: their last bits differ."""
    for trial in work.trials:
        before = compiled.get(trial.number, work.compiled)
        if before != work.compiled:
            was, is_now, a = ("compiled", "eager", "a") if before else ("eager", "compiled", "no")
            raise RunError(
                f"the run cannot go on with {is_now} steps: those of trial {trial.number} were {was}; "
                f"resume it where there is {a} C++ compiler with Python's headers, or start a new run"
            )
