"""Writes the events of an executor to the run's files."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clsbench.clock import Part
from clsbench.execution.events import Checkpoint, EpochDone, Event, StackDone, StackStarted, TrialFailed
from clsbench.results import Record, Records
from clsbench.runs.checkpoints import Checkpoints
from clsbench.runs.evidence import Evidence
from clsbench.runs.records import RecordFile

if TYPE_CHECKING:
    from clsbench.data.scene import Frame

log = logging.getLogger("clsbench")


@dataclass
class RunWriter:
    """Writes one phase of a run: its records, its checkpoints, and the evidence that its arms were paired.

    `seconds` is the training of all its processes, earlier ones included; `spent` is what those of this one did.
    """

    records: RecordFile
    checkpoints: Checkpoints
    evidence: Evidence = field(default_factory=Evidence)
    started: set[int] = field(default_factory=set)
    failures: dict[int, str] = field(default_factory=dict)
    kept_epochs: int = 0
    seconds: float = 0.0
    spent: dict[Part, float] = field(default_factory=lambda: {"compiling": 0.0, "training": 0.0, "measuring": 0.0})
    frames: dict[int, dict[int, Frame]] = field(default_factory=dict)  # by trial and epoch
    listed: float = -math.inf  # when checkpoints were made to count last
    has_unlisted: bool = False

    def reopen(self, without: Set[int] = frozenset()) -> Mapping[int, Checkpoint]:
        """The checkpoint of each trial that an earlier process left, by trial number; the trials `without` start anew.

        Raises:
            RunError: as `RecordFile.reopen` and `Checkpoints.newest`.
        """
        self.kept_epochs = self.records.reopen(without)
        self.checkpoints.drop(without)
        kept: dict[int, Checkpoint] = {}
        for each in self.checkpoints.newest():
            for place, trial in enumerate(each.checkpoint.trials):
                if self.records.covers(trial, each.checkpoint.snapshot.epoch):
                    kept[trial] = each.checkpoint.part([place])
                    self.evidence.add(each.evidence.moved({trial: trial}))
                    if trial in each.frames:
                        self._add_frames(trial, each.frames[trial])
                    self.seconds += each.checkpoint.seconds
                else:  # going on from there would leave a gap
                    log.warning("trial %d is trained again: records of epochs before its checkpoint are lost", trial)
        return kept

    @contextmanager
    def pooling(self) -> Iterator[None]:
        """In this block, finished stacks that follow each other quickly are made to count together, all at its end.

        Each would force several files to disk, which takes longer than small stacks train. A killed run trains those
        of the last seconds again, as it does a stack since its last checkpoint.
        """
        try:
            yield
        finally:
            if self.has_unlisted:
                self._list()

    def keep(self, event: Event) -> None:
        """Write an event.

        Raises:
            RunError: it cannot be written, or an epoch that was trained again has other results.
        """
        if isinstance(event, StackStarted):
            if not self.started.isdisjoint(event.trials):
                self.records.expect_again()
            self.started.update(event.trials)
            self.evidence.started(event.trials, event.epoch, event.weights, event.data)
            how = "compiled" if event.compiled else "eager"
            log.info("training trials %s on %d threads, %s", list(event.trials), event.threads, how)
        elif isinstance(event, EpochDone):
            self.records.keep(event.records)
            self.evidence.add_batches(event.batches)
            for trial, frame in event.frames.items():
                self.frames.setdefault(trial, {})[frame.epoch] = frame
            _log_diverged(event)
            self._save(event.checkpoint)
        elif isinstance(event, StackDone):
            self.seconds += event.seconds
            self.spent["compiling"] += event.compile_seconds
            self.spent["training"] += event.seconds
            self.spent["measuring"] += event.measure_seconds
            self._save(event.checkpoint)
        elif isinstance(event, TrialFailed):
            self.records.keep_failure(event.record)
            self.failures[event.trial] = event.reason
            log.error("%s failed: %s\n%s", _named(event.record), event.reason, event.trace)

    def close(self) -> Records:
        """All trials are over: sort the records, return them, and remove what only a resume would need."""
        records = self.records.order()
        if not self.failures:
            self.checkpoints.tidy()
        return records

    def _save(self, checkpoint: Checkpoint | None) -> None:
        if checkpoint is not None:
            from clsbench.execution.units import SECONDS_BETWEEN_CHECKPOINTS
            from clsbench.runs.replay import packed

            kept = {
                trial: packed(list(self.frames[trial].values())) for trial in checkpoint.trials if trial in self.frames
            }
            self.checkpoints.save(checkpoint, self.evidence, kept)
            self.has_unlisted = True
            if not checkpoint.finished or time.monotonic() >= self.listed + SECONDS_BETWEEN_CHECKPOINTS:
                self._list()

    def _list(self) -> None:
        self.records.sync()  # records are on disk before the checkpoint of their epoch counts
        self.checkpoints.list_saved()
        self.listed, self.has_unlisted = time.monotonic(), False

    def _add_frames(self, trial: int, content: bytes) -> None:
        from clsbench.runs.replay import unpacked

        try:
            self.frames[trial] = {frame.epoch: frame for frame in unpacked(content)}
        except ValueError as error:
            log.warning("the page lacks epochs of trial %d: its kept frames are damaged (%s)", trial, error)


def _log_diverged(event: EpochDone) -> None:
    for record in event.records:
        if record["status"] == "diverged":
            log.warning("%s diverged after step %s", _named(record), record["step"])


def _named(record: Record) -> str:
    return f"{record['arm']!r} seed {record['seed']}"
