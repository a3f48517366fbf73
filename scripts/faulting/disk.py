"""The calls of this process that change a folder on the disk: announced before, noted after.

Every way to the disk that clsbench takes passes through the functions patched here; `recording` checks that none is
missing by comparing the folder with what was noted.
"""

from __future__ import annotations

import builtins
import io
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


@dataclass(frozen=True)
class Operation:
    """What one call did: `create`, `mkdir`, `write`, `truncate`, `rename`, `link`, `remove` or `fsync`.

    Paths are relative to the parent of the folder that is watched; `path` of a `rename` or `link` is the new name.
    `offset` is that of the data, or the new size of a truncated file.
    """

    kind: str
    path: str
    source: str = ""
    offset: int = 0
    data: bytes = b""


class WatchedDisk:
    """Sees every call that changes something below `folder`, or the folder itself, from `install` on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._os = {name: getattr(os, name) for name in _WRAPPED}
        self._opened = builtins.open

    def before(self, kind: str, path: str) -> None:
        """A call is about to be made; raising is what the call then does."""

    def after(self, operation: Operation) -> None:
        """A call succeeded."""

    def install(self) -> None:
        """From here on this process has such a disk."""
        builtins.open = io.open = self._open
        own = {"open": self._os_open, "write": self._os_write}
        for name, call in self._os.items():
            seen: Any = own.get(name) or self._wrapped(name)
            for able in (os.supports_dir_fd, os.supports_follow_symlinks, os.supports_fd):
                if call in able:
                    able.add(seen)
            setattr(os, name, seen)

    # Where a call goes to.

    def _ours(self, path: Any, dir_fd: int | None = None) -> str | None:
        """A path relative to the folder's parent; None if it is outside, or no longer exists."""
        if isinstance(path, int):
            whole = _path_of(path)
        else:
            start = Path(_path_of(dir_fd)) if dir_fd is not None else Path.cwd()
            given = start / os.fsdecode(path)
            whole = str(given.parent.resolve() / given.name)
        parent = self.folder.parent  # which is forced to disk, for the folder's own name
        inside = whole in (str(self.folder), str(parent)) or whole.startswith(f"{self.folder}{os.sep}")
        return os.path.relpath(whole, parent) if inside and not whole.endswith(" (deleted)") else None

    # The calls.

    def _open(self, file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        names = ("buffering", "encoding", "errors", "newline", "closefd", "opener")
        given = {**dict(zip(names, args, strict=False)), **options}
        if not set("wax+") & set(mode) or self._ours(file) is None:
            return self._opened(file, mode, **given)
        opener = given.get("opener") or _plain_opener
        raw = _Raw(self, file, mode.replace("b", "").replace("t", ""), given.get("closefd", True), opener)
        if given.get("buffering", -1) == 0:
            return raw
        buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        text = {key: given[key] for key in ("encoding", "errors", "newline") if key in given}
        return buffered if "b" in mode else io.TextIOWrapper(buffered, **text)

    def _os_open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        ours = self._ours(path, dir_fd) if flags & WRITING else None
        if ours is None:
            return int(self._os["open"](path, flags, mode, dir_fd=dir_fd))
        self.before("open", ours)
        target = self.folder.parent / ours
        there, size = os.path.lexists(target), target.stat().st_size if target.is_file() else 0
        handle = int(self._os["open"](path, flags, mode, dir_fd=dir_fd))
        if not there:
            self.after(Operation("create", ours))
        elif flags & os.O_TRUNC and size:
            self.after(Operation("truncate", ours))
        return handle

    def write(self, handle: int, data: Any, call: Callable[[Any], int]) -> int:
        """A raw write, with what the system took of it."""
        ours = self._ours(handle)
        if ours is None:
            return call(data)
        self.before("write", ours)
        written = call(data)
        start = os.lseek(handle, 0, os.SEEK_CUR) - written
        self.after(Operation("write", ours, offset=start, data=bytes(memoryview(data).cast("B")[:written])))
        return written

    def _os_write(self, handle: int, data: Any) -> int:
        return self.write(handle, data, lambda given: int(self._os["write"](handle, given)))

    def _wrapped(self, name: str) -> Callable[..., Any]:
        call, kind = self._os[name], _WRAPPED[name]

        def wrapped(path: Any, *others: Any, **options: Any) -> Any:
            moves = kind in ("rename", "link")
            source_fd = options.get("src_dir_fd" if moves else "dir_fd")
            source = self._ours(path, source_fd)
            target = self._ours(others[0], options.get("dst_dir_fd")) if moves else source
            if target is None or (kind == "mkdir" and os.path.isdir(self.folder.parent / target)):
                return call(path, *others, **options)  # what is there already changes nothing on the disk
            self.before(kind, target)
            answer = call(path, *others, **options)
            size = others[0] if kind == "truncate" else 0
            self.after(Operation(kind, target, source=(source or "") if moves else "", offset=size))
            return answer

        return wrapped


# The functions of `os`, and the kind of each.
_WRAPPED = {name: name for name in ("open", "write", "fsync", "rename", "link", "mkdir", "truncate")} | {
    "fdatasync": "fsync",
    "replace": "rename",
    "unlink": "remove",
    "remove": "remove",
    "rmdir": "remove",
    "ftruncate": "truncate",
}


class _Raw(io.FileIO):
    """Every raw write below a buffer is a call by itself."""

    def __init__(self, disk: WatchedDisk, file: Any, mode: str, closefd: bool, opener: Any) -> None:
        self._disk = disk
        super().__init__(file, mode, closefd, opener=opener)

    def write(self, data: Any) -> int:
        return self._disk.write(self.fileno(), data, super().write)


def _plain_opener(path: Any, flags: int) -> int:
    return os.open(path, flags, 0o666)  # as `open` does, and seen here


def _path_of(handle: int) -> str:
    if sys.platform == "darwin":
        import fcntl

        return os.fsdecode(fcntl.fcntl(handle, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0"))
    return os.readlink(f"/proc/self/fd/{handle}")


class FailingDisk(WatchedDisk):
    """Fails call number `fails_at`, and all after it where `stays`; with None it only counts, into `count`."""

    COUNTED = frozenset({"open", "write", "fsync", "rename", "mkdir", "truncate", "link"})

    def __init__(self, folder: Path, error: int, *, fails_at: int | None, stays: bool, count: Path) -> None:
        super().__init__(folder)
        self.error = error
        self.fails_at = fails_at
        self.stays = stays
        self.count = count
        self.calls = 0

    def install(self) -> None:
        self._counted = open(self.count, "wb", buffering=0)  # noqa: SIM115 - open until the process ends
        super().install()

    def before(self, kind: str, path: str) -> None:
        if kind not in self.COUNTED:
            return
        self.calls += 1
        self._counted.write(b".")
        due = self.fails_at is not None and (self.calls == self.fails_at or (self.stays and self.calls > self.fails_at))
        if due:
            raise OSError(self.error, os.strerror(self.error), str(self.folder.parent / path))
