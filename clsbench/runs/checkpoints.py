"""Checkpoints: what a run goes on from, and the weights that it ends with.

Each save is a file of its own and counts once the manifest names it with its SHA-256; the one before stays
until the next counts. What does not match the manifest is never loaded.
"""

from __future__ import annotations

import hashlib
import io
import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from clsbench.errors import RunError
from clsbench.execution.events import Checkpoint
from clsbench.runs.evidence import Evidence
from clsbench.runs.files import as_json, opened, write_atomically
from clsbench.runs.names import MANIFEST, WEIGHTS

if TYPE_CHECKING:
    from torch import Tensor

HASH_LETTERS = 64  # of a SHA-256

log = logging.getLogger("clsbench")


class _Entry(BaseModel):
    """One file of the manifest; the newest stands last."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    # It is read, and removed, in this folder alone.
    file: str = Field(pattern=rf"^{WEIGHTS}$")
    sha256: str
    phase: str
    trials: list[int]
    finished: bool


class _Content(BaseModel):
    """What a file holds. `batches` has, by trial number, the hashes of all epochs as one text: quickly read."""

    model_config = ConfigDict(extra="forbid", strict=True)

    trials: list[int]
    epoch: int
    seconds: float
    finished: bool
    compiled: bool
    weights: dict[int, dict[str, str]]
    batches: dict[int, str]
    tensors: dict[str, Any]


@dataclass(frozen=True)
class Kept:
    """A checkpoint that was read back, and what its trials had started from and seen."""

    checkpoint: Checkpoint
    evidence: Evidence


class Checkpoints:
    """The checkpoints of one phase of a run, its tuning say."""

    def __init__(self, folder: Path, phase: str) -> None:
        self.folder = folder
        self.phase = phase

    def save(self, checkpoint: Checkpoint, evidence: Evidence) -> None:
        """Keep a checkpoint; when this returns, it is on disk and counts.

        Raises:
            RunError: it cannot be written; those before it count as they did.
        """
        content = _packed(checkpoint, evidence)
        sha256 = hashlib.sha256(content).hexdigest()
        # Two stacks may begin with one trial and be at one epoch, parts of one say: what they hold parts them.
        name = f"{self.phase}-{checkpoint.trials[0]:05d}-epoch-{checkpoint.snapshot.epoch:05d}-{sha256[:8]}.pt"
        entry = _Entry(
            file=name,
            sha256=sha256,
            phase=self.phase,
            trials=list(checkpoint.trials),
            finished=checkpoint.finished,
        )
        write_atomically(self.folder / name, content)
        self._list([*_still_needed([other for other in self._entries() if other.file != name], entry), entry])

    def newest(self) -> Iterator[Kept]:
        """What is kept of each trial: its newest checkpoint that is whole. A damaged one is told in the log.

        Raises:
            RunError: a file is as it was written, and yet no checkpoint.
        """
        found: set[int] = set()
        for entry in reversed([entry for entry in self._entries() if entry.phase == self.phase]):
            places = [place for place, trial in enumerate(entry.trials) if trial not in found]
            content = self._verified(entry) if places else None
            if content is not None:
                found.update(entry.trials)
                yield _unpacked(self.folder / entry.file, content, entry, places)

    def model_states(self) -> dict[int, dict[str, Tensor]]:
        """By trial number, the state dict of its model as it was left, where that is whole.

        Raises:
            RunError: as `newest`.
        """
        found = [each.checkpoint for each in self.newest()]
        return {n: each.snapshot.model_state(place) for each in found for place, n in enumerate(each.trials)}

    def tidy(self) -> None:
        """Keep the last of each trial alone: all are finished."""
        self._list([entry for entry in self._entries() if entry.finished or entry.phase != self.phase])

    def _entries(self) -> list[_Entry]:
        path = self.folder / MANIFEST
        try:
            with opened(path, "rb") as file:
                return TypeAdapter(list[_Entry]).validate_json(file.read())
        except FileNotFoundError:
            return []
        except (OSError, ValidationError) as error:
            what = error.strerror if isinstance(error, OSError) else "it is no manifest"
            log.warning("%s is damaged (%s): no checkpoint counts", path, what)
            return []

    def _list(self, entries: Sequence[_Entry]) -> None:
        """Make these files count, and remove those that did until now."""
        before = {entry.file for entry in self._entries()}
        write_atomically(self.folder / MANIFEST, as_json([entry.model_dump() for entry in entries]).encode())
        for name in before - {entry.file for entry in entries}:
            with suppress(OSError):  # it takes space alone
                (self.folder / name).unlink()

    def _verified(self, entry: _Entry) -> bytes | None:
        path = self.folder / entry.file
        try:
            with opened(path, "rb") as file:
                content: bytes = file.read()
        except OSError as error:
            log.warning("checkpoint %s cannot be read (%s): the one before it is used", path, error.strerror)
            return None
        if hashlib.sha256(content).hexdigest() != entry.sha256:
            log.warning("checkpoint %s is damaged: its SHA-256 is not the manifest's; the one before is used", path)
            return None
        return content


def _still_needed(entries: Sequence[_Entry], new: _Entry) -> Iterator[_Entry]:
    """All but those that the new one replaces: of its own trials, the last stays beside it."""
    replaced = [entry for entry in entries if entry.phase == new.phase and set(entry.trials) <= set(new.trials)]
    return (entry for entry in entries if entry not in replaced[:-1])


def _packed(checkpoint: Checkpoint, evidence: Evidence) -> bytes:
    import torch

    content = _Content(
        trials=list(checkpoint.trials),
        epoch=checkpoint.snapshot.epoch,
        seconds=checkpoint.seconds,
        finished=checkpoint.finished,
        compiled=checkpoint.compiled,
        weights={trial: dict(evidence.weights[trial]) for trial in checkpoint.trials},
        batches={trial: "".join(evidence.batches[trial]) for trial in checkpoint.trials},
        tensors=dict(checkpoint.snapshot.tensors),
    )
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    return buffer.getvalue()


def _unpacked(path: Path, content: bytes, entry: _Entry, places: Sequence[int]) -> Kept:
    import torch

    from clsbench.training.snapshot import Snapshot

    try:
        read = _Content.model_validate(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))
    except Exception as error:
        raise RunError(f"{path} is no checkpoint: {_in_short(error)}; remove it, or start a new run") from error
    if not _is_consistent(read, entry):
        raise RunError(f"{path} is no checkpoint: it is not the one that the manifest names; start a new run")
    for name, tensor in read.tensors.items():
        dense = type(tensor) is torch.Tensor and tensor.layout == torch.strided and tensor.device.type == "cpu"
        if not dense or tensor.shape[:1] != (len(read.trials),):
            raise RunError(f"{path} is no checkpoint: {name!r} is no dense tensor with a row for each trial")
    trials = [read.trials[place] for place in places]
    snapshot = Snapshot(read.epoch, read.tensors).rows(places)
    checkpoint = Checkpoint(tuple(trials), snapshot, read.seconds, read.finished, read.compiled)
    evidence = Evidence({t: read.weights[t] for t in trials}, {t: _hashes(read.batches[t]) for t in trials})
    return Kept(checkpoint, evidence)


def _is_consistent(read: _Content, entry: _Entry) -> bool:
    """Whether a file says of itself what the manifest says of it, and has evidence of each trial."""
    named = (read.trials, read.finished) == (entry.trials, entry.finished)
    told = read.weights.keys() == read.batches.keys() == set(read.trials)
    whole = all(len(text) % HASH_LETTERS == 0 for text in read.batches.values())
    return named and told and whole and f"-epoch-{read.epoch:05d}-" in entry.file and 0 <= read.seconds < math.inf


def _hashes(text: str) -> list[str]:
    return [text[start : start + HASH_LETTERS] for start in range(0, len(text), HASH_LETTERS)]


def _in_short(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
