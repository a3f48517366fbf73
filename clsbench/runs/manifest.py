"""The manifest: a run's identity, the sum of each of its files, and its valid checkpoints. It has its own sum.

To replace a file, the new sum is listed beside the old one, then the file is written: at every moment it is one of
the listed. Runs of earlier versions have a plain list of checkpoints instead, and no sums; they are read as they are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from clsbench.errors import RunError
from clsbench.results import require_known_format
from clsbench.runs.files import Content, opened, read_pieces, write_atomically
from clsbench.runs.names import CHECKPOINTS, MANIFEST, WEIGHTS
from clsbench.runs.provenance import Fingerprint
from clsbench.runs.seal import sealed, sha256_of, unsealed

MANIFEST_VERSION = 2
SHA256 = r"^[0-9a-f]{64}$"


class Entry(BaseModel):
    """One checkpoint; the newest stands last."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    # It is read, and removed, in this folder alone.
    file: str = Field(pattern=rf"^{WEIGHTS}$")
    sha256: str
    phase: str
    trials: list[int]
    finished: bool


class Manifest(BaseModel):
    """`files` holds by name the SHA-256 that each may have: one, or while it is replaced the old and the new.

    Version 1 kept the hashes of all splits in `fingerprint`; it is brief now.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format_version: Literal[1, 2] = 2
    run: str = Field(pattern=r"^[0-9a-f]{32}$")
    fingerprint: Fingerprint
    files: dict[str, list[str]] = Field(default={})
    checkpoints: list[Entry] = Field(default=[])


class Damaged(RunError):
    """The manifest is missing or damaged; `clsbench run --resume` may rebuild it."""


class ManifestFile:
    """The manifest of a run, and the reading and replacing of the files that it lists."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self.folder = run / CHECKPOINTS
        self.path = self.folder / MANIFEST
        self.rebuilt: Manifest | None = None  # stands in for a damaged one until it is written
        self._seen: tuple[bytes, Manifest] | None = None  # the content that was read or written last: it may be long

    def read(self) -> Manifest | None:
        """The manifest; None for a run of an earlier version, which has no sums.

        Raises:
            RunError: it is missing, cannot be read or is damaged.
        """
        if self.rebuilt is not None:
            return self.rebuilt
        content = self._content()
        if self._seen is not None and content == self._seen[0]:
            return self._seen[1]
        if content is None or _is_list(content):
            return None
        try:
            document = unsealed(content)
            require_known_format(str(self.path), document, MANIFEST_VERSION)
            manifest = Manifest.model_validate(document)
        except (ValueError, ValidationError) as error:
            what = "a key is missing or wrong" if isinstance(error, ValidationError) else str(error)
            raise self._damaged(f"is damaged: {what}") from error
        self._seen = content, manifest
        return manifest

    def entries(self) -> list[Entry]:
        """The checkpoints that count, of a run of an earlier version too; errors as `read`."""
        manifest = self.read()
        if manifest is not None:
            return manifest.checkpoints
        try:
            return TypeAdapter(list[Entry]).validate_json(self._content() or b"[]")
        except ValidationError as error:
            raise self._damaged("is damaged: it is not a list of checkpoints") from error

    def written(self) -> Manifest:
        """The manifest of a run that is being written; errors as `read`."""
        manifest = self.read()
        if manifest is None:
            raise RunError(
                f"{self.run} was begun by an earlier version of clsbench, which kept no sums; start a new run"
            )
        return manifest

    def write(self, manifest: Manifest) -> None:
        """Replace the manifest; RunError where it cannot be written."""
        content = sealed(manifest.model_dump())
        write_atomically(self.path, content)
        self.rebuilt, self._seen = None, (content, manifest)

    def list_checkpoints(self, entries: Sequence[Entry]) -> None:
        """Make these checkpoints count, and no others; errors as `written` and `write`."""
        self.write(self.written().model_copy(update={"checkpoints": list(entries)}))

    def replace(self, name: str, content: Content) -> None:
        """Write a file of the run whose sum is listed at every moment; errors as `written` and `write`."""
        manifest, new = self.written(), sha256_of(content)
        listed = manifest.files.get(name, [])
        sums = [*(each for each in listed if each != new and each == self._sum_of(name)), new]
        if sums != listed:
            self.write(manifest.model_copy(update={"files": {**manifest.files, name: sums}}))
        write_atomically(self.run / name, content)

    def verified(self, name: str) -> bytes:
        """The content of a file, checked against its sum (unchecked for a run of an earlier version).

        Raises:
            RunError: it cannot be read, or its sum is not listed.
        """
        manifest = self.read()
        while True:
            content = content_of(self.run / name)
            if manifest is None or sha256_of(content) in manifest.files.get(name, []):
                return content
            before, manifest = manifest, self.read()
            if manifest == before:  # else it was replaced in between
                raise changed(self.run / name)

    def vouches_for(self, name: str, sha256: str) -> bool:
        """Whether this is the sum of one of the contents that a file may have; errors as `read`."""
        manifest = self.read()
        return manifest is None or sha256 in manifest.files.get(name, [])

    def _sum_of(self, name: str) -> str | None:
        try:
            with reading(self.run / name) as (file, size):
                return sha256_of(read_pieces(file, 0, size))
        except RunError:
            return None

    def _content(self) -> bytes | None:
        """The bytes; None where there are none, and an earlier version had written none either."""
        try:
            with opened(self.path, "rb") as file:
                return bytes(file.read())
        except FileNotFoundError:
            if self._is_of_this_version():
                raise self._damaged("is missing") from None
            return None
        except OSError as error:
            raise self._damaged(f"cannot be read: {error.strerror}") from error

    def _is_of_this_version(self) -> bool:
        """Whether the environment names a run, as those with a manifest from their first moment on do."""
        try:
            with opened(self.run / "environment.json", "rb") as file:
                return b'"run": ' in file.read()
        except OSError:
            return False

    def _damaged(self, what: str) -> Damaged:
        return Damaged(f"{self.path} {what}; `clsbench run --resume {self.run}` rebuilds it from the undamaged files")


def content_of(path: Path) -> bytes:
    """A file of a run.

    Raises:
        RunError: it cannot be read.
    """
    with reading(path) as (file, _):
        return file.read()


@contextmanager
def reading(path: Path) -> Iterator[tuple[IO[bytes], int]]:
    """A file of a run, opened, and its size; errors as `content_of`."""
    try:
        with opened(path, "rb") as file:
            yield file, os.fstat(file.fileno()).st_size
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}; is {path.parent} a finished run?") from error


def changed(path: Path) -> RunError:
    """The error for a file of a run that does not match its sum."""
    return RunError(f"{path} is damaged, or was edited: its SHA-256 is not the run's; restore it, or run again")


def _is_list(content: bytes) -> bool:
    try:
        value: Any = from_json(content)
    except ValueError:
        return False
    return isinstance(value, list)
