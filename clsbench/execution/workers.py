"""Training in processes of its own: stacks are dealt out, events come back, and one process writes."""

from __future__ import annotations

import logging
import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch

from clsbench.config.plan import Plan, plans, with_chosen
from clsbench.config.reader import read_mapping
from clsbench.config.schema import Experiment
from clsbench.data.splits import Splits
from clsbench.errors import ClsbenchError
from clsbench.execution.build import cores, load_data, problem_of, require_same_steps
from clsbench.execution.events import Checkpoint, EpochDone, Event, TrialFailed
from clsbench.execution.process import training
from clsbench.execution.stacks import Share, failed_record, shares, train_share
from clsbench.registry import Registry, load_installed_plugins, load_plugin

log = logging.getLogger("clsbench")

# Not `fork`: these open data and may use all threads of the numerical libraries, which do not survive it.
_processes = multiprocessing.get_context("spawn")


def processes_for(jobs: int, threads: Iterable[int]) -> int:
    """How many processes of `jobs` there are cores for, when each trains on as many threads."""
    return max(1, min(jobs, cores() // max(threads)))


def execute(
    experiment: Experiment,
    plan: Plan,
    catalogue: Registry,
    device: torch.device,
    kept: Mapping[int, Checkpoint],
    processes: int,
) -> Generator[Event, None, None]:
    """Train every stack of the plan, several at a time, and tell what happens as it comes.

    A stack whose process dies, for want of memory say, goes on in halves from its last checkpoint; a single
    trial is tried once more, and has failed after that.

    Args:
        experiment: what the plan, or the tuning before it, is made of.
        kept: by trial number, the checkpoint to go on from.
        processes: how many at a time, each of which opens the data itself.

    Raises:
        ClsbenchError: as a process raised it.
    """
    waiting = deque(shares(plan, catalogue, kept))
    log.info("training %d stacks in %d processes", len(waiting), min(processes, len(waiting)))
    recipe = _recipe(experiment, plan, catalogue, device, kept) | {"cores": max(1, cores() // processes)}
    idle: list[_Worker] = []
    busy: dict[Connection, _Worker] = {}
    tried: set[int] = set()
    try:
        while waiting or busy:
            while waiting and len(busy) < processes:
                worker = idle.pop() if idle else _Worker(recipe)
                worker.train(waiting.popleft())
                busy[worker.channel] = worker
            for channel in wait(list(busy)):
                assert isinstance(channel, Connection)
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


class _Worker:
    """A process that trains one stack at a time. `share` is what it would have to be given again."""

    def __init__(self, recipe: Mapping[str, Any]) -> None:
        self.channel, far_end = _processes.Pipe()
        self._process = _processes.Process(target=_work, args=(far_end, recipe), daemon=True)
        with _deaf_to_ctrl_c():
            self._process.start()
        far_end.close()  # so that its death is heard
        self.share = Share(())

    def train(self, share: Share) -> None:
        self.share = share
        with suppress(OSError):  # it is dead, which is heard next
            self.channel.send_bytes(pickle.dumps((tuple(trial.number for trial in share.trials), share.since)))

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
        return f"its process was killed by {signal.Signals(-code).name}" if code and code < 0 else "its process ended"


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """What is started while it holds never hears of Ctrl-C, from its first line on; the parent answers it."""
    resource_tracker.ensure_running()  # or starting it, within, would unblock the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _after_death(worker: _Worker, waiting: deque[Share], tried: set[int]) -> Iterator[Event]:
    share, reason = worker.share, worker.end(patience=5.0)
    numbers = {trial.number for trial in share.trials}
    log.warning("trials %s: %s", sorted(numbers), reason)
    if len(numbers) > 1:
        waiting.extend(share.halves())
    elif tried.isdisjoint(numbers):
        tried |= numbers
        waiting.append(share)
    else:
        (trial,) = share.trials
        yield TrialFailed(trial.number, failed_record(trial, None, share.since), reason, "")


def _recipe(
    experiment: Experiment, plan: Plan, catalogue: Registry, device: torch.device, kept: Mapping[int, Checkpoint]
) -> dict[str, Any]:
    """What another process makes the same plan of."""
    return {
        "experiment": experiment.to_dict(),
        "sees_test": plan.sees_test,
        "chosen": {arm.name: dict(arm.tuned) for arm in plan.arms},
        "plugins": list(catalogue.plugins),
        "device": str(device),
        "compiled": {trial: checkpoint.compiled for trial, checkpoint in kept.items()},
    }


def _work(channel: Connection, recipe: Mapping[str, Any]) -> None:
    """A worker's life: train what it is given, until its parent ends it or dies."""
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        plan, catalogue, device = _remade(recipe)
        data: dict[str, Splits] = {}
        while True:
            numbers, since = pickle.loads(channel.recv_bytes())
            trials = tuple(plan.trials[number] for number in numbers)
            missing = [trial for trial in trials if trial.dataset.key not in data]
            data |= load_data(missing, catalogue, device)
            require_same_steps(recipe["compiled"], plan, data, catalogue)
            plan = replace(plan, problems={key: problem_of(splits) for key, splits in data.items()})
            with training():
                for event in train_share(Share(trials, since), plan, data, catalogue, device, recipe["cores"]):
                    channel.send_bytes(pickle.dumps(event))
            channel.send_bytes(pickle.dumps(None))
    except ClsbenchError as error:
        channel.send_bytes(pickle.dumps(error))
    except (EOFError, ConnectionError):
        pass  # the parent is gone


def _remade(recipe: Mapping[str, Any]) -> tuple[Plan, Registry, torch.device]:
    import clsbench.data
    import clsbench.losses
    import clsbench.models  # noqa: F401 - the rooms register what they offer
    from clsbench.registry import catalogue

    load_installed_plugins()
    for path in recipe["plugins"]:
        load_plugin(Path(path))
    each = plans(read_mapping(recipe["experiment"], catalogue))
    plan = each[-1] if recipe["sees_test"] else each[0]
    if recipe["sees_test"] and len(each) > 1:
        plan = with_chosen(plan, recipe["chosen"])
    return plan, catalogue, torch.device(recipe["device"])


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)
