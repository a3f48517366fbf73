"""Writing files so that nobody ever reads half of one."""

from __future__ import annotations

import errno
import json
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic_core import from_json, to_json

from clsbench.errors import RunError
from clsbench.runs.stopping import write_in_hand


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside, force to disk, rename into place.

    Raises:
        RunError: it could not be written; `path` is as it was.
    """
    beside = _beside(path)
    try:
        with write_in_hand():
            _write(beside, path, content)
            sync_folder(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error


def _write(beside: Path, path: Path, content: bytes) -> None:
    try:
        # Not `tempfile`: its files are closed to everybody else, whatever the umask says.
        with open(beside, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}")


def probe(path: Path) -> None:
    """Find out whether `write_atomically` can write there, as far as that is known beforehand; `path` is not touched.

    Raises:
        OSError: it cannot.
    """
    beside = _beside(path)
    os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    os.unlink(beside)


def remove_half_written(folder: Path) -> None:
    """Remove what a process that was killed in `write_atomically` left in a folder; no other may be writing there."""
    for beside in folder.glob(".*." + "[0-9a-f]" * 16):
        with suppress(OSError):
            beside.unlink()


def sync_folder(folder: Path) -> None:
    """Force to disk what a folder lists: a name that was renamed into it is not there before."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def unwritable(path: Path, error: OSError) -> RunError:
    """The error to raise where a file or folder of a run cannot be written."""
    what = ("disk full: " if error.errno == errno.ENOSPC else "") + (error.strerror or str(error)).lower()
    return RunError(f"{path} cannot be written: {what}; free it, or write elsewhere")


def is_no_place(error: OSError) -> bool:
    """Whether a path can hold no such file or folder: a name too long, a file for a folder, or the other way round."""
    kinds = FileExistsError | NotADirectoryError | IsADirectoryError
    return isinstance(error, kinds) or error.errno == errno.ENAMETOOLONG


def as_json(value: Any) -> str:
    """Strict JSON: NaN and infinities are a bug, never text."""
    return json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def as_json_line(value: Any) -> bytes:
    """The same on one line, of which there are many: six times as fast."""
    line = to_json(value, inf_nan_mode="constants")
    if b"NaN" in line or b"Infinity" in line:  # a number, or part of a name
        from_json(line, allow_inf_nan=False)
    return line + b"\n"
