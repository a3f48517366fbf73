"""The events of an executor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from clsbench.metrics.measures import measured
from clsbench.results import Record

if TYPE_CHECKING:
    from clsbench.config.plan import Trial
    from clsbench.data.scene import Frame
    from clsbench.execution.host import Host
    from clsbench.problems import Problem
    from clsbench.training.snapshot import Snapshot

IDENTITY = ("trial", "arm", "loss", "dataset", "model", "lr", "seed", "epoch", "step")


def fields(problem: Problem) -> tuple[str, ...]:
    """The fields of a record, in order: its trial, the measures of its problem, its time and status."""
    return (*IDENTITY, *measured(problem), "seconds", "status")


def identity_of(trial: Trial) -> Mapping[str, float | int | str]:
    """The fields of a record that identify its trial."""
    arm = trial.arm
    names = {"arm": arm.name, "loss": arm.loss.name, "dataset": arm.dataset.title, "model": arm.model.title}
    return {"trial": trial.number, **names, "lr": arm.lr, "seed": trial.seed}


@dataclass(frozen=True)
class Checkpoint:
    """The state from which the training of some trials can go on, in the order of the snapshot's rows.

    `seconds` is how long each has trained, `finished` whether they are done, `compiled` whether their steps were
    compiled, since their bits depend on it. `preparations`, once they are finished, has that of each trial's samples
    as text, by its number.
    """

    trials: tuple[int, ...]
    snapshot: Snapshot
    seconds: float
    finished: bool
    compiled: bool
    preparations: Mapping[int, str] = field(default_factory=dict)

    def part(self, places: Sequence[int]) -> Checkpoint:
        """The checkpoint of some of the trials, by place."""
        trials = tuple(self.trials[place] for place in places)
        preparations = {trial: text for trial, text in self.preparations.items() if trial in trials}
        return replace(self, trials=trials, snapshot=self.snapshot.rows(places), preparations=preparations)


@dataclass(frozen=True)
class RunResumed:
    """A run is resumed: how many epochs of its trials are kept, and how many of them need no training."""

    kept: int
    done: int


@dataclass(frozen=True)
class Warned:
    """A warning about the run as a whole, to be shown at once."""

    text: str


@dataclass(frozen=True)
class Said:
    """Something about the run as a whole, to be shown once."""

    text: str


@dataclass(frozen=True)
class GridExtended:
    """Tuning tries more settings than were planned: the new values by key, and their epochs of trials."""

    values: Mapping[str, Sequence[Any]]
    trial_epochs: int


@dataclass(frozen=True)
class Reading:
    """Data are being read: what, and how much of it is done."""

    text: str


@dataclass(frozen=True)
class StackStarted:
    """A stack is about to train, from the epoch after `epoch`.

    `weights` holds, by trial number, the hash of every initial parameter; empty after a checkpoint.
    `data` holds, by trial number, the hash of its splits, computed by the process that trains, and `host` its machine.
    """

    trials: tuple[int, ...]
    epoch: int
    threads: int
    compiled: bool
    weights: Mapping[int, Mapping[str, str]]
    data: Mapping[int, str]
    host: Host


@dataclass(frozen=True)
class EpochDone:
    """One epoch of one stack. `batches` holds, by trial number, the hash of its order of samples.

    Some epochs have a checkpoint, and some trials a frame.
    """

    epoch: int
    records: tuple[Record, ...]
    batches: Mapping[int, str]
    checkpoint: Checkpoint | None = None
    frames: Mapping[int, Frame] = field(default_factory=dict)


@dataclass(frozen=True)
class StackDone:
    """A stack is finished.

    `seconds` is its training time without evaluation, `compile_seconds` the time of compiling its steps, and
    `measure_seconds` the rest: measuring, and handing over the results.
    """

    checkpoint: Checkpoint
    seconds: float
    compile_seconds: float
    measure_seconds: float


@dataclass(frozen=True)
class TrialFailed:
    """A trial raised, or ran out of memory. `record` is its last, `trace` the traceback."""

    trial: int
    record: Record
    reason: str
    trace: str


Event = RunResumed | Warned | Said | GridExtended | Reading | StackStarted | EpochDone | StackDone | TrialFailed
