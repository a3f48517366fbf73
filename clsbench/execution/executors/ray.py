"""Training on a Ray cluster: each work unit is a task that streams its events; only the driver writes files.

Imported only when it is chosen: Ray is an extra.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, cast

import ray
import torch
from ray import ObjectRef, ObjectRefGenerator
from ray.exceptions import (
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayError,
    RayTaskError,
    WorkerCrashedError,
)

from clsbench.errors import RunError
from clsbench.execution.cluster import Nodes, first_line
from clsbench.execution.events import Event, TrialFailed, Warned
from clsbench.execution.executors.ray_task import Decided, Message, lent, train
from clsbench.execution.failures import given_up
from clsbench.execution.scheduling import Machine, WorkUnit, after_a_death
from clsbench.execution.work import Work
from clsbench.execution.workers import Workers

log = logging.getLogger("clsbench")

LOST = (WorkerCrashedError, NodeDiedError, OutOfMemoryError, ObjectLostError)  # by no fault of the task's code

MOST_UNREAD = 32  # messages of a task: beyond them it waits for the driver
SECONDS_OF_PATIENCE = 60.0  # with a cluster that starts nothing

_TASK = cast("Any", ray.remote)(  # Ray's types do not know the last one
    num_returns="streaming",
    max_retries=0,  # the driver knows the last checkpoint
    scheduling_strategy="SPREAD",
    _generator_backpressure_num_objects=MOST_UNREAD,
)(train)


def machine(device: torch.device) -> Machine:
    """The cluster as the scheduler sees it: its largest node, as many times as there are nodes."""
    nodes = Nodes()
    return Machine(
        num_cores=nodes.most_cores,
        can_fork=True,  # a unit has a process of its own
        shares_memory=device.type == "cpu",
        nodes=max(1, nodes.number),
    )


def run(units: Sequence[WorkUnit], work: Work, workers: Workers) -> Iterator[Event]:
    """Train units on the cluster that this process is connected to, and yield their events.

    A unit whose worker or node is lost is trained in halves from its last checkpoint; a single trial is tried
    `workers.retries` more times from there, then it has failed.

    Raises:
        ClsbenchError: raised in a task.
        RunError: the cluster cannot go on.
    """
    nodes = Nodes()
    lending = _Lending(work, nodes)
    waiting = deque(lending.in_order(units))
    busy: dict[ObjectRefGenerator[Any], WorkUnit] = {}
    has_begun = False
    log.info("training %d stacks on a Ray cluster", len(waiting))
    try:
        while waiting or busy:
            # A cluster that can grow does so for those that wait there.
            while waiting and len(busy) < (workers.jobs or 2 * max(1, nodes.num_cores)):
                unit = waiting.popleft()
                busy[lending.started(unit)] = unit
            ready, _ = ray.wait(list(busy), num_returns=1, timeout=None if has_begun else SECONDS_OF_PATIENCE)
            if not ready:
                has_begun = True
                yield Warned("the Ray cluster has had no core (or GPU) free for a minute; waiting for one")
                continue
            task = cast("ObjectRefGenerator[Any]", ready[0])
            unit = busy.pop(task)
            try:
                message: Message = ray.get(next(task))
            except StopIteration:
                continue
            except LOST as error:
                yield from _after_loss(unit, error, waiting, workers, work)
                continue
            has_begun = True
            for level, text in message.logged:
                log.log(level, "%s", text)
            busy[task] = unit  # at the end of the row, so that each has its turn
            for event in message.events:
                busy[task] = busy[task].come_to(event)
                yield event
            if message.error is not None:
                raise message.error
    except RayTaskError as error:
        cause = error.cause or error
        if isinstance(cause, ImportError):
            raise RunError(f"a node of the cluster lacks what the others have: {cause}; install it there") from error
        raise cause from error
    except RayError as error:
        raise RunError(f"the Ray cluster cannot go on: {first_line(error)}") from error
    finally:
        for task in busy:
            with suppress(Exception):  # of a cluster that is gone
                ray.cancel(cast(Any, task), force=True)


def _after_loss(
    unit: WorkUnit, error: Exception, waiting: deque[WorkUnit], workers: Workers, work: Work
) -> Iterator[TrialFailed]:
    reason = f"its worker or node was lost ({first_line(error)})"
    log.warning("trials %s: %s", sorted(unit.trials), reason)
    again = after_a_death(unit, workers.retries)
    waiting.extend(again)
    if not again:
        (number,) = unit.trials
        trial = work.plan.trials[number]
        yield given_up(trial, work.problem_of(trial), unit.since, reason)


class _Lending:
    """Starts tasks, whose work and data are in Ray's object store: a node fetches them once, not once a task."""

    def __init__(self, work: Work, nodes: Nodes) -> None:
        self._work = work
        self._nodes = nodes
        self._on_gpu = work.device.type == "cuda"
        self._recipe = ray.put({**work.recipe(), "device": work.device.type})  # a task sees its own GPU alone
        self._data: dict[str, ObjectRef[Any]] = {}  # by key of the dataset

    def in_order(self, units: Sequence[WorkUnit]) -> list[WorkUnit]:
        """The units, those of one dataset side by side."""
        by_data: dict[frozenset[str], list[WorkUnit]] = {}
        for unit in units:
            keys = frozenset(self._work.plan.trials[number].data_key for number in unit.trials)
            by_data.setdefault(keys, []).append(unit)
        return [unit for group in by_data.values() for unit in group]

    def started(self, unit: WorkUnit) -> ObjectRefGenerator[Any]:
        """The task that trains a unit."""
        stack = self._work.resolved([self._work.plan.trials[number] for number in unit.trials])
        # Those of one unit at a time: a task that needs earlier ones holds them.
        self._data = {key: self._data.get(key) or ray.put(lent(each)) for key, each in stack.splits.items()}
        num_cpus = 1 if self._on_gpu else min(stack.num_threads, self._nodes.most_cores)
        decided = Decided(stack.num_cores, stack.compiled)
        task = _TASK.options(num_cpus=num_cpus, num_gpus=int(self._on_gpu))
        return cast("ObjectRefGenerator[Any]", task.remote([self._recipe, self._data], unit, decided))
