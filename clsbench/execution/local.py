"""Training on this machine: one stack after the other in this process, or several side by side in others."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Generator, Mapping, Sequence

import torch

from clsbench.config.plan import Plan
from clsbench.config.schema import Experiment
from clsbench.data.splits import Splits
from clsbench.execution.build import multiplications, require_same_steps, threads_in_operations
from clsbench.execution.events import Checkpoint, Event
from clsbench.execution.process import can_fork
from clsbench.execution.stacks import Share, shares, train_share
from clsbench.execution.workers import Work, side_by_side
from clsbench.registry import catalogue
from clsbench.system import cores

# Multiplications of a step of some trials, forward alone, from which its calls are a small part of it.
WORTH_A_PROCESS = 2_000_000


def execute(
    experiment: Experiment,
    plan: Plan,
    data: Mapping[str, Splits],
    device: torch.device,
    kept: Mapping[int, Checkpoint],
    jobs: int | None = None,
) -> Generator[Event, None, None]:
    """Train every stack of the plan, and tell what happens; for the inside of `process.training`.

    A trial's numbers do not hang on the process that trains it, nor on the trials beside it.

    Args:
        experiment: what the plan, or the tuning before it, is made of.
        kept: by trial number, the checkpoint to go on from.
        jobs: how many processes, where there are cores for them; without it, as many as `train.threads` asks for.

    Raises:
        RunError: this machine would train in other steps than those that are kept.
    """
    compiled = {trial: checkpoint.compiled for trial, checkpoint in kept.items()}
    require_same_steps(compiled, plan, data)
    work = Work(experiment, plan, data, device, compiled)
    by_processes: dict[int, list[Share]] = {}
    for share in shares(plan, kept):
        by_processes.setdefault(_processes(share, work, jobs), []).append(share)
    for processes, group in by_processes.items():
        dealt = group
        if device.type == "cpu":
            fitting = [part for share in group for part in _that_fit(share, work, processes)]
            dealt = in_parts(fitting, processes, lambda share: multiplications(share.trials[0], plan))
        if processes == 1 or len(dealt) == 1:
            for share in dealt:
                yield from train_share(share, plan, data, device)
        else:
            yield from side_by_side(dealt, work, processes)


def in_parts(whole: Sequence[Share], processes: int, cost: Callable[[Share], int]) -> list[Share]:
    """Shares for so many processes: the last ones, which would leave some idle, in parts where that is worth it.

    A part has two trials at least: one alone would take a copy of it along.

    Args:
        cost: the multiplications of a trial's step, forward alone.
    """
    odd = len(whole) % processes
    dealt = list(whole[: len(whole) - odd])
    for share in whole[len(whole) - odd :]:
        trials = len(share.trials)
        dealt += share.at_once(min(processes // odd, trials // 2, trials * cost(share) // WORTH_A_PROCESS))
    return dealt


def _that_fit(share: Share, work: Work, processes: int) -> list[Share]:
    """A stack in parts of which memory holds as many as there are processes."""
    most = work.plan.largest_stack(share.trials[0], processes)
    return share.parts(-(-len(share.trials) // most))


def _processes(share: Share, work: Work, jobs: int | None) -> int:
    """How many processes a stack may be trained beside others in: those asked for, or one for each core.

    Two threads that wait for each other after every operation gain a third on a quiet machine, and cost ten times that
    beside any other work: models that stack have one, and a process for each core.
    """
    trial, asked = share.trials[0], work.plan.experiment.train.threads
    each = threads_in_operations(trial, work.plan, work.data[trial.dataset.key])
    stacked = catalogue.get("model", trial.arm.model.name).stacked
    if multiprocessing.current_process().daemon:  # which may have no children
        return 1
    if jobs is None:
        everywhere = cores() if asked == "auto" else int(asked)
        jobs = everywhere if stacked and can_fork() else 1
    if stacked and work.plan.experiment.train.stack == "auto":  # each holds two trials at least
        jobs = min(jobs, work.plan.largest_stack(trial) // 2)
    return max(1, min(jobs, cores() // each))
