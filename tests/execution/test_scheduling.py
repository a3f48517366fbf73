"""Which trials are trained where: decided without a process, a network or a clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from clsbench.execution.events import Checkpoint, EpochDone, StackDone
from clsbench.execution.scheduling import Machine, WorkUnit, after_a_death, batches, num_processes, units_left
from clsbench.training.snapshot import Snapshot

MACHINE = Machine(num_cores=4, can_fork=True)


@dataclass(frozen=True)
class Trial:
    number: int


@dataclass(frozen=True)
class Stack:
    """What scheduling knows of a stack: `holds` is how many of its trials memory has room for."""

    trials: tuple[Trial, ...]
    stacked: bool = True
    num_threads: int = 1
    multiplications: int = 0
    holds: int = 256

    @property
    def is_bounded_by_memory(self) -> bool:
        return self.stacked

    def most_beside(self, num_stacks: int) -> int:
        return max(1, self.holds // num_stacks)


def stack(numbers: Sequence[int], **how: Any) -> Any:
    return Stack(tuple(map(Trial, numbers)), **how)


def checkpoint(trial: int, epoch: int, *, finished: bool = False) -> Checkpoint:
    return Checkpoint((trial,), Snapshot(epoch, {"w": torch.full((1,), float(trial))}), 1.0 * trial, finished, False)


@given(st.dictionaries(st.integers(0, 9), st.tuples(st.integers(0, 2), st.booleans())))
def test_what_is_left_is_every_trial_that_is_not_finished(kept: dict[int, tuple[int, bool]]) -> None:
    """Each unfinished trial is in one unit, with those that were left at its epoch and their joined checkpoint."""
    saved = {number: checkpoint(number, epoch, finished=over) for number, (epoch, over) in kept.items()}
    units = list(units_left(stack(range(10)).trials, saved))
    left = sorted(number for unit in units for number in unit.trials)
    assert [number for number in range(10) if not kept.get(number, (0, False))[1]] == left
    for unit in units:
        epochs = {kept.get(number, (None, False))[0] for number in unit.trials}
        assert 1 == len(epochs)
        if unit.since is not None:
            assert unit.trials == unit.since.trials
            assert list(map(float, unit.trials)) == unit.since.snapshot.tensors["w"].tolist()


@pytest.mark.parametrize(
    ("machine", "how", "jobs", "expected"),
    [
        (MACHINE, {}, None, 4),
        (MACHINE, {}, 2, 2),
        (MACHINE, {}, 9, 4),
        (MACHINE, {"num_threads": 2, "stacked": False}, 9, 2),
        (MACHINE, {"num_threads": 4, "stacked": False}, None, 1),
        (MACHINE, {"holds": 5}, None, 2),
        (MACHINE, {"holds": 1}, None, 1),
        (replace(MACHINE, can_fork=False), {}, None, 1),
        (replace(MACHINE, may_have_children=False), {}, 4, 1),
    ],
)
def test_processes_follow_cores_threads_and_memory(
    machine: Machine, how: dict[str, Any], jobs: int | None, expected: int
) -> None:
    """No more processes than cores divided by threads, than memory has pairs of trials, and than are asked for."""
    assert expected == num_processes(stack(range(8), **how), machine, "auto", jobs)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.integers(1, 30), st.integers(1, 8))
def test_every_trial_is_trained_once_and_fits(sizes: list[int], holds: int, num_cores: int) -> None:
    """Batches cover every trial once; a unit has no more trials than its share of memory holds."""
    starts = [sum(sizes[:place]) for place in range(len(sizes))]
    stacks = [stack(range(start, start + size), holds=holds) for start, size in zip(starts, sizes, strict=True)]
    found = list(batches(stacks, {}, Machine(num_cores, can_fork=True), "auto", None))
    assert list(range(sum(sizes))) == sorted(n for batch in found for unit in batch.units for n in unit.trials)
    for batch in found:
        assert all(len(unit.trials) <= max(1, holds // batch.num_processes) for unit in batch.units)


def test_a_unit_whose_process_died_is_halved_and_a_single_trial_tried_again() -> None:
    """A trial has failed whose process dies once more than there are retries, from one checkpoint."""
    halves = after_a_death(WorkUnit((1, 2, 3)), retries=1)
    assert [(1,), (2, 3)] == [unit.trials for unit in halves]
    (again,) = after_a_death(halves[0], retries=1)
    assert (1,) == again.trials
    assert [] == after_a_death(again, retries=1)
    assert [] == after_a_death(halves[0], retries=0)


def test_a_checkpoint_of_all_trials_gives_new_retries() -> None:
    """A unit goes on from the checkpoint of exactly its trials, as often as from the start."""
    own, other = (
        EpochDone(3, (), {}, Checkpoint(trials, Snapshot(3, {}), 1.0, finished=False, compiled=False))
        for trials in ((1,), (1, 2))
    )
    lost = WorkUnit((1,), lost=2)
    assert lost == lost.come_to(other) == lost.come_to(StackDone(own.checkpoint, 0.0, 0.0, 0.0))
    assert WorkUnit((1,), since=own.checkpoint) == lost.come_to(own)


def test_a_cluster_has_units_for_all_nodes_that_fit_into_one() -> None:
    """On three nodes of four cores twelve units train at a time; each has what fits beside three others."""
    whole = stack(range(240), holds=100)
    (batch,) = batches([whole], {}, Machine(4, can_fork=True, nodes=3), "auto", None)
    assert 12 == batch.num_processes
    assert 100 // 4 >= max(len(unit.trials) for unit in batch.units)
    assert list(range(240)) == sorted(number for unit in batch.units for number in unit.trials)
