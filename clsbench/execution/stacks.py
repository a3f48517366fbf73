"""One stack's way from its first epoch, or from a checkpoint, to its last: what each process does with its share."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from clsbench.config.plan import Plan, Trial, even_parts
from clsbench.data.splits import Splits
from clsbench.errors import ClsbenchError, RunError
from clsbench.execution.build import (
    data_of,
    identity_of,
    in_company,
    is_out_of_memory,
    loss_of,
    mode_of,
    module_of,
    settings_of,
    threads_in_operations,
    trial_settings,
)
from clsbench.execution.events import Checkpoint, EpochDone, Event, Record, StackDone, StackStarted, TrialFailed, fields
from clsbench.execution.matching import loss_weights
from clsbench.execution.process import settled, thawed
from clsbench.execution.warm_start import warm_start
from clsbench.registry import catalogue
from clsbench.training.loop import EpochResult, train
from clsbench.training.snapshot import Snapshot, SnapshotMismatch
from clsbench.training.stack import Stack

log = logging.getLogger("clsbench")

SECONDS_BETWEEN_CHECKPOINTS = 5.0
# A checkpoint that took long to keep is followed by this many times as long without one.
SPARING = 20.0


@dataclass(frozen=True)
class Share:
    """Trials to train as one stack, from the start or from where a checkpoint left all of them.

    Of a stack that trains in parts at the same time it is one of `parts_at_once`.
    """

    trials: tuple[Trial, ...]
    since: Checkpoint | None = None
    parts_at_once: int = 1

    def at_once(self, number: int) -> list[Share]:
        """Parts of like size that train at the same time, one at least."""
        return [replace(part, parts_at_once=self.parts_at_once * max(number, 1)) for part in self.parts(number)]

    def parts(self, number: int) -> list[Share]:
        """So many shares of like size, one at least."""
        places = range(len(self.trials))
        return [self._part(places[part]) for part in even_parts(len(places), max(number, 1))]

    def _part(self, places: Sequence[int]) -> Share:
        trials = tuple(self.trials[place] for place in places)
        return replace(self, trials=trials, since=None if self.since is None else self.since.part(places))


def shares(plan: Plan, kept: Mapping[int, Checkpoint]) -> list[Share]:
    """The plan's stacks, without the trials that are finished; those that were left at different epochs part.

    Args:
        kept: by trial number, the checkpoint of that trial alone.
    """
    found = []
    for stack in plan.stacks():
        by_epoch: dict[int | None, list[Trial]] = {}
        for trial in stack:
            checkpoint = kept.get(trial.number)
            if checkpoint is None:
                by_epoch.setdefault(None, []).append(trial)
            elif not checkpoint.finished:
                by_epoch.setdefault(checkpoint.snapshot.epoch, []).append(trial)
        for epoch, trials in by_epoch.items():
            found.append(
                Share(tuple(trials), None if epoch is None else _joined([kept[trial.number] for trial in trials]))
            )
    return found


def _joined(checkpoints: Sequence[Checkpoint]) -> Checkpoint:
    numbers = tuple(number for each in checkpoints for number in each.trials)
    snapshot = Snapshot.joined([each.snapshot for each in checkpoints])
    return replace(checkpoints[0], trials=numbers, snapshot=snapshot, seconds=max(each.seconds for each in checkpoints))


def train_share(
    share: Share,
    plan: Plan,
    data: Mapping[str, Splits],
    device: torch.device,
) -> Iterator[Event]:
    """Train a stack and tell what happens. One that raises is trained again in halves, to the trial that does.

    It sets threads and leaves them, and is for the inside of `process.training`.
    """
    last: dict[int, Record] = {}
    failure = None
    try:
        for event in _train(share, plan, data[share.trials[0].dataset.key], device):
            if isinstance(event, EpochDone):
                last |= {int(record["trial"] or 0): record for record in event.records}
            yield event
    except ClsbenchError:
        raise
    except (Exception, SystemExit) as error:  # a loss of the user's may call sys.exit
        # Out of this block the error is gone, and with it the memory that its frames hold.
        failure = (_reason(error), traceback.format_exc())
    if failure is None:
        return
    if len(share.trials) > 1:
        log.warning("trials %s are trained again in halves: %s", [trial.number for trial in share.trials], failure[0])
        for half in share.parts(2):
            yield from train_share(half, plan, data, device)
        return
    (trial,) = share.trials
    yield TrialFailed(trial.number, failed_record(trial, last.get(trial.number), share.since), *failure)


def _train(share: Share, plan: Plan, splits: Splits, device: torch.device) -> Iterator[Event]:
    trials, since, arm = share.trials, share.since, share.trials[0].arm
    compiled, threads = mode_of(trials[0], plan, splits)
    # Before the first operation: a fork may have no others.
    torch.set_num_threads(threads_in_operations(trials[0], plan, splits))
    if compiled:
        thawed()  # of the stack before
    numbers = tuple(trial.number for trial in trials)
    loss = loss_of(arm, splits.problem)
    stacked = catalogue.get("model", arm.model.name).stacked
    places = in_company(len(trials), stacked=stacked, device=device)
    members = [trials[place] for place in places]
    modules = [module_of(t.arm, t.seed, splits.shape, loss.num_outputs) for t in members]
    stack = Stack(modules, stacked=stacked, device=device)
    if since is None:
        warm_start(stack, members, plan.experiment.train, splits)
    weights = {} if since else {number: stack.fingerprints(i) for i, number in enumerate(numbers)}
    yield StackStarted(numbers, since.snapshot.epoch if since else 0, threads, compiled, weights, splits.hash)
    if since is None:
        scales = loss_weights(stack, loss, members, plan.experiment.loss[0], splits)
    else:
        scales = [1.0] * len(members)  # the snapshot has its own
    results = train(
        stack,
        [trial_settings(trial, plan, scale) for trial, scale in zip(members, scales, strict=True)],
        loss,
        data_of(splits, plan),
        settings_of(plan, arm, compiled),
        since.snapshot.rows(places) if since else None,
    )
    try:
        yield from _told(results, share, compiled)
    except SnapshotMismatch as error:
        raise RunError(f"the checkpoint of trials {list(numbers)} is of others: {error}; start a new run") from error


def _told(results: Iterator[EpochResult], share: Share, compiled: bool) -> Iterator[Event]:
    """A stack's epochs as events, with a checkpoint now and then and one at the end."""
    numbers = tuple(trial.number for trial in share.trials)
    seconds = compile_seconds = 0.0
    before = share.since.seconds if share.since else 0.0

    def checkpoint(result: EpochResult, *, finished: bool) -> Checkpoint:
        snapshot = result.snapshot().rows(range(len(numbers)))
        return Checkpoint(numbers, snapshot, before + seconds / len(numbers), finished, compiled)

    due, result = time.monotonic() + SECONDS_BETWEEN_CHECKPOINTS, None
    for number, result in enumerate(results):
        if compiled and number == 1:  # they were compiled in the first epoch
            settled()
        # The whole stack trains while this part does, which has its share of that time.
        seconds += result.seconds / share.parts_at_once
        compile_seconds += result.compile_seconds / share.parts_at_once
        records = _records(share.trials, result, before + seconds / len(numbers))
        taken = checkpoint(result, finished=False) if time.monotonic() >= due else None
        told = time.monotonic()
        yield EpochDone(result.epoch, records, dict(zip(numbers, result.batches, strict=False)), taken)
        if taken is not None:
            now = time.monotonic()
            due = now + max(SECONDS_BETWEEN_CHECKPOINTS, SPARING * (now - told))
    if result is not None:
        yield StackDone(checkpoint(result, finished=True), seconds, compile_seconds)
    elif share.since is not None:  # it was left after its last epoch
        yield StackDone(replace(share.since, finished=True), 0.0, 0.0)


def _records(trials: Sequence[Trial], result: EpochResult, seconds: float) -> tuple[Record, ...]:
    records, empty = [], dict.fromkeys(fields())
    for trial, row in zip(trials, result.rows, strict=False):
        if row is not None:
            known = {**identity_of(trial), "epoch": result.epoch, **row, "seconds": round(seconds, 6)}
            records.append(empty | known)
    return tuple(records)


def failed_record(trial: Trial, last: Record | None, since: Checkpoint | None) -> Record:
    """The last record of a trial that failed: the epoch that it failed in, what it took until then, no measures."""
    came_to: Record = {"epoch": 0, "step": 0, "seconds": 0.0}
    if last is not None:
        came_to = {"epoch": int(last["epoch"] or 0) + 1, "step": last["step"], "seconds": last["seconds"]}
    elif since is not None:
        step = int(since.snapshot.tensors["taken"].sum())
        came_to = {"epoch": since.snapshot.epoch + 1, "step": step, "seconds": round(since.seconds, 6)}
    known = {**identity_of(trial), **came_to, "status": "failed"}
    return {field: known.get(field) for field in fields()}


def _reason(error: BaseException) -> str:
    text = str(error)
    if is_out_of_memory(error):
        return "out of memory"
    return " ".join(f"{type(error).__name__}: {text}".split())
