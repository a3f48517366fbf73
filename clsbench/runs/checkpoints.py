"""Checkpoints, from which a run is resumed, and its final weights.

Each checkpoint is a separate file, valid once the manifest names it with its SHA-256; the previous one is kept until
then. A file that does not match the manifest is never loaded.
"""

from __future__ import annotations

import io
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from clsbench.errors import RunError
from clsbench.execution.events import Checkpoint
from clsbench.runs.evidence import Evidence
from clsbench.runs.files import opened, write_atomically
from clsbench.runs.manifest import Entry, Manifest, ManifestFile, changed, content_of
from clsbench.runs.names import is_weights
from clsbench.runs.seal import sha256_of

if TYPE_CHECKING:
    from torch import Tensor

NONE: Mapping[int, bytes] = MappingProxyType({})
HASH_LETTERS = 64  # of a SHA-256

log = logging.getLogger("clsbench")


class _Content(BaseModel):
    """What a file holds. `batches` has, by trial number, the hashes of all epochs as one text: quickly read.

    From `run` on it says whose it is, as JSON if it is not plain text; earlier versions did not. `preparation` is that
    of all trials, `preparations` that of each by number if they differ.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    trials: list[int]
    epoch: int
    seconds: float
    finished: bool
    compiled: bool
    weights: dict[int, dict[str, str]]
    batches: dict[int, str]
    tensors: dict[str, Any]
    data: dict[int, str] = {}
    run: str = ""
    phase: str = ""
    fingerprint: str = ""
    preparation: str = ""
    preparations: dict[int, str] = {}
    frames: dict[int, Any] = {}


@dataclass(frozen=True)
class StoredCheckpoint:
    """A checkpoint that was read back, the evidence of its trials, and the frames of some, packed."""

    checkpoint: Checkpoint
    evidence: Evidence
    frames: Mapping[int, bytes]


class Checkpoints:
    """The checkpoints of one phase of a run, such as its tuning."""

    def __init__(self, manifest: ManifestFile, phase: str) -> None:
        self.manifest = manifest
        self.folder = manifest.folder
        self.phase = phase
        self._saved: list[Entry] = []  # and not listed yet

    def save(self, checkpoint: Checkpoint, evidence: Evidence, frames: Mapping[int, bytes] = NONE) -> None:
        """Write a checkpoint, with packed frames of some of its trials: it is on disk, and counts once it is listed.

        Raises:
            RunError: it cannot be written; those before it count as they did.
        """
        manifest = self.manifest.written()
        content = _packed(checkpoint, evidence, frames, manifest, self.phase)
        sha256 = sha256_of(content)
        # Two units of a stack may have the same first trial and epoch: the hash of the content separates them.
        name = f"{self.phase}-{checkpoint.trials[0]:05d}-epoch-{checkpoint.snapshot.epoch:05d}-{sha256[:8]}.pt"
        entry = Entry(
            file=name,
            sha256=sha256,
            phase=self.phase,
            trials=list(checkpoint.trials),
            finished=checkpoint.finished,
        )
        write_atomically(self.folder / name, content)
        self._saved.append(entry)

    def list_saved(self) -> None:
        """Make all that were saved since count; errors as `save`."""
        entries = self.manifest.written().checkpoints
        for new in self._saved:
            entries = [*_still_needed([other for other in entries if other.file != new.file], new), new]
        self._list(entries)
        self._saved = []

    def newest(self) -> Iterator[StoredCheckpoint]:
        """The newest undamaged checkpoint of each trial. A damaged one is reported in the log.

        Raises:
            RunError: a file matches its SHA-256 but is not a checkpoint.
        """
        for entry, places, content in self._undamaged():
            yield self._read(entry, places, content)

    def ended(self) -> Mapping[int, tuple[dict[str, Tensor], str]]:
        """The final state dict of each trial's model and the preparation of its samples, by number.

        Those that are damaged are left out. A file is read when one of its trials is asked for, and held until one of
        another file is.

        Raises:
            RunError: as `newest`, then too.
        """
        entries = {entry.trials[place]: entry for entry, places, _ in self._undamaged() for place in places}
        return _Ended(entries, self._read)

    def _undamaged(self) -> Iterator[tuple[Entry, list[int], bytes]]:
        """Each file that has the newest undamaged checkpoint of some trials, with their places in it."""
        found: set[int] = set()
        for entry in reversed([entry for entry in self.manifest.entries() if entry.phase == self.phase]):
            places = [place for place, trial in enumerate(entry.trials) if trial not in found]
            content = self._verified(entry) if places else None
            if content is not None:
                found.update(entry.trials)
                yield entry, places, content

    def _read(self, entry: Entry, places: Sequence[int], content: bytes | None = None) -> StoredCheckpoint:
        """Some trials of a file; its content is read where it is not at hand."""
        manifest, path = self.manifest.read(), self.folder / entry.file
        known = self._verified(entry) if content is None else content
        if known is None:
            raise changed(path)
        return _unpacked(path, known, entry, places, "" if manifest is None else manifest.run)

    def tidy(self) -> None:
        """Keep only the last of each trial, once all are finished."""
        listed = self.manifest.written().checkpoints
        self._list([entry for entry in listed if entry.finished or entry.phase != self.phase])

    def drop(self, trials: Set[int]) -> None:
        """Forget the checkpoints that are of these trials alone, and remove them."""
        if trials:
            listed = self.manifest.written().checkpoints
            self._list([entry for entry in listed if entry.phase != self.phase or not trials >= set(entry.trials)])

    def remove_unlisted(self) -> None:
        """Remove what was saved by this run and did not count any more when it was stopped."""
        manifest = self.manifest.written()
        listed = {entry.file for entry in manifest.checkpoints}
        for path in self.folder.iterdir():
            if is_weights(path.name) and path.name not in listed:
                with suppress(OSError, RunError):
                    if _read(path, content_of(path)).run == manifest.run:
                        path.unlink()

    def _list(self, entries: Sequence[Entry]) -> None:
        """Make these files the valid ones, and remove the previous ones."""
        before = {entry.file for entry in self.manifest.written().checkpoints}
        if list(entries) != self.manifest.written().checkpoints:
            self.manifest.list_checkpoints(entries)
        for name in before - {entry.file for entry in entries}:
            with suppress(OSError):  # it only takes space
                (self.folder / name).unlink()

    def _verified(self, entry: Entry) -> bytes | None:
        path = self.folder / entry.file
        try:
            with opened(path, "rb") as file:
                content: bytes = file.read()
        except OSError as error:
            log.warning("checkpoint %s cannot be read (%s): the one before it is used", path, error.strerror)
            return None
        if sha256_of(content) != entry.sha256:
            log.warning("checkpoint %s is damaged: its SHA-256 is not the manifest's; the one before is used", path)
            return None
        return content


class _Ended(Mapping[int, "tuple[dict[str, Tensor], str]"]):
    """The trials of several files, of which one at a time is in memory."""

    def __init__(self, entries: Mapping[int, Entry], read: Callable[[Entry, Sequence[int]], StoredCheckpoint]) -> None:
        self._entries, self._read_entry = entries, read
        self._held: tuple[Entry, Checkpoint] | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[int]:
        return iter(self._entries)

    def __contains__(self, trial: object) -> bool:  # without reading it
        return trial in self._entries

    def __getitem__(self, trial: int) -> tuple[dict[str, Tensor], str]:
        entry = self._entries[trial]
        if self._held is None or self._held[0] is not entry:
            self._held = entry, self._read_entry(entry, range(len(entry.trials))).checkpoint
        kept = self._held[1]
        return kept.snapshot.model_state(kept.trials.index(trial)), kept.preparations.get(trial, "")


def _still_needed(entries: Sequence[Entry], new: Entry) -> Iterator[Entry]:
    """All but those that the new one replaces: the previous one of its trials is kept."""
    replaced = [entry for entry in entries if entry.phase == new.phase and set(entry.trials) <= set(new.trials)]
    return (entry for entry in entries if entry not in replaced[:-1])


def attributed(folder: Path) -> list[tuple[Entry, str, str]]:
    """All checkpoints of a folder, oldest first, each with the run and the fingerprint that it names.

    Raises:
        RunError: one is damaged, or names no run.
    """
    found = []
    for path in folder.iterdir():
        if is_weights(path.name):
            content = content_of(path)
            sha256 = sha256_of(content)
            read = _read(path, content)
            if not read.run or not path.name.endswith(f"-{sha256[:8]}.pt"):
                raise RunError(f"{path} is of no known run, and no manifest lists it; start a new run")
            entry = Entry(file=path.name, sha256=sha256, phase=read.phase, trials=read.trials, finished=read.finished)
            found.append((read.epoch, entry, read.run, read.fingerprint))
    found.sort(key=lambda each: (each[0], each[1].finished, each[1].file))
    return [(entry, run, fingerprint) for _, entry, run, fingerprint in found]


def _packed(
    checkpoint: Checkpoint, evidence: Evidence, frames: Mapping[int, bytes], manifest: Manifest, phase: str
) -> bytes:
    import torch

    texts = set(checkpoint.preparations.values())
    content = _Content(
        trials=list(checkpoint.trials),
        epoch=checkpoint.snapshot.epoch,
        seconds=checkpoint.seconds,
        finished=checkpoint.finished,
        compiled=checkpoint.compiled,
        weights={trial: dict(evidence.weights[trial]) for trial in checkpoint.trials},
        batches={trial: "".join(evidence.batches[trial]) for trial in checkpoint.trials},
        tensors=dict(checkpoint.snapshot.tensors),
        data={trial: evidence.data[trial] for trial in checkpoint.trials},
        run=manifest.run,
        phase=phase,
        fingerprint=manifest.fingerprint.brief.model_dump_json(),
        preparation=texts.pop() if len(texts) == 1 else "",
        preparations=dict(checkpoint.preparations) if len(texts) > 1 else {},
        # As tensors: loading with weights alone knows no bytes.
        frames={trial: torch.frombuffer(bytearray(content), dtype=torch.uint8) for trial, content in frames.items()},
    )
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    return buffer.getvalue()


def _read(path: Path, content: bytes) -> _Content:
    import torch

    try:
        return _Content.model_validate(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))
    except Exception as error:
        raise RunError(f"{path} is not a checkpoint: {_in_short(error)}; remove it, or start a new run") from error


def _unpacked(path: Path, content: bytes, entry: Entry, places: Sequence[int], run: str) -> StoredCheckpoint:
    import torch

    from clsbench.training.snapshot import Snapshot

    read = _read(path, content)
    if run and read.run != run:
        raise RunError(f"{path} is a checkpoint of another run; start a new run")
    if not _is_consistent(read, entry):
        raise RunError(f"{path} is not a checkpoint: it is not the one that the manifest names; start a new run")
    for name, tensor in read.tensors.items():
        dense = type(tensor) is torch.Tensor and tensor.layout == torch.strided and tensor.device.type == "cpu"
        if not dense or tensor.shape[:1] != (len(read.trials),):
            raise RunError(f"{path} is not a checkpoint: {name!r} is not a dense tensor with a row for each trial")
    trials = [read.trials[place] for place in places]
    snapshot = Snapshot(read.epoch, read.tensors).rows(places)
    preparations = read.preparations or dict.fromkeys(trials, read.preparation)
    prepared = {trial: preparations[trial] for trial in trials if preparations.get(trial)}
    checkpoint = Checkpoint(tuple(trials), snapshot, read.seconds, read.finished, read.compiled, prepared)
    evidence = Evidence(
        {t: read.weights[t] for t in trials},
        {t: _hashes(read.batches[t]) for t in trials},
        {t: read.data[t] for t in trials if t in read.data},
    )
    frames = {t: _bytes_of(path, read.frames[t]) for t in trials if t in read.frames}
    return StoredCheckpoint(checkpoint, evidence, frames)


def _bytes_of(path: Path, tensor: Any) -> bytes:
    import torch

    if type(tensor) is not torch.Tensor or tensor.dtype != torch.uint8 or tensor.dim() != 1:
        raise RunError(f"{path} is not a checkpoint: its frames are not bytes; start a new run")
    return tensor.numpy().tobytes()


def _is_consistent(read: _Content, entry: Entry) -> bool:
    """Whether a file agrees with its manifest entry and has evidence of each trial."""
    named = (read.trials, read.finished) == (entry.trials, entry.finished)
    complete = read.weights.keys() == read.batches.keys() == set(read.trials)
    complete = complete and (not read.run or read.data.keys() == set(read.trials))
    whole = all(len(text) % HASH_LETTERS == 0 for text in read.batches.values())
    return named and complete and whole and f"-epoch-{read.epoch:05d}-" in entry.file and 0 <= read.seconds < math.inf


def _hashes(text: str) -> list[str]:
    return [text[start : start + HASH_LETTERS] for start in range(0, len(text), HASH_LETTERS)]


def _in_short(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
