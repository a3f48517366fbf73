"""What an executor tells while it trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clsbench.training.metrics import METRICS

if TYPE_CHECKING:
    from torch import Tensor

Record = dict[str, float | int | str | None]

FIELDS = (
    *("trial", "arm", "loss", "dataset", "model", "lr", "seed", "epoch", "step"),
    *METRICS,
    *("seconds", "status"),
)


@dataclass(frozen=True)
class StackStarted:
    """A stack is about to train. `weights` holds, by trial number, the hash of every initial parameter."""

    trials: tuple[int, ...]
    threads: int
    compiled: bool
    weights: Mapping[int, Mapping[str, str]]


@dataclass(frozen=True)
class EpochDone:
    """One epoch of one stack. `batches` holds, by trial number, the hash of the order it trained in."""

    epoch: int
    records: tuple[Record, ...]
    batches: Mapping[int, str]


@dataclass(frozen=True)
class StackDone:
    """A stack's last epoch is over. `weights` holds, by trial number, the state dict of its model.

    `seconds` is what the stack trained, evaluation left out; `compile_seconds` what compiling its steps took.
    """

    weights: Mapping[int, Mapping[str, Tensor]]
    seconds: float
    compile_seconds: float


Event = StackStarted | EpochDone | StackDone
