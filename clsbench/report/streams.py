"""Standard streams may be closed, full or lack characters: output is complete, or an error gives the reason."""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import TYPE_CHECKING, Any, TextIO, cast

from clsbench.errors import RunError

if TYPE_CHECKING:
    from rich.console import Console


STDERR = 2  # the last of the file descriptors that a process is given
STREAM_FAULTS = {errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EBADF}


class ReaderLeft(Exception):
    """The reader of stdout has closed it, as `| head` does."""


def prepare_streams() -> None:
    """Make printing safe: a closed stdout fails when it is written to, and no character is unknown.

    The next files that are opened do not get the numbers of closed streams, which C code prints to.
    Where `LC_ALL` or `LANG` is `C`, Python prints UTF-8 all the same; who sets it asks for ASCII.
    """
    while (handle := os.open(os.devnull, os.O_RDWR)) <= STDERR:
        pass
    os.close(handle)
    if sys.stdout is None:
        sys.stdout = _null_device("r")  # opened for reading: writing to it fails
    if sys.stderr is None:
        sys.stderr = _null_device("w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="ascii" if _in_c_locale() else None, errors="backslashreplace")


def _in_c_locale() -> bool:
    asked = os.environ.get("LC_ALL") or os.environ.get("LANG")
    # Python looks at LC_CTYPE, too: UTF-8 mode is on by itself where none of them named a real locale.
    named = os.environ.get("PYTHONUTF8") or os.environ.get("PYTHONIOENCODING")
    return bool(sys.flags.utf8_mode) and not named and asked in ("C", "POSIX")


def console_on(stream: Any) -> Console:
    """A console that adds no colour of its own to what it is given."""
    from rich.console import Console

    return Console(file=stream, highlight=False, markup=False, emoji=False)


def _null_device(mode: str) -> Any:
    return open(os.devnull, mode)


@contextmanager
def whole_page() -> Iterator[Console]:
    """A console whose output is written when it is complete, so that a broken stream costs no result."""
    page = _Page()
    yield console_on(page)
    write(page.getvalue())


class _Page(io.StringIO):
    """Holds what is to be printed, and looks like the stdout that will print it."""

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return sys.stdout.encoding or "utf-8"

    def isatty(self) -> bool:
        return sys.stdout.isatty()

    def fileno(self) -> int:
        return sys.stdout.fileno()


def write(text: str) -> None:
    """Print results, at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def write_json(value: Any) -> None:
    """Print a value as JSON, and nothing else."""
    import json

    # In ASCII: a terminal cannot be made to act by it, and a stream that lacks a letter does not break it.
    write(json.dumps(value, indent=2) + "\n")


class _ToStderr(io.TextIOBase):
    """Takes stdout's place for the user's code; closing it closes nothing."""

    encoding = "utf-8"

    def write(self, text: str) -> int:
        sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def fileno(self) -> int:
        return sys.stderr.fileno()


@contextmanager
def stdout_for_results() -> Iterator[None]:
    """While the user's code runs, what it prints, by Python or by file descriptor, goes to stderr, in its forks too."""
    before = sys.stdout
    kept = _on_stderr()
    try:
        with redirect_stdout(cast(TextIO, _ToStderr())):
            yield
    finally:
        if kept is not None:
            with suppress(OSError, ValueError):
                before.flush()  # what was written past the redirection
            os.dup2(kept, 1)
            os.close(kept)
        sys.stdout = before


def _on_stderr() -> int | None:
    """Let file descriptor 1 be stderr; what it was comes back as another. None where stdout is something else."""
    try:
        if sys.stdout.fileno() != 1:
            return None
        sys.stdout.flush()
        kept = os.dup(1)
    except (OSError, ValueError):
        return None
    try:
        os.dup2(2, 1)
    except OSError:  # stderr is closed
        os.close(kept)
        return None
    return kept


@contextmanager
def stdout_errors() -> Iterator[None]:
    """In this block, a reader of stdout that has closed it (`| head`) is not a failure; a full disk is."""
    try:
        yield
    except OSError as error:
        of_a_stream = isinstance(error, io.UnsupportedOperation) or error.errno in STREAM_FAULTS
        if not of_a_stream or error.filename is not None or hasattr(error, "__notes__"):
            raise  # from a file, from users' code, or in the middle of a run
        sys.stdout = _null_device("w")
        if isinstance(error, BrokenPipeError):
            raise ReaderLeft from error
        what = (error.strerror or "it is closed").lower()
        raise RunError(
            f"standard output cannot be written: {what}; the run is kept, and `clsbench report` shows it"
        ) from error
