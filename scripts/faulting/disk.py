"""A disk that fails: the n-th of the calls that put something on it, counted from when the plan is made."""

from __future__ import annotations

import builtins
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


class FailingDisk:
    """Fails call number `fails_at`, and all after it where `stays`; with None it only counts, into `count`.

    Every raw write below a buffer counts by itself, so that a failure comes where the system would tell it.
    """

    def __init__(self, folder: Path, error: int, *, fails_at: int | None, stays: bool, count: Path) -> None:
        self.folder = folder.resolve()
        self.error = error
        self.fails_at = fails_at
        self.stays = stays
        self.count = count
        self.calls = 0

    def install(self) -> None:
        """From here on this process has such a disk."""
        opened = builtins.open
        builtins.open = io.open = self._open(opened)
        for name in ("fsync", "rename", "replace"):
            setattr(os, name, self._failing(getattr(os, name), path_given=name != "fsync"))
        self._counted = opened(self.count, "wb", buffering=0)

    def _call(self, path: Any) -> None:
        self.calls += 1
        self._counted.write(b".")
        due = self.fails_at is not None and (self.calls == self.fails_at or (self.stays and self.calls > self.fails_at))
        if due:
            raise OSError(self.error, os.strerror(self.error), None if isinstance(path, int) else str(path))

    def _is_ours(self, path: Any) -> bool:
        if isinstance(path, int):
            path = os.readlink(f"/proc/self/fd/{path}") if os.path.exists("/proc/self/fd") else path
        return not isinstance(path, int) and self.folder in Path(path).resolve().parents

    def _failing(self, call: Callable[..., Any], *, path_given: bool) -> Callable[..., Any]:
        def failing(path: Any, *others: Any, **options: Any) -> Any:
            if self._is_ours(path):
                self._call(path if path_given else 0)
            return call(path, *others, **options)

        return failing

    def _open(self, opened: Callable[..., Any]) -> Callable[..., Any]:
        disk = self

        class Raw(io.FileIO):
            def write(self, data: Any) -> int:
                disk._call(0)
                return super().write(data)

        def failing_open(file: Any, mode: str = "r", buffering: int = -1, *args: Any, **options: Any) -> Any:
            if not set("wax") & set(mode) or "+" in mode or isinstance(file, int) or not disk._is_ours(file):
                return opened(file, mode, buffering, *args, **options)
            disk._call(file)
            buffered = io.BufferedWriter(Raw(os.fspath(file), mode.replace("b", "").replace("t", "")))
            if "b" in mode:
                return buffered
            names = ("encoding", "errors", "newline")
            return io.TextIOWrapper(buffered, **{**options, **dict(zip(names, args, strict=False))})

        return failing_open
