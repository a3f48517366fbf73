"""Files that the command line is asked to write: checked before anything is done, replaced once it is done.

A FILE may be mistaken, or forgotten so that the next argument is taken for it. What exists is therefore replaced only
if it is of the kind that is written, is not an input of the command and not a file of a run; and only at the end.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from clsbench.errors import ConfigError, RunError
from clsbench.runs.files import probe, unwritable, write_atomically
from clsbench.runs.names import FIGURES as DRAWN
from clsbench.runs.names import is_kept_by_run

HEAD_BYTES = 4096  # of a file, to recognise its kind by


@dataclass(frozen=True)
class Kind:
    """What an output is, and how a file of its kind begins."""

    name: str
    start: re.Pattern[bytes]


JUNIT = Kind("JUnit XML", re.compile(rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*<testsuites?[\s/>]", re.DOTALL))
RECORDS = Kind("a table of records that clsbench wrote", re.compile(rb"run,trial,arm,"))
TABLES = {
    "csv": Kind("a table that clsbench wrote", re.compile(rb"run,(arm|a),")),
    "tex": Kind("a table that clsbench wrote", re.compile(rb"% clsbench; ")),
}
PAGE = Kind("a page of clsbench", re.compile(rb"<!doctype html>.*http-equiv=\"Content-Security-Policy\"", re.DOTALL))
PROGRAM = Kind("an exported network", re.compile(rb"PK\x03\x04"))
FIGURES = {
    "png": Kind("a PNG", re.compile(rb"\x89PNG\r\n\x1a\n")),
    "svg": Kind("an SVG", re.compile(rb"\s*(<\?xml[^>]*>\s*)?(<!DOCTYPE svg\b|<svg\b)")),
}
FIGURE_NAMES = tuple(f"{name}.{suffix}" for name in DRAWN for suffix in FIGURES)


class Output:
    """A FILE of the command line. A device, a FIFO or the standard output itself is written to as it is.

    Args:
        option: what the user gave it by, as messages name it.
        path: the FILE.
        kind: what is written.
        inputs: the files that the command reads.

    Raises:
        ConfigError: nothing can be written there, or what is there must not be replaced. Nothing has been touched.
    """

    def __init__(self, option: str, path: Path, kind: Kind, inputs: Iterable[Path] = ()) -> None:
        self.path = path
        self._option, self._kind = option, kind
        try:
            # Absolute, for a plugin may change the directory; a link's target is what is replaced.
            self._target = Path(os.path.realpath(path))
            self._is_stream = _is_stream(path)
            reason = None if self._is_stream else _reason_to_leave(self._target, kind, inputs)
            if reason is None and not self._is_stream:
                probe(self._target)
        except (OSError, ValueError) as error:
            reason = f"cannot be written: {_words(error)}"
        if reason is not None:
            raise ConfigError(f"{option}: {path} {reason}; give another FILE")

    def write(self, content: bytes) -> None:
        """Put the content in place, whole.

        Raises:
            RunError: it cannot be written; a file that was there is as it was.
        """
        if self._is_stream:
            _write_to_stream(self.path, content)
            return
        with suppress(OSError):
            if (reason := _reason_to_leave(self._target, self._kind, ())) is not None:
                raise RunError(f"{self._option}: {self.path} has changed, and {reason}; it is left as it is")
        write_atomically(self._target, content)


def require_replaceable_figures(folder: Path) -> None:
    """Refuse a folder in which a figure would take the place of something else.

    Raises:
        ConfigError: it holds such a file, or is a run's own.
    """
    for name in FIGURE_NAMES:
        try:
            path = Path(os.path.realpath(folder)) / name
            reason = _reason_to_leave(path, FIGURES[name.rpartition(".")[2]], ())
        except NotADirectoryError:
            return  # reported when the folder is created
        except (OSError, ValueError) as error:
            reason = f"cannot be written: {_words(error)}"
        if reason is not None:
            raise ConfigError(f"--png: {folder / name} {reason}; give another DIR")


def _reason_to_leave(path: Path, kind: Kind, inputs: Iterable[Path]) -> str | None:
    """Why a path must not be replaced by a file of this kind; None where it may be."""
    if is_kept_by_run(path):
        return "is a file of the run, which only the run writes"
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    if any(_is_same(found, each) for each in inputs):
        return "is read by this command"
    if stat.S_ISDIR(found.st_mode):
        return "cannot be written: it is a folder"
    if not stat.S_ISREG(found.st_mode):
        return "cannot be written: it is not a regular file"
    with open(path, "rb") as file:
        head = file.read(HEAD_BYTES)
    return None if not head or kind.start.match(head) else f"exists and is not {kind.name}, so it is left as it is"


def _is_same(found: os.stat_result, path: Path) -> bool:
    try:
        return os.path.samestat(found, os.stat(path))
    except (OSError, ValueError):
        return False


def _is_stream(path: Path) -> bool:
    """Whether the path is a device, a FIFO, or what a standard stream is redirected to (`/dev/stdout`)."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return False
    if stat.S_ISCHR(found.st_mode) or stat.S_ISFIFO(found.st_mode):
        return True
    standard = [os.fstat(number) for number in (1, 2) if _is_open(number)]
    return stat.S_ISREG(found.st_mode) and any(os.path.samestat(found, each) for each in standard)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _write_to_stream(path: Path, content: bytes) -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    try:
        # A FIFO that nobody reads is an error, not a wait without end.
        at_once = getattr(os, "O_NONBLOCK", 0)
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | at_once)
        if at_once:
            os.set_blocking(handle, True)
        with open(handle, "wb", buffering=0) as file:
            rest = memoryview(content)
            while rest:
                rest = rest[file.write(rest) or 0 :]
    except OSError as error:
        raise unwritable(path, error) from error


def _words(error: OSError | ValueError) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()
