"""Training the rest of a plan, by the executor that fits it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager

from clsbench.errors import ConfigError
from clsbench.execution.cluster import connected
from clsbench.execution.events import Checkpoint, Event
from clsbench.execution.executors import in_process, processes
from clsbench.execution.scheduling import Machine, batches
from clsbench.execution.work import Work
from clsbench.execution.workers import Workers
from clsbench.forks import can_fork
from clsbench.system import cores


@contextmanager
def ready(workers: Workers, work: Work, say: Callable[[str], None]) -> Iterator[None]:
    """In this block the workers can do the work; `say` is told which, where they are not this machine's processes.

    Raises:
        ConfigError: they lack what was handed over in Python.
        RunError: they cannot be reached.
    """
    if workers.executor == "local":
        yield
        return
    if work.needs_this_process:
        raise ConfigError("--executor ray: no node has what was handed over in Python; put it into a plugin")
    with connected(workers.address, sum(each.num_bytes for each in work.data.values()), say):
        yield


def execute(work: Work, kept: Mapping[int, Checkpoint], workers: Workers) -> Generator[Event, None, None]:
    """Train every stack of the plan and yield events; call it inside `process.training` and `ready`.

    A trial's numbers depend neither on the process that trains it nor on the other trials of its stack.

    Args:
        kept: by trial number, the checkpoint to go on from.

    Raises:
        RunError: this machine would take compiled steps after eager ones, or the reverse.
    """
    stacks, threads = work.stacks, work.plan.experiment.train.threads
    if workers.executor == "ray":
        from clsbench.execution.executors import ray

        found = batches(stacks, kept, ray.machine(work.device), threads, workers.jobs)
        yield from ray.run([unit for batch in found for unit in batch.units], work, workers)
        return
    machine = Machine(
        num_cores=cores(),
        can_fork=can_fork(),
        may_have_children=not multiprocessing.current_process().daemon,
        shares_memory=work.device.type == "cpu",
    )
    for batch in batches(stacks, kept, machine, threads, workers.jobs):
        several = batch.num_processes > 1 and len(batch.units) > 1
        if not several or (work.needs_this_process and not processes.can_be_forks(batch.units, work)):
            yield from in_process.run(batch.units, work)
        else:
            yield from processes.run(batch.units, work, batch.num_processes, workers.retries)
