"""Training one unit from its first epoch, or from a checkpoint, to its last."""

from __future__ import annotations

import gc
import logging
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import cast

import torch

from clsbench.config.plan import Trial
from clsbench.data.scene import Frame
from clsbench.errors import ClsbenchError, RunError
from clsbench.execution.events import (
    Checkpoint,
    EpochDone,
    Event,
    StackDone,
    StackStarted,
    TrialFailed,
    fields,
    identity_of,
)
from clsbench.execution.failures import failed_record, reason_of
from clsbench.execution.host import this_host
from clsbench.execution.matching import loss_weights
from clsbench.execution.scheduling import WorkUnit
from clsbench.execution.warm_start import warm_start
from clsbench.execution.work import StackWork, Work
from clsbench.problems import Problem
from clsbench.results import Record
from clsbench.training.compiled import has_traced
from clsbench.training.loop import EpochResult, train
from clsbench.training.snapshot import SnapshotMismatch

log = logging.getLogger("clsbench")

SECONDS_BETWEEN_CHECKPOINTS = 5.0
# After a checkpoint the next one waits this many times as long as the checkpoint took.
SPARING = 20.0


def train_unit(unit: WorkUnit, work: Work) -> Iterator[Event]:
    """Train a unit and yield its events. One that raises is trained again in halves, until a single trial raises.

    It sets the number of threads and does not restore it: call it inside `process.training`.
    """
    trials = tuple(work.plan.trials[number] for number in unit.trials)
    last: dict[int, Record] = {}
    failure = None
    try:
        for event in _train(unit, trials, work.resolved(trials)):
            if isinstance(event, EpochDone):
                last |= {int(record["trial"] or 0): record for record in event.records}
            yield event
    except ClsbenchError:
        raise
    except (Exception, SystemExit) as error:  # a loss of the user's may call sys.exit
        # Outside this block the error is freed, with the memory that its frames hold.
        failure = (reason_of(error), traceback.format_exc())
    if failure is None:
        return
    if len(trials) > 1:
        log.warning("trials %s are trained again in halves: %s", list(unit.trials), failure[0])
        for half in unit.cut(2):
            yield from train_unit(half, work)
        return
    (trial,) = trials
    yield TrialFailed(
        trial.number, failed_record(trial, work.problem_of(trial), last.get(trial.number), unit.since), *failure
    )


def _train(unit: WorkUnit, trials: Sequence[Trial], work: StackWork) -> Iterator[Event]:
    # Before the first operation: a fork cannot change the number later.
    torch.set_num_threads(work.num_threads)
    if work.compiled and has_traced():
        gc.collect()  # of the stack before: traced graphs are parts of cycles
    since, places = unit.since, work.places_in_stack(len(trials))
    members = [trials[place] for place in places]
    stack = work.stack(members)
    if since is None:
        warm_start(stack, members, work)
    weights = {} if since else {number: stack.fingerprints(i) for i, number in enumerate(unit.trials)}
    epoch = since.snapshot.epoch if since else 0
    data = {trial.number: work.splits_of(trial).hash for trial in trials}
    yield StackStarted(unit.trials, epoch, work.num_cores, work.compiled, weights, data, this_host())
    # A snapshot has its own weights.
    scales = loss_weights(stack, members, work) if since is None else [1.0] * len(members)
    results = train(
        stack,
        [work.trial_settings(trial, scale) for trial, scale in zip(members, scales, strict=True)],
        work.loss,
        work.data,
        work.settings,
        since.snapshot.rows(places) if since else None,
    )
    try:
        yield from _events(results, unit, trials, work)
    except SnapshotMismatch as error:
        numbers = list(unit.trials)
        raise RunError(f"the checkpoint of trials {numbers} is of others: {error}; start a new run") from error


def _events(
    results: Iterator[EpochResult], unit: WorkUnit, trials: Sequence[Trial], work: StackWork
) -> Iterator[Event]:
    """A stack's epochs as events, some with a checkpoint, the last one always."""
    numbers = unit.trials
    seconds, compile_seconds, started = 0.0, 0.0, time.perf_counter()
    before = unit.since.seconds if unit.since else 0.0

    def checkpoint(result: EpochResult, *, finished: bool) -> Checkpoint:
        snapshot = result.snapshot().rows(range(len(numbers)))
        texts = {key: splits.preparation.to_json() for key, splits in work.splits.items()} if finished else {}
        prepared = {trial.number: texts[trial.data_key] for trial in trials} if finished else {}
        return Checkpoint(numbers, snapshot, before + seconds / len(numbers), finished, work.compiled, prepared)

    due, result = time.monotonic() + SECONDS_BETWEEN_CHECKPOINTS, None
    for result in results:
        # The other units of the stack train at the same time: this one counts its share.
        seconds += result.seconds / unit.units_at_once
        compile_seconds += result.compile_seconds / unit.units_at_once
        records = _records(trials, work.problem, result, before + seconds / len(numbers))
        taken = checkpoint(result, finished=False) if time.monotonic() >= due else None
        sent = time.monotonic()
        frames = _frames(numbers, result, work)
        yield EpochDone(result.epoch, records, dict(zip(numbers, result.batches, strict=False)), taken, frames)
        if taken is not None:
            now = time.monotonic()
            due = now + max(SECONDS_BETWEEN_CHECKPOINTS, SPARING * (now - sent))
    if result is not None:
        passed = (time.perf_counter() - started) / unit.units_at_once
        rest = max(0.0, passed - seconds - compile_seconds)
        yield StackDone(checkpoint(result, finished=True), seconds, compile_seconds, rest)
    elif unit.since is not None:  # it was stopped after its last epoch
        yield StackDone(replace(unit.since, finished=True), 0.0, 0.0, 0.0)


def _frames(numbers: Sequence[int], result: EpochResult, work: StackWork) -> dict[int, Frame]:
    """The frames of an epoch, by trial number; a trial that diverged has none."""
    if result.epoch not in work.frame_epochs:
        return {}
    alive = [row is not None and row["status"] != "diverged" for row in result.rows]
    return {n: result.frame(place) for place, n in enumerate(numbers) if n in work.framed and alive[place]}


def _records(trials: Sequence[Trial], problem: Problem, result: EpochResult, seconds: float) -> tuple[Record, ...]:
    records: list[Record] = []
    empty = dict.fromkeys(fields(problem))
    for trial, row in zip(trials, result.rows, strict=False):
        if row is not None:
            known = {**identity_of(trial), "epoch": result.epoch, **row, "seconds": round(seconds, 6)}
            records.append(cast(Record, empty | known))
    return tuple(records)
