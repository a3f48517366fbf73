"""Training the rest of a plan on this machine, by the executor that fits it."""

from __future__ import annotations

import multiprocessing
from collections.abc import Generator, Mapping

from clsbench.execution.events import Checkpoint, Event
from clsbench.execution.executors import in_process, processes
from clsbench.execution.scheduling import Machine, batches
from clsbench.execution.work import Work
from clsbench.forks import can_fork
from clsbench.system import cores


def execute(work: Work, kept: Mapping[int, Checkpoint], jobs: int | None = None) -> Generator[Event, None, None]:
    """Train every stack of the plan and yield events; call it inside `process.training`.

    A trial's numbers depend neither on the process that trains it nor on the other trials of its stack.

    Args:
        kept: by trial number, the checkpoint to go on from.
        jobs: how many processes, at most one for each core; by default as many as `train.threads` gives.

    Raises:
        RunError: this machine would take compiled steps after eager ones, or the reverse.
    """
    machine = Machine(
        num_cores=cores(),
        can_fork=can_fork(),
        may_have_children=not multiprocessing.current_process().daemon,
        shares_memory=work.device.type == "cpu",
    )
    for batch in batches(work.stacks(), kept, machine, work.plan.experiment.train.threads, jobs):
        several = batch.num_processes > 1 and len(batch.units) > 1
        if not several or (work.needs_this_process and not processes.can_be_forks(batch.units, work)):
            yield from in_process.run(batch.units, work)
        else:
            yield from processes.run(batch.units, work, batch.num_processes)
