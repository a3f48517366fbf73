"""What runs in a worker of a Ray cluster: one unit, its events in messages."""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import ray
import torch

from clsbench import system
from clsbench.data.splits import Splits, Tensors
from clsbench.errors import ClsbenchError, ConfigError
from clsbench.execution.events import EpochDone, Event, StackDone, StackStarted
from clsbench.execution.process import training
from clsbench.execution.scheduling import WorkUnit
from clsbench.execution.units import train_unit
from clsbench.execution.work import Work

log = logging.getLogger("clsbench")

SECONDS_BETWEEN_MESSAGES = 0.2  # a message costs about a millisecond, an epoch may take less


@dataclass(frozen=True)
class Decided:
    """What the driver has decided for all nodes: the cores of a trial, compiled or eager steps."""

    num_cores: int
    compiled: bool


@dataclass
class Message:
    """Events in order, what was logged meanwhile, and the error that ended the task."""

    events: list[Event] = field(default_factory=list)
    logged: list[tuple[int, str]] = field(default_factory=list)
    error: ClsbenchError | None = None


def train(lent: Sequence[Any], unit: WorkUnit, decided: Decided) -> Iterator[Message]:
    """A task: the events of a unit, in messages that are sent at most every so often.

    Args:
        lent: the recipe of the work, and splits by the key of their dataset, as references into the object store: what
            this process has already is not fetched again.
    """
    system.die_with_parent()  # a node that is lost, or ends with its run, leaves nobody at work
    message, sent = Message(), 0.0
    noting = _Noting(message)
    log.addHandler(noting)
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        with training():
            for event in train_unit(unit, _work_of(lent, unit, decided)):
                message.events.append(event)
                if _is_urgent(event) or time.monotonic() - sent >= SECONDS_BETWEEN_MESSAGES:
                    yield message
                    message, sent = Message(), time.monotonic()
                    noting.message = message
    except ClsbenchError as error:
        message.error = error
    finally:
        log.removeHandler(noting)
    yield message


def _is_urgent(event: Event) -> bool:
    """Whether to lose it would cost more than an epoch."""
    if isinstance(event, EpochDone):
        return event.checkpoint is not None
    return isinstance(event, StackStarted | StackDone)


_works: dict[str, Work] = {}  # of this process, by recipe: the newest


def _work_of(lent: Sequence[Any], unit: WorkUnit, decided: Decided) -> Work:
    recipe, data = lent
    if recipe.hex() not in _works:
        _works.clear()
        try:
            _works[recipe.hex()] = Work.of_recipe(ray.get(recipe))
        except ConfigError as error:
            hint = "what a script registers does not reach Ray's workers, a plugin does"
            raise ConfigError(f"{error}; {hint}") from error
    work = _works[recipe.hex()]
    # Those of one unit at a time: the memory of a node is not for all.
    work.data = {key: work.data.get(key) or _moved(ray.get(each), work.device) for key, each in data.items()}
    return replace(work, num_cores=decided.num_cores, compiled=dict.fromkeys(unit.trials, decided.compiled))


def lent(splits: Splits) -> Splits:
    """Splits whose tensors are pickled as arrays, which Ray does not copy on the way to a process of a node."""
    return _each(splits, lambda tensor: cast(torch.Tensor, _Array(tensor)))


def _moved(splits: Splits, device: torch.device) -> Splits:
    return _each(splits, lambda tensor: tensor.to(device))


class _Array:
    """Pickled, this is a tensor."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self._tensor = tensor

    def __reduce__(self) -> tuple[Any, ...]:
        return _tensor, (self._tensor.cpu().numpy(),)


def _tensor(array: Any) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the memory of a node is not writable, and nothing writes there
        return torch.from_numpy(array)


def _each(splits: Splits, change: Callable[[torch.Tensor], torch.Tensor]) -> Splits:
    """Splits with every tensor changed."""

    def changed(part: Tensors) -> Tensors:
        return Tensors(change(part.x), change(part.y), None if part.posterior is None else change(part.posterior))

    val = None if splits.val is None else changed(splits.val)
    return replace(splits, train=changed(splits.train), val=val, test=changed(splits.test))


class _Noting(logging.Handler):
    """Adds what is logged to a message."""

    def __init__(self, message: Message) -> None:
        super().__init__()
        self.message = message

    def emit(self, record: logging.LogRecord) -> None:
        self.message.logged.append((record.levelno, record.getMessage()))
