"""A run's files: written atomically, and opened without following links."""

from __future__ import annotations

import errno
import json
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Any

from pydantic_core import PydanticSerializationError, from_json, to_json

from clsbench import system
from clsbench.errors import RunError
from clsbench.runs.names import CHECKPOINTS, is_growing, is_half_written, is_own
from clsbench.runs.signals import write_in_hand
from clsbench.text import in_json

# Missing on Windows, where ordinary folders have no such links; there `lstat` checks first.
NO_LINK = getattr(os, "O_NOFOLLOW", 0)
FOLDER = getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # opening a FIFO would wait for its other end

Content = bytes | Iterable[bytes]  # of a file, whole or in pieces, which can be gone through again
PIECE_BYTES = 2**20
DEPTH_OF_A_LINE = 4  # of `summary.json`: a metric of an arm


def pieces_of(content: Content) -> Iterable[bytes]:
    return (content,) if isinstance(content, bytes) else content


def read_pieces(file: IO[bytes], start: int, end: int) -> Iterator[bytes]:
    """What a file holds from one place to another, in pieces of a bounded size."""
    file.seek(start)
    while start < end and (piece := file.read(min(PIECE_BYTES, end - start))):
        yield piece
        start += len(piece)


def opened(
    path: Path, mode: str, *, sole: bool = False, encoding: str | None = None, errors: str | None = None
) -> IO[Any]:
    """Open a file of a run, which must be a regular file, not reached through a link.

    The run's directory itself may be reached through links, the folder `checkpoints` in it may not.

    Args:
        sole: refuse a file that has a second name (a hard link), which writing in place would change too.

    Raises:
        RunError: something else is in its place.
        OSError: it cannot be opened.
    """
    return open(path, mode, encoding=encoding, errors=errors, opener=partial(_beneath, sole=sole))


def _beneath(name: str | Path, flags: int, *, sole: bool) -> int:
    path = Path(name)
    try:
        # Truncated only after the check that it is the run's.
        handle = _opened_beneath(path, flags & ~os.O_TRUNC)
    except OSError:
        require_own(path)
        raise
    try:
        _require_regular(path, os.fstat(handle), sole)
        if flags & os.O_TRUNC:
            os.ftruncate(handle, 0)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _opened_beneath(path: Path, flags: int) -> int:
    if os.open not in os.supports_dir_fd:
        require_own(path)
        return os.open(path, flags, 0o666)
    folder = os.open(path.parent, os.O_RDONLY | FOLDER | (NO_LINK if path.parent.name == CHECKPOINTS else 0))
    try:
        return os.open(path.name, flags | NO_LINK | NO_WAIT, 0o666, dir_fd=folder)
    finally:
        os.close(folder)


def require_own(path: Path, *, sole: bool = False) -> None:
    """Refuse anything but a file in the place of a run's file; it may be missing.

    Raises:
        RunError: it is not a regular file, or, with `sole`, has a second name.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        if path.parent.name == CHECKPOINTS:
            require_folder(path.parent)
        _require_regular(path, path.lstat(), sole)


def require_folder(path: Path) -> None:
    """Refuse anything but a folder in the place of a run's folder.

    Raises:
        RunError: it is a link or a file.
        FileNotFoundError: it is missing.
    """
    mode = path.lstat().st_mode
    if not stat.S_ISDIR(mode):
        raise RunError(f"{path} is {_kind(mode)} where a run has a folder; put the run's own there, or start a new run")


def _require_regular(path: Path, found: os.stat_result, sole: bool) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = _kind(found.st_mode)
        raise RunError(f"{path} is {kind} where a run has a file; put the run's own there, or start a new run")
    if sole and found.st_nlink > 1:
        raise RunError(
            f"{path} has {found.st_nlink} names (hard links), and writing it would change all of them; "
            "replace it by a copy of its own"
        )


def _kind(mode: int) -> str:
    kinds = {stat.S_ISLNK: "a symbolic link", stat.S_ISDIR: "a folder", stat.S_ISREG: "a file", stat.S_ISFIFO: "a FIFO"}
    return next((kind for is_kind, kind in kinds.items() if is_kind(mode)), "a device or a socket")


def require_own_files(run: Path) -> None:
    """Check everything that has the name of a run's file, in its directory and in `checkpoints`.

    Raises:
        RunError: one is not a regular file, or is written in place and has a second name.
        FileNotFoundError: there is no folder `checkpoints`.
    """
    require_folder(run / CHECKPOINTS)
    for prefix, folder in (("", run), (f"{CHECKPOINTS}/", run / CHECKPOINTS)):
        for path in folder.iterdir():
            if is_own(name := prefix + path.name):
                require_own(path, sole=is_growing(name))


def write_atomically(path: Path, content: Content) -> None:
    """Write a temporary file, force it to disk, rename it into place.

    Raises:
        RunError: it could not be written; `path` is as it was.
    """
    beside = _beside(path)
    try:
        with write_in_hand():
            _write(beside, path, content)
            system.force_folder(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error


def _write(beside: Path, path: Path, content: Content) -> None:
    try:
        # Not `tempfile`: its files are private, whatever the umask.
        with opened(beside, "xb") as file:
            for piece in pieces_of(content):
                file.write(piece)
            file.flush()
            system.force(file.fileno())
        system.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}")


def probe(path: Path) -> None:
    """Check whether `write_atomically` can write there, as far as possible; `path` is not changed.

    Raises:
        OSError: it cannot.
    """
    beside = _beside(path)
    os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    os.unlink(beside)


def remove_half_written(run: Path) -> None:
    """Remove the temporary files of a process killed in `write_atomically`; no other may be writing."""
    for prefix, folder in (("", run), (f"{CHECKPOINTS}/", run / CHECKPOINTS)):
        for beside in folder.glob(".*"):
            if is_half_written(prefix + beside.name):
                with suppress(OSError):
                    beside.unlink()


def unwritable(path: Path, error: OSError) -> RunError:
    """The error for a file or folder of a run that cannot be written."""
    what = ("disk full: " if error.errno == errno.ENOSPC else "") + (error.strerror or str(error)).lower()
    return RunError(f"{path} cannot be written: {what}; free it, or write elsewhere")


def is_no_place(error: OSError) -> bool:
    """Whether a path can hold no such file or folder: a name too long, a file for a folder, or the reverse."""
    kinds = FileExistsError | NotADirectoryError | IsADirectoryError
    return isinstance(error, kinds) or error.errno == errno.ENAMETOOLONG


def as_json(value: Any) -> bytes:
    """Strict JSON for people, indented: NaN and infinities raise."""
    return _json(value, 2)


def as_wide_json(value: Any) -> bytes:
    """The same in a third of the lines: what is nested five deep, as a metric's values, stays on one line."""
    return b"".join(_wide(value, 0)) + b"\n"


def _wide(value: Any, depth: int) -> Iterator[bytes]:
    """Line by line, for as one text with a number a line a large document takes many times its memory."""
    if not value or not isinstance(value, dict | list | tuple) or depth == DEPTH_OF_A_LINE:
        text = _json(value, 1).removesuffix(b"\n")  # whose strings hold no newlines
        yield re.sub(rb"\n *", b"", re.sub(rb",\n *", b", ", text))
        return
    blanks, is_dict = depth * b" ", isinstance(value, dict)
    yield b"{" if is_dict else b"["
    for place, key in enumerate(value):
        yield (b",\n " if place else b"\n ") + blanks
        if is_dict:
            yield _json(key, None).removesuffix(b"\n") + b": "
        yield from _wide(value[key] if is_dict else key, depth + 1)
    yield b"\n" + blanks + (b"}" if is_dict else b"]")


def as_json_line(value: Any) -> bytes:
    """The same on one line, for files of many lines."""
    return _json(value, None)


def _json(value: Any, indent: int | None) -> bytes:
    try:
        text = to_json(value, indent=indent, inf_nan_mode="constants")  # fifteen times as fast as `json`
    except PydanticSerializationError:  # a name that is not UTF-8
        separators = (",", ":") if indent is None else None
        plain = json.dumps(value, indent=indent, allow_nan=False, ensure_ascii=False, separators=separators)
        text = in_json(plain).encode()
    if b"NaN" in text or b"Infinity" in text:  # a number, or part of a name
        from_json(text, allow_inf_nan=False)
    return text + b"\n"
