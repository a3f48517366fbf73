"""Training in processes of its own: stacks are dealt out, events come back, and one process writes."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, cast

from clsbench import system
from clsbench.errors import ClsbenchError
from clsbench.execution.events import EpochDone, Event, TrialFailed
from clsbench.execution.failures import failed_record
from clsbench.execution.process import can_fork, starting_a_process, training
from clsbench.execution.scheduling import WorkUnit, after_a_death
from clsbench.execution.units import train_unit
from clsbench.execution.work import Work

if TYPE_CHECKING:
    from multiprocessing.context import ForkContext, SpawnContext

log = logging.getLogger("clsbench")


def run(units: Sequence[WorkUnit], work: Work, num_processes: int) -> Iterator[Event]:
    """Train units, so many at a time, and tell what happens as it comes.

    A unit whose process dies, for want of memory say, is trained in halves from its last checkpoint; a single
    trial is tried once more, and has failed after that.

    The processes are forks of this one, which have what it has, where that is possible. Others open the data
    themselves, and know of plugins what is in files.

    Raises:
        ClsbenchError: as a process raised it.
    """
    waiting = deque(units)
    log.info("training %d stacks in %d processes", len(waiting), min(num_processes, len(waiting)))
    forked = can_fork() and all(_has_one_thread(unit, work) for unit in units)
    context = multiprocessing.get_context("fork") if forked else multiprocessing.get_context("spawn")
    target = partial(_work, (lambda: work) if forked else partial(Work.of_recipe, work.recipe()))
    idle: list[_Worker] = []
    busy: dict[Connection, _Worker] = {}
    tried: set[int] = set()
    try:
        while waiting or busy:
            while waiting and len(busy) < num_processes:
                try:
                    worker = idle.pop() if idle else _Worker(context, target)
                except OSError:  # the system allows no more processes
                    if not busy:
                        raise
                    num_processes = len(busy)
                    break
                busy[worker.channel] = worker
                worker.train(waiting.popleft())
            for channel in cast("list[Connection]", wait(list(busy))):  # by another name on Windows
                worker = busy[channel]
                try:
                    told = worker.told()
                except (EOFError, OSError):  # plain, where it died in the midst of a message
                    del busy[channel]
                    yield from _after_death(worker, waiting, tried, work)
                    continue
                if told is None:
                    idle.append(busy.pop(channel))
                elif isinstance(told, ClsbenchError):
                    raise told
                else:
                    yield told
    finally:
        for worker in [*idle, *busy.values()]:
            worker.end()


def _has_one_thread(unit: WorkUnit, work: Work) -> bool:
    """Whether its operations have one: where they have several, the numerical libraries do not survive a fork."""
    return work.resolved([work.plan.trials[number] for number in unit.trials]).num_threads == 1


class _Worker:
    """A process that trains one unit at a time. `unit` is what it would have to be given again."""

    def __init__(self, context: ForkContext | SpawnContext, target: Callable[[Connection, Connection], None]) -> None:
        # Two pipes, for one both ways would be a socket, and a run without network makes none.
        self.channel, events = context.Pipe(duplex=False)
        orders, self._orders = context.Pipe(duplex=False)
        self._process = context.Process(target=target, args=(orders, events), daemon=True)
        if context.get_start_method() == "spawn" and not system.WINDOWS:
            resource_tracker.ensure_running()  # or starting it, within, would let signals through
        with starting_a_process():
            self._process.start()
        orders.close()
        events.close()  # so that its death is heard
        self.unit = WorkUnit(())

    def train(self, unit: WorkUnit) -> None:
        self.unit = unit
        with suppress(OSError):  # it is dead, which is heard next
            self._orders.send_bytes(pickle.dumps(unit))

    def told(self) -> Event | ClsbenchError | None:
        """The next event, the error that ended it, or None when the unit is over."""
        event: Event | ClsbenchError | None = pickle.loads(self.channel.recv_bytes())
        checkpoint = event.checkpoint if isinstance(event, EpochDone) else None
        if checkpoint is not None and checkpoint.trials == self.unit.trials:
            self.unit = replace(self.unit, since=checkpoint)
        return event

    def end(self, patience: float = 0.0) -> str:
        """End the process; say what had ended it, if something had, within `patience` seconds."""
        self._process.join(patience)  # a dying process closes its pipe before it is dead
        code = self._process.exitcode
        self._process.kill()
        self._process.join()
        self.channel.close()
        self._orders.close()
        return f"its process was killed by {signal.Signals(-code).name}" if code and code < 0 else "its process ended"


def _after_death(worker: _Worker, waiting: deque[WorkUnit], tried: set[int], work: Work) -> Iterator[Event]:
    unit, reason = worker.unit, worker.end(patience=5.0)
    log.warning("trials %s: %s", sorted(unit.trials), reason)
    again = after_a_death(unit, tried)
    waiting.extend(again)
    if not again:
        (number,) = unit.trials
        record = failed_record(work.plan.trials[number], None, unit.since)
        yield TrialFailed(number, record, reason, "")


def _work(make: Callable[[], Work], orders: Connection, events: Connection) -> None:
    """A worker's life: train what it is given, until its parent ends it or dies."""
    system.obey_termination()  # SIGTERM, which a parent that leaves in order sends
    system.die_with_parent()  # at once, where the system can
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        work = make()
        while True:
            unit = pickle.loads(orders.recv_bytes())
            with training():
                for event in train_unit(unit, work):
                    events.send_bytes(pickle.dumps(event))
            events.send_bytes(pickle.dumps(None))
    except ClsbenchError as error:
        events.send_bytes(pickle.dumps(error))
    except (EOFError, ConnectionError):
        pass  # the parent is gone


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
