"""Training in worker processes: they get units and send events; only the parent writes files."""

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
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, cast

from clsbench import system
from clsbench.errors import ClsbenchError
from clsbench.execution.events import Event, TrialFailed
from clsbench.execution.failures import given_up
from clsbench.execution.process import training
from clsbench.execution.scheduling import WorkUnit, after_a_death
from clsbench.execution.units import train_unit
from clsbench.execution.work import Work
from clsbench.forks import can_fork, starting_a_process

if TYPE_CHECKING:
    from multiprocessing.context import ForkContext, SpawnContext

log = logging.getLogger("clsbench")


def run(units: Sequence[WorkUnit], work: Work, num_processes: int, retries: int) -> Iterator[Event]:
    """Train units, several at a time, and yield their events.

    A unit whose process dies (of lack of memory, for example) is trained in halves from its last checkpoint; a single
    trial is tried `retries` more times from there, then it has failed.

    If possible, the processes are forks of this one and share its data and plugins. Others open the data themselves,
    and have only the plugins that are files.

    Raises:
        ClsbenchError: raised in a process.
    """
    waiting = deque(units)
    log.info("training %d stacks in %d processes", len(waiting), min(num_processes, len(waiting)))
    forked = can_be_forks(units, work)
    context = multiprocessing.get_context("fork") if forked else multiprocessing.get_context("spawn")
    target = partial(_work, (lambda: work) if forked else partial(Work.of_recipe, work.recipe()))
    idle: list[_Worker] = []
    busy: dict[Connection, _Worker] = {}
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
            for channel in cast("list[Connection]", wait(list(busy))):  # named differently on Windows
                worker = busy[channel]
                try:
                    message = worker.receive()
                except (EOFError, OSError):  # OSError if it died in the middle of a message
                    del busy[channel]
                    yield from _after_death(worker, waiting, retries, work)
                    continue
                if message is None:
                    idle.append(busy.pop(channel))
                elif isinstance(message, ClsbenchError):
                    raise message
                else:
                    yield message
    finally:
        for worker in [*idle, *busy.values()]:
            worker.end()


def can_be_forks(units: Sequence[WorkUnit], work: Work) -> bool:
    """Whether the processes that train units can be forks of this one."""
    return can_fork() and all(_has_one_thread(unit, work) for unit in units)


def _has_one_thread(unit: WorkUnit, work: Work) -> bool:
    """Whether operations use one thread: with several, the numerical libraries do not survive a fork."""
    return work.resolved([work.plan.trials[number] for number in unit.trials]).num_threads == 1


class _Worker:
    """A process that trains one unit at a time; `unit` is the current one."""

    def __init__(self, context: ForkContext | SpawnContext, target: Callable[[Connection, Connection], None]) -> None:
        # Two pipes: a duplex one would be a socket, and a run without network opens none.
        self.channel, events = context.Pipe(duplex=False)
        orders, self._orders = context.Pipe(duplex=False)
        self._process = context.Process(target=target, args=(orders, events), daemon=True)
        if context.get_start_method() == "spawn" and not system.WINDOWS:
            resource_tracker.ensure_running()  # or starting it inside the block would unblock signals
        with starting_a_process():
            self._process.start()
        orders.close()
        events.close()  # so that its death is noticed
        self.unit = WorkUnit(())

    def train(self, unit: WorkUnit) -> None:
        self.unit = unit
        with suppress(OSError):  # it is dead, which is noticed next
            self._orders.send_bytes(pickle.dumps(unit))

    def receive(self) -> Event | ClsbenchError | None:
        """The next event, the error that ended the process, or None when the unit is finished."""
        event: Event | ClsbenchError | None = pickle.loads(self.channel.recv_bytes())
        if event is not None and not isinstance(event, ClsbenchError):
            self.unit = self.unit.come_to(event)
        return event

    def end(self, patience: float = 0.0) -> str:
        """End the process; if it had already ended within `patience` seconds, return the reason."""
        self._process.join(patience)  # a dying process closes its pipe before it is dead
        code = self._process.exitcode
        self._process.kill()
        self._process.join()
        self.channel.close()
        self._orders.close()
        return f"its process was killed by {signal.Signals(-code).name}" if code and code < 0 else "its process ended"


def _after_death(worker: _Worker, waiting: deque[WorkUnit], retries: int, work: Work) -> Iterator[TrialFailed]:
    unit, reason = worker.unit, worker.end(patience=5.0)
    log.warning("trials %s: %s", sorted(unit.trials), reason)
    again = after_a_death(unit, retries)
    waiting.extend(again)
    if not again:
        (number,) = unit.trials
        trial = work.plan.trials[number]
        yield given_up(trial, work.problem_of(trial), unit.since, reason)


def _work(make: Callable[[], Work], orders: Connection, events: Connection) -> None:
    """The worker's loop: train the units that it receives until its parent ends it or dies."""
    system.obey_termination()  # SIGTERM, sent by a parent that ends normally
    system.die_with_parent()  # immediately, if the system supports it
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
        pass  # the parent is dead


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
