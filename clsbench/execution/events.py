"""What an executor tells while it trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from clsbench.metrics.measures import measured
from clsbench.results import Record

if TYPE_CHECKING:
    from clsbench.config.plan import Trial
    from clsbench.training.snapshot import Snapshot

IDENTITY = ("trial", "arm", "loss", "dataset", "model", "lr", "seed", "epoch", "step")


def fields() -> tuple[str, ...]:
    """Those of a record, in its order: whose it is, what was measured, what it took."""
    return (*IDENTITY, *measured(), "seconds", "status")


def identity_of(trial: Trial) -> Mapping[str, float | int | str]:
    """The fields of a record that say whose it is."""
    arm = trial.arm
    names = {"arm": arm.name, "loss": arm.loss.name, "dataset": arm.dataset.title, "model": arm.model.title}
    return {"trial": trial.number, **names, "lr": arm.lr, "seed": trial.seed}


@dataclass(frozen=True)
class Checkpoint:
    """What the training of some trials goes on from, in the order of the snapshot's rows.

    `seconds` is how long each has trained, `finished` whether they have nothing left to train, `compiled` whether
    their steps were, since their bits depend on it.
    """

    trials: tuple[int, ...]
    snapshot: Snapshot
    seconds: float
    finished: bool
    compiled: bool

    def part(self, places: Sequence[int]) -> Checkpoint:
        """The checkpoint of some of the trials, by their place."""
        trials = tuple(self.trials[place] for place in places)
        return replace(self, trials=trials, snapshot=self.snapshot.rows(places))


@dataclass(frozen=True)
class RunResumed:
    """A run goes on: so many of its trials' epochs are kept, and so many of them not trained again."""

    kept: int
    done: int


@dataclass(frozen=True)
class Warned:
    """Something about the run as a whole that whoever started it should know at once."""

    text: str


@dataclass(frozen=True)
class StackStarted:
    """A stack is about to train, from the epoch after `epoch`.

    `weights` holds, by trial number, the hash of every initial parameter; it is empty where a checkpoint goes on.
    `data` is the hash of the splits, as the process that trains has them.
    """

    trials: tuple[int, ...]
    epoch: int
    threads: int
    compiled: bool
    weights: Mapping[int, Mapping[str, str]]
    data: str


@dataclass(frozen=True)
class EpochDone:
    """One epoch of one stack. `batches` holds, by trial number, the hash of the order it trained in.

    A checkpoint comes with some epochs.
    """

    epoch: int
    records: tuple[Record, ...]
    batches: Mapping[int, str]
    checkpoint: Checkpoint | None = None


@dataclass(frozen=True)
class StackDone:
    """A stack's last epoch is over.

    `seconds` is what the stack trained, evaluation left out; `compile_seconds` what compiling its steps took.
    """

    checkpoint: Checkpoint
    seconds: float
    compile_seconds: float


@dataclass(frozen=True)
class TrialFailed:
    """A trial raised, or ran out of memory. `record` is its last, `trace` the error's."""

    trial: int
    record: Record
    reason: str
    trace: str


Event = RunResumed | Warned | StackStarted | EpochDone | StackDone | TrialFailed
