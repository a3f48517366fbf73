"""Which trials are trained where and when: pure functions of the stacks, the checkpoints and the machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from clsbench.config.plan import Trial
from clsbench.execution.events import Checkpoint, EpochDone, Event
from clsbench.slices import even_parts
from clsbench.training.snapshot import Snapshot

# The multiplications of a step, forward only, from which the time of its calls is small.
WORTH_A_PROCESS = 2_000_000


@dataclass(frozen=True)
class WorkUnit:
    """Trials to train as one stack, by number, from the start or from a checkpoint of all of them.

    If a stack is divided into units that train at the same time, this is one of `units_at_once`. `lost` counts the
    processes that died while they trained it, alone, from this start or checkpoint.
    """

    trials: tuple[int, ...]
    since: Checkpoint | None = None
    units_at_once: int = 1
    lost: int = 0

    def come_to(self, event: Event) -> WorkUnit:
        """The unit after an event of its training: from now on it goes on from the event's checkpoint."""
        checkpoint = event.checkpoint if isinstance(event, EpochDone) else None
        if checkpoint is None or checkpoint.trials != self.trials:
            return self
        return replace(self, since=checkpoint, lost=0)

    def cut(self, number: int) -> list[WorkUnit]:
        """`number` units of nearly equal size, at least one."""
        places = range(len(self.trials))
        return [self._part(places[part]) for part in even_parts(len(places), number)]

    def cut_at_once(self, number: int) -> list[WorkUnit]:
        """Units of nearly equal size that train at the same time, at least one."""
        return [replace(part, units_at_once=self.units_at_once * max(number, 1)) for part in self.cut(number)]

    def _part(self, places: Sequence[int]) -> WorkUnit:
        trials = tuple(self.trials[place] for place in places)
        return replace(self, trials=trials, since=None if self.since is None else self.since.part(places))


class Stacked(Protocol):
    """The properties of a stack that decide where it is trained; see `work.StackWork`."""

    @property
    def trials(self) -> tuple[Trial, ...]: ...
    @property
    def stacked(self) -> bool: ...
    @property
    def num_threads(self) -> int: ...
    @property
    def multiplications(self) -> int | None: ...
    @property
    def is_bounded_by_memory(self) -> bool: ...
    def most_beside(self, num_stacks: int) -> int: ...


@dataclass(frozen=True)
class Machine:
    """The machine: its cores, whether this process can be forked, and whether it may have children.

    A cluster is as many machines as it has `nodes`.
    """

    num_cores: int
    can_fork: bool
    may_have_children: bool = True
    shares_memory: bool = True  # stacks on a CPU; a GPU trains one at a time
    nodes: int = 1


@dataclass(frozen=True)
class Batch:
    """Units for a number of processes."""

    units: tuple[WorkUnit, ...]
    num_processes: int


def batches(
    stacks: Sequence[Stacked], kept: Mapping[int, Checkpoint], machine: Machine, threads: str | int, jobs: int | None
) -> Iterator[Batch]:
    """The remaining trials, in units for as many processes as there is work and memory for.

    Args:
        kept: by trial number, the checkpoint to go on from.
        threads: as `train.threads`.
        jobs: how many processes, at most one for each core; by default as many as `threads` gives.
    """
    by_processes: dict[int, list[tuple[Stacked, WorkUnit]]] = {}
    for stack in stacks:
        for unit in units_left(stack.trials, kept):
            by_processes.setdefault(num_processes(stack, machine, threads, jobs), []).append((stack, unit))
    for processes, group in by_processes.items():
        if machine.shares_memory:
            group = [(stack, part) for stack, unit in group for part in _fitting(stack, unit, processes)]
            everywhere = processes * machine.nodes
            yield Batch(tuple(dealt(group, everywhere)), everywhere)
        else:
            yield Batch(tuple(unit for _, unit in group), processes)


def units_left(trials: Sequence[Trial], kept: Mapping[int, Checkpoint]) -> Iterator[WorkUnit]:
    """A stack without its finished trials, in units of trials at the same epoch."""
    by_epoch: dict[int | None, list[int]] = {}
    for trial in trials:
        checkpoint = kept.get(trial.number)
        if checkpoint is None:
            by_epoch.setdefault(None, []).append(trial.number)
        elif not checkpoint.finished:
            by_epoch.setdefault(checkpoint.snapshot.epoch, []).append(trial.number)
    for epoch, numbers in by_epoch.items():
        since = None if epoch is None else _joined([kept[number] for number in numbers])
        yield WorkUnit(tuple(numbers), since)


def num_processes(stack: Stacked, machine: Machine, threads: str | int, jobs: int | None) -> int:
    """In how many processes stacks are trained at the same time: `jobs`, or one for each core.

    Two threads that wait for each other after every operation gain a third on an idle machine, and cost ten times that
    on a busy one: where operations have one thread, there is one process for each core.
    """
    if not machine.may_have_children:
        return 1
    if jobs is None:
        everywhere = machine.num_cores if threads == "auto" else int(threads)
        jobs = everywhere if stack.num_threads == 1 and machine.can_fork else 1
    if stack.is_bounded_by_memory:  # each has at least two trials
        jobs = min(jobs, stack.most_beside(1) // 2)
    return max(1, min(jobs, machine.num_cores // stack.num_threads))


def dealt(whole: Sequence[tuple[Stacked, WorkUnit]], processes: int) -> list[WorkUnit]:
    """Units for a number of processes: the last ones, which would leave some idle, are divided if that pays.

    A unit has at least two trials: a lone one would be trained beside a copy of itself.
    """
    odd = len(whole) % processes
    found = [unit for _, unit in whole[: len(whole) - odd]]
    for stack, unit in whole[len(whole) - odd :]:
        trials = len(unit.trials)
        worth = trials * (stack.multiplications or 0) // WORTH_A_PROCESS
        found += unit.cut_at_once(min(processes // odd, trials // 2, worth))
    return found


def after_a_death(unit: WorkUnit, retries: int) -> list[WorkUnit]:
    """The units to train after a unit's process died: its halves, or a single trial again; empty if it has failed.

    Args:
        retries: how often a single trial is tried again from the same start or checkpoint.
    """
    if len(unit.trials) > 1:
        return unit.cut(2)
    return [replace(unit, lost=unit.lost + 1)] if unit.lost < retries else []


def _fitting(stack: Stacked, unit: WorkUnit, processes: int) -> list[WorkUnit]:
    """A stack in units of which as many fit into memory as there are processes."""
    return unit.cut(-(-len(unit.trials) // stack.most_beside(processes)))


def _joined(checkpoints: Sequence[Checkpoint]) -> Checkpoint:
    numbers = tuple(number for each in checkpoints for number in each.trials)
    snapshot = Snapshot.joined([each.snapshot for each in checkpoints])
    return replace(checkpoints[0], trials=numbers, snapshot=snapshot, seconds=max(each.seconds for each in checkpoints))
