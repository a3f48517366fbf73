"""A file of records: one a line, appended epoch by epoch, never torn for a reader of this project and never doubled."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic_core import from_json

from clsbench import system
from clsbench.errors import RunError
from clsbench.execution.events import fields
from clsbench.runs.files import as_json_line, opened, unwritable, write_atomically
from clsbench.runs.stopping import write_in_hand

Row = Mapping[str, Any]
STATUSES = ("running", "finished", "diverged", "failed")

log = logging.getLogger("clsbench")


class RecordFile:
    """Records of one run or of its tuning.

    Epochs that are trained again, after a checkpoint or a failure, must come out as they are recorded: every
    byte but `seconds`. `exact` is False where that is not promised, on another machine say.
    """

    def __init__(self, path: Path, *, exact: bool = True) -> None:
        self.path = path
        self.exact = exact
        self._rows: list[dict[str, Any]] = []  # the file's, as far as they were read or written here
        self._known: dict[tuple[int, int], Row] = {}  # what may come again
        self._newest: dict[int, Row] = {}  # of each trial, whatever came again since
        self._name_is_durable = False

    def read(self) -> list[dict[str, Any]]:
        """Every record, in the order of the file.

        Raises:
            RunError: the file cannot be read, or a line of it is damaged.
        """
        lines = text_of(self.path).removesuffix("\n").split("\n")
        return [self._parsed(number, line) for number, line in enumerate(lines, start=1)]

    def reopen(self) -> int:
        """Get ready to go on where another process stopped; return how many trained epochs of trials are kept.

        A record that was torn is dropped, and so are those of failures, whose trials are tried again.

        Raises:
            RunError: a record is damaged that was not torn.
        """
        if not self.path.exists():
            return 0
        # Cut off in bytes: a record may be torn in the midst of a letter.
        whole, _, torn = _bytes_of(self.path).rpartition(b"\n")
        lines = _decoded(self.path, whole).split("\n")
        rows = [self._parsed(number, line) for number, line in enumerate(lines, start=1) if whole]
        kept = [row for row in rows if row["status"] != "failed"]
        if torn or len(kept) < len(rows):
            kept_lines = [line for line, row in zip(lines, rows, strict=False) if row["status"] != "failed"]
            write_atomically(self.path, "".join(f"{line}\n" for line in kept_lines).encode())
        self._expect(kept)
        return sum(row["epoch"] > 0 for row in kept)

    def covers(self, trial: int, epoch: int) -> bool:
        """Whether each epoch of a trial up to this one is recorded, or each up to that in which it diverged."""
        for each in range(epoch + 1):
            row = self._known.get((trial, each))
            if row is None:
                return False
            if row["status"] == "diverged":
                break
        return True

    def expect_again(self) -> None:
        """What is recorded may be trained again."""
        self._expect(self.read() if self.path.stat().st_size else [])

    def keep(self, records: Iterable[dict[str, Any]]) -> None:
        """Add the records of a finished epoch; when this returns, the system has them.

        Raises:
            RunError: they cannot be written, or one differs from what is recorded already.
        """
        new = [record for record in records if not self._is_known(record)]
        lines = b"".join(as_json_line(record) for record in new)
        if not lines:
            return
        try:
            with write_in_hand(), opened(self.path, "ab", sole=True) as file:
                file.write(lines)
        except OSError as error:
            raise unwritable(self.path, error) from error
        self._rows += new
        self._note_newest(new)

    def keep_failure(self, record: dict[str, Any]) -> None:
        """Add the last record of a trial that failed, after all that were recorded of it when it came further."""
        newest = self._newest.get(record["trial"])
        if newest is not None and newest["epoch"] >= record["epoch"] - 1:
            record = {**record, "epoch": newest["epoch"] + 1, "step": newest["step"], "seconds": newest["seconds"]}
        self.keep([record])

    def sync(self) -> None:
        """Force to disk what was added, and once the file's name in its folder, which is another fsync."""
        try:
            with opened(self.path, "r+b") as file:
                system.force(file.fileno())
            if not self._name_is_durable:
                system.force_folder(self.path.parent)
                self._name_is_durable = True
        except OSError as error:
            raise unwritable(self.path, error) from error

    def order(self) -> list[dict[str, Any]]:
        """Rewrite by epoch, then trial, and return the records in that order."""
        lines, rows = _bytes_of(self.path).removesuffix(b"\n").split(b"\n"), self._rows
        if len(rows) != len(lines):
            rows = self.read()
        keys = [(row["epoch"], row["trial"]) for row in rows]
        places = sorted(range(len(rows)), key=keys.__getitem__)
        write_atomically(self.path, b"\n".join([*(lines[place] for place in places), b""]))
        return [rows[place] for place in places]

    def _expect(self, rows: Sequence[dict[str, Any]]) -> None:
        self._rows = list(rows)
        self._known = {_key(row): row for row in rows}
        self._note_newest(rows)

    def _note_newest(self, rows: Iterable[Row]) -> None:
        for row in rows:
            before = self._newest.get(row["trial"])
            if before is None or row["epoch"] >= before["epoch"]:
                self._newest[row["trial"]] = row

    def _is_known(self, record: Row) -> bool:
        before = self._known.pop(_key(record), None)
        if before is None:
            return False
        different = [key for key in record if key != "seconds" and record[key] != before.get(key)]
        if different:
            key = different[0]
            what = (
                f"{self.path}: epoch {record['epoch']} of trial {record['trial']} came out differently when it was "
                f"trained again: {key} was {before.get(key)}, and is {record[key]}"
            )
            if self.exact:
                raise RunError(f"{what}; the run is as it was, start a new one")
            log.warning("%s", what)
        return True

    def _parsed(self, number: int, line: str) -> dict[str, Any]:
        name = f"{self.path}:{number}"
        row = parsed(name, line, fields())
        if type(row["trial"]) is not int or type(row["epoch"]) is not int or row["status"] not in STATUSES:
            raise RunError(f"{name} is damaged: trial, epoch or status is no such thing; restore it, or run again")
        return row


def _key(record: Row) -> tuple[int, int]:
    return record["trial"], record["epoch"]


def text_of(path: Path) -> str:
    """A file of a run.

    Raises:
        RunError: it cannot be read.
    """
    return _decoded(path, _bytes_of(path))


def _decoded(path: Path, content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RunError(f"{path} cannot be read: not UTF-8; is {path.parent} a finished run?") from error


def _bytes_of(path: Path) -> bytes:
    try:
        with opened(path, "rb") as file:
            return bytes(file.read())
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror}; is {path.parent} a finished run?") from error


def parsed(name: str, text: str, keys: Iterable[str]) -> dict[str, Any]:
    """A mapping in strict JSON with some keys at least.

    Raises:
        RunError: it is none; `name` says what is damaged.
    """
    try:
        value = from_json(text, allow_inf_nan=False)
        missing = [key for key in keys if key not in value]
        if not isinstance(value, dict) or missing:
            raise ValueError(f"{missing[0]!r} is missing" if missing else "it is no mapping")
    except (ValueError, TypeError) as error:
        raise RunError(f"{name} is damaged: {error}; restore it, or run again") from error
    return value
