"""Training in processes of its own: stacks are dealt out, events come back, and one process writes."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from clsbench import system
from clsbench.config.plan import Plan, plans, with_chosen
from clsbench.config.reader import read_mapping
from clsbench.config.schema import Experiment
from clsbench.data.splits import Splits
from clsbench.errors import ClsbenchError
from clsbench.execution.build import load_data, posed_of, require_same_steps, threads_in_operations
from clsbench.execution.events import EpochDone, Event, TrialFailed
from clsbench.execution.process import can_fork, starting_a_process, training
from clsbench.execution.stacks import Share, failed_record, train_share
from clsbench.registry import catalogue, load_installed_plugins, load_plugin

if TYPE_CHECKING:
    from multiprocessing.context import ForkContext, SpawnContext

log = logging.getLogger("clsbench")


@dataclass(frozen=True)
class Work:
    """What a process needs to train some stacks of a plan.

    `experiment` is what the plan, or the tuning before it, is made of. `compiled` says, by trial number, how the steps
    were taken of which something is kept.
    """

    experiment: Experiment
    plan: Plan
    data: Mapping[str, Splits]
    device: torch.device
    compiled: Mapping[int, bool]


def side_by_side(shares: Sequence[Share], work: Work, processes: int) -> Iterator[Event]:
    """Train stacks, so many at a time, and tell what happens as it comes.

    A stack whose process dies, for want of memory say, goes on in halves from its last checkpoint; a single
    trial is tried once more, and has failed after that.

    The processes are forks of this one, which have what it has, where that is possible. Others open the data
    themselves, and know of plugins what is in files.

    Raises:
        ClsbenchError: as a process raised it.
    """
    waiting = deque(shares)
    log.info("training %d stacks in %d processes", len(waiting), min(processes, len(waiting)))
    forked = can_fork() and all(_has_one_thread(share, work) for share in shares)
    context = multiprocessing.get_context("fork") if forked else multiprocessing.get_context("spawn")
    target = partial(_work, (lambda: work) if forked else partial(_remade, _recipe(work)))
    idle: list[_Worker] = []
    busy: dict[Connection, _Worker] = {}
    tried: set[int] = set()
    try:
        while waiting or busy:
            while waiting and len(busy) < processes:
                try:
                    worker = idle.pop() if idle else _Worker(context, target)
                except OSError:  # the system allows no more processes
                    if not busy:
                        raise
                    processes = len(busy)
                    break
                busy[worker.channel] = worker
                worker.train(waiting.popleft())
            for channel in cast("list[Connection]", wait(list(busy))):  # by another name on Windows
                worker = busy[channel]
                try:
                    told = worker.told()
                except (EOFError, OSError):  # plain, where it died in the midst of a message
                    del busy[channel]
                    yield from _after_death(worker, waiting, tried)
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


def _has_one_thread(share: Share, work: Work) -> bool:
    """Whether its operations have one: where they have several, the numerical libraries do not survive a fork."""
    trial = share.trials[0]
    return threads_in_operations(trial, work.plan, work.data[trial.dataset.key]) == 1


class _Worker:
    """A process that trains one stack at a time. `share` is what it would have to be given again."""

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
        self.share = Share(())

    def train(self, share: Share) -> None:
        self.share = share
        with suppress(OSError):  # it is dead, which is heard next
            self._orders.send_bytes(
                pickle.dumps((tuple(trial.number for trial in share.trials), share.since, share.parts_at_once))
            )

    def told(self) -> Event | ClsbenchError | None:
        """The next event, the error that ended it, or None when the stack is over."""
        event: Event | ClsbenchError | None = pickle.loads(self.channel.recv_bytes())
        checkpoint = event.checkpoint if isinstance(event, EpochDone) else None
        if checkpoint is not None and checkpoint.trials == tuple(trial.number for trial in self.share.trials):
            self.share = replace(self.share, since=checkpoint)
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


def _after_death(worker: _Worker, waiting: deque[Share], tried: set[int]) -> Iterator[Event]:
    share, reason = worker.share, worker.end(patience=5.0)
    numbers = {trial.number for trial in share.trials}
    log.warning("trials %s: %s", sorted(numbers), reason)
    if len(numbers) > 1:
        waiting.extend(share.parts(2))
    elif tried.isdisjoint(numbers):
        tried |= numbers
        waiting.append(share)
    else:
        (trial,) = share.trials
        yield TrialFailed(trial.number, failed_record(trial, None, share.since), reason, "")


def _work(make: Callable[[], Work], orders: Connection, events: Connection) -> None:
    """A worker's life: train what it is given, until its parent ends it or dies."""
    system.obey_termination()  # SIGTERM, which a parent that leaves in order sends
    system.die_with_parent()  # at once, where the system can
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        work = make()
        plan, data = work.plan, dict(work.data)
        while True:
            numbers, since, parts_at_once = pickle.loads(orders.recv_bytes())
            trials = tuple(plan.trials[number] for number in numbers)
            missing = [trial for trial in trials if trial.dataset.key not in data]
            data |= load_data(missing, work.device, plan.spared)
            require_same_steps(work.compiled, plan, data)
            plan = replace(plan, posed={key: posed_of(splits) for key, splits in data.items()})
            with training():
                share = Share(trials, since, parts_at_once)
                for event in train_share(share, plan, data, work.device):
                    events.send_bytes(pickle.dumps(event))
            events.send_bytes(pickle.dumps(None))
    except ClsbenchError as error:
        events.send_bytes(pickle.dumps(error))
    except (EOFError, ConnectionError):
        pass  # the parent is gone


def _recipe(work: Work) -> dict[str, Any]:
    """What a process that is not a fork makes the same work of."""
    return {
        "experiment": work.experiment.to_dict(),
        "sees_test": work.plan.sees_test,
        "chosen": {arm.name: dict(arm.tuned) for arm in work.plan.arms},
        "plugins": list(catalogue.plugins),
        "device": str(work.device),
        "compiled": dict(work.compiled),
    }


def _remade(recipe: Mapping[str, Any]) -> Work:
    import clsbench.data
    import clsbench.losses
    import clsbench.models  # noqa: F401 - the rooms register what they offer

    load_installed_plugins()
    for path in recipe["plugins"]:
        load_plugin(Path(path))
    experiment = read_mapping(recipe["experiment"])
    each = plans(experiment)
    plan = each[-1] if recipe["sees_test"] else each[0]
    if recipe["sees_test"] and len(each) > 1:
        plan = with_chosen(plan, recipe["chosen"])
    return Work(experiment, plan, {}, torch.device(recipe["device"]), recipe["compiled"])


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
