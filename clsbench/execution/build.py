"""The builders: config objects stop here, and what they name is made."""

from __future__ import annotations

import errno
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from clsbench.config.plan import Arm, Plan, Trial
from clsbench.config.reader import misfit
from clsbench.config.schema import SCHEDULE_KEYS, DatasetEntry
from clsbench.data.raw import RawData, as_raw
from clsbench.data.splits import Splits, split, tested_samples
from clsbench.errors import ConfigError, DataError, RunError
from clsbench.execution.process import can_fork
from clsbench.losses.contract import Loss, build_loss
from clsbench.models.initialisation import initial_module
from clsbench.problems import Posed, Problem
from clsbench.registry import catalogue
from clsbench.system import cores
from clsbench.training.optimizers import rate_factor
from clsbench.training.randomness import generator_for
from clsbench.training.settings import StackData, StackSettings, TrialSettings
from clsbench.training.step import has_compiler

# Steps of a trial from which compiling them is worth its time.
COMPILED_STEPS = 10_000


def device_for(asked: str) -> torch.device:
    """The device of `train.device`; `auto` is CUDA where there is one.

    Raises:
        ConfigError: this machine has no such device.
    """
    if asked == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(asked)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device.type == "cuda" and (device.index or 0) >= count:
        there_is = f"this machine has {count}" if count else "this machine has none"
        raise ConfigError(f"train.device: no CUDA device {asked!r}: {there_is}; use auto or cpu")
    return device


def load_data(trials: Iterable[Trial], device: torch.device, spared: Sequence[int] = ()) -> dict[str, Splits]:
    """Every dataset of the trials by its entry's key, split and on the device, once each.

    Args:
        spared: seeds at which others test. A dataset that is split `per_seed` is given without every sample that one
            of them tests; generated data, which are new at every seed, lose nothing by that.

    Raises:
        DataError: a dataset is missing or damaged, or nothing is left of it.
        ConfigError: a model or a loss does not fit what opening a dataset showed.
    """
    loaded: dict[str, Splits] = {}
    tested: dict[str, set[bytes]] = {}
    for trial in trials:
        entry, whole = trial.dataset, trial.arm.dataset
        key = entry.key
        if key not in loaded:
            if whole.key not in tested:
                seeds = spared if whole.split_seed == "per_seed" else ()
                tested[whole.key] = _tested(whole, seeds)
            loaded[key] = _load(entry, device, tested[whole.key], len(spared))
        known = posed_of(loaded[key])
        for part in (trial.arm.model, trial.arm.loss):
            if (reason := misfit(entry.name, known, part)) is not None:
                raise ConfigError(reason)
    return loaded


def posed_of(splits: Splits) -> Posed:
    """What an opened dataset poses."""
    return Posed(splits.shape, splits.problem)


def _load(entry: DatasetEntry, device: torch.device, tested: Collection[bytes], num_testing: int) -> Splits:
    with _told_of(entry):
        raw = _opened(entry)
        try:
            return split(
                raw,
                **_drawing(entry, raw),
                normalize=entry.normalize,
                label_noise=entry.label_noise,
                tested=tested,
                device=device,
            )
        except DataError as error:
            if not tested:
                raise
            raise DataError(
                f"tuning leaves out what the {num_testing} seeds test, and too little remains: {error}; "
                "use fewer seeds, a smaller test_fraction, or a number as split_seed"
            ) from error


def _tested(entry: DatasetEntry, seeds: Iterable[int]) -> set[bytes]:
    """Digests of all samples that some of the seeds test."""
    found: set[bytes] = set()
    for seed in seeds:
        drawn = entry.model_copy(update={"split_seed": seed})
        with _told_of(entry):
            raw = _opened(drawn)
            found |= tested_samples(raw, **_drawing(drawn, raw))
    return found


def _opened(entry: DatasetEntry) -> RawData:
    return as_raw(catalogue.get("dataset", entry.name).factory(entry.split_seed, **entry.options))


def _drawing(entry: DatasetEntry, raw: RawData) -> dict[str, Any]:
    """What decides which sample goes into which split, as `split` takes it."""
    assert isinstance(entry.split_seed, int), "a trial's dataset has its seed"
    return {
        "val_fraction": entry.val_fraction,
        "test_fraction": None if raw.test_labels is not None else entry.test_fraction,
        "split_seed": entry.split_seed,
        "limit": entry.limit,
    }


@contextmanager
def _told_of(entry: DatasetEntry) -> Iterator[None]:
    """Errors within name the dataset."""
    try:
        yield
    except DataError as error:
        raise DataError(f"dataset {entry.title}: {error}") from error
    except (MemoryError, OSError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise DataError(
            f"dataset {entry.title}: it does not fit into memory ({error}); ask for a smaller one"
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory did not suffice. What was handled, and then something else went wrong, does not count."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    # Packing a checkpoint, PyTorch trips over its own error while it handles that.
    tripped = isinstance(error, RuntimeError) and "unexpected pos" in str(error)
    return tripped and error.__context__ is not None and is_out_of_memory(error.__context__)


def loss_of(arm: Arm, problem: Problem) -> Loss:
    return build_loss(arm.loss.name, problem, arm.loss.options)


def module_of(arm: Arm, seed: int, shape: tuple[int, ...], num_outputs: int) -> torch.nn.Module:
    """The model of an arm with the initial weights of a seed."""
    factory = catalogue.get("model", arm.model.name).factory
    return initial_module(
        partial(factory, shape, num_outputs, **arm.model.options),
        generator_for("weights", seed),
        weights=arm.model.init.weights,
        scale=arm.scale,
        bias=arm.model.init.bias,
    )


def in_company(number: int, *, stacked: bool, device: torch.device) -> list[int]:
    """The places, among so many trials, of those to put into one stack: all of them, and a lone one twice.

    On a CPU, a batched product of one takes another path through the BLAS than one of several, with other last
    bits: so that a lone trial's numbers are those it has in company, it has its own copy beside it.
    """
    return [0, 0] if stacked and number == 1 and device.type == "cpu" else list(range(number))


def give_weights(module: torch.nn.Module, state: Mapping[str, torch.Tensor], number: int) -> None:
    """Put the weights that a trial ended with into its model.

    Raises:
        RunError: they are another model's.
    """
    own = module.state_dict()
    odd = sorted(own.keys() ^ state.keys())
    odd += [n for n, tensor in own.items() if n in state and _kind(tensor) != _kind(state[n])]
    if odd:
        raise RunError(f"the weights of trial {number} are not its model's: {odd[0]!r} differs; run again")
    module.load_state_dict(state)


def _kind(tensor: torch.Tensor) -> tuple[torch.Size, torch.dtype]:
    return tensor.shape, tensor.dtype


def settings_of(plan: Plan, arm: Arm, compiled: bool) -> StackSettings:
    """What the trials of a stack of the arm's share."""
    asked, optimizer = plan.experiment.train, plan.experiment.optimizer
    return StackSettings(arm.batch_size, asked.epochs, optimizer.name, compiled, asked.precision)


def data_of(splits: Splits, plan: Plan) -> StackData:
    """The tensors that the plan's trials may see."""
    train, val, test = splits.train, splits.val, splits.test
    return StackData(
        (train.x, train.y),
        val=None if val is None else (val.x, val.y),
        test=(test.x, test.y) if plan.sees_test else None,
    )


def trial_settings(trial: Trial, plan: Plan, loss_weight: float) -> TrialSettings:
    """What the training loop needs to know of a trial."""
    chosen, optimizer, epochs = trial.arm.settings, plan.experiment.optimizer, plan.experiment.train.epochs
    shape = {key: chosen[key] for key in SCHEDULE_KEYS}
    return TrialSettings(
        seed=trial.seed,
        lr=float(chosen["lr"]),
        options={name: chosen.get(name, value) for name, value in optimizer.options.items() if name != "lr"},
        clip_norm=None if chosen["clip_norm"] is None else float(chosen["clip_norm"]),
        loss_weight=loss_weight,
        rate_factor=lambda epoch: rate_factor(optimizer.schedule.name, epoch, epochs, **shape),
    )


def mode_of(trial: Trial, plan: Plan, splits: Splits) -> tuple[bool, int]:
    """Whether a trial's steps are compiled, and the cores that train it, alone or with the others of its stack."""
    asked, num_steps = plan.experiment.train, _num_steps(trial, plan, splits)
    stacked = catalogue.get("model", trial.arm.model.name).stacked
    compiled = compiles(asked.compile, stacked=stacked, num_steps=num_steps)
    return compiled, threads_for(asked.threads, stacked=stacked, compiled=compiled)


def threads_in_operations(trial: Trial, plan: Plan, splits: Splits) -> int:
    """The threads that each operation on a trial has: one where its model stacks."""
    stacked = catalogue.get("model", trial.arm.model.name).stacked
    return 1 if stacked else mode_of(trial, plan, splits)[1]


def multiplications(trial: Trial, plan: Plan) -> int:
    """Those of a trial's step, forward alone: a weight meets every sample once. 0 where the weights are not known."""
    return trial.arm.batch_size * plan.num_parameters(trial)


def require_same_steps(compiled: Mapping[int, bool], plan: Plan, data: Mapping[str, Splits]) -> None:
    """Refuse to go on with compiled steps after eager ones, or the other way: their last bits differ.

    Args:
        compiled: by trial number, whether the steps were that are kept of it.
        data: by their entries' keys, some datasets; the trials of others are not looked at.

    Raises:
        RunError: with the first trial whose steps would be others now.
    """
    for number, before in compiled.items():
        trial = plan.trials[number]
        if trial.dataset.key in data and mode_of(trial, plan, data[trial.dataset.key])[0] != before:
            was, is_now, a = ("compiled", "eager", "a") if before else ("eager", "compiled", "no")
            raise RunError(
                f"the run cannot go on with {is_now} steps: those of trial {number} were {was}; "
                f"go on with it where there is {a} C++ compiler with Python's headers, or start a new run"
            )


def lacks_compiler(plan: Plan, data: Mapping[str, Splits]) -> bool:
    """Whether steps that would be compiled are not, for this machine cannot."""
    worth = (
        worth_compiling(
            plan.experiment.train.compile,
            stacked=catalogue.get("model", trials[0].arm.model.name).stacked,
            num_steps=_num_steps(trials[0], plan, data[trials[0].dataset.key]),
        )
        for trials in plan.stacks()
    )
    return any(worth) and not has_compiler()


def _num_steps(trial: Trial, plan: Plan, splits: Splits) -> int:
    return -(-len(splits.train) // trial.arm.batch_size) * plan.experiment.train.epochs


def compiles(asked: str, *, stacked: bool, num_steps: int) -> bool:
    """Whether a trial's steps are compiled: a function of the trial and the machine, never of the stack."""
    return worth_compiling(asked, stacked=stacked, num_steps=num_steps) and has_compiler()


def worth_compiling(asked: str, *, stacked: bool, num_steps: int) -> bool:
    """Whether a trial's steps are to be compiled, which takes seconds that long trainings of dense models earn back."""
    return stacked and (asked == "on" or (asked == "auto" and num_steps >= COMPILED_STEPS))


def threads_for(asked: str | int, *, stacked: bool, compiled: bool) -> int:
    """The cores that train a trial: a function of the trial and the machine, never of the stack.

    Models that stack have one thread in every operation, and more cores through processes alone (see `local`): one,
    where this process cannot be forked. Others use all cores in each operation.
    """
    everywhere = cores() if compiled or not stacked else 1
    threads = everywhere if asked == "auto" else int(asked)
    return 1 if stacked and threads > 1 and not can_fork() else threads


def identity_of(trial: Trial) -> Mapping[str, float | int | str]:
    """The fields of a record that say whose it is."""
    arm = trial.arm
    names = {"arm": arm.name, "loss": arm.loss.name, "dataset": arm.dataset.title, "model": arm.model.title}
    return {"trial": trial.number, **names, "lr": arm.lr, "seed": trial.seed}
