"""The lock of a run's only writer, which the system releases when the process dies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from clsbench import system
from clsbench.errors import RunError
from clsbench.runs.files import opened, unwritable


def require_free(folder: Path) -> None:
    """Refuse a run that another process is writing; changes nothing, and refuses nothing if the system has no locks.

    Raises:
        RunError: its lock, which lies in `folder`, is held.
    """
    with suppress(FileNotFoundError), opened(folder / "lock", "rb") as lock:
        if system.is_locked(lock.fileno()):
            raise _held(folder)


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Hold the lock in `folder` of a run; the file `pid` names the process.

    Raises:
        RunError: another process holds it, or the lock cannot be made.
    """
    path, holder = folder / "lock", folder / "pid"
    try:
        lock = opened(path, "ab", sole=True)
    except OSError as error:
        raise unwritable(path, error) from error
    with lock:
        try:
            is_free = system.locked(lock.fileno())
        except OSError as error:
            raise unwritable(path, error) from error
        if not is_free:
            raise _held(folder)
        try:
            _name_holder(holder)
            yield
        finally:
            system.unlock(lock.fileno())


def _name_holder(holder: Path) -> None:
    try:
        with opened(holder, "w", sole=True, encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
    except OSError as error:
        raise unwritable(holder, error) from error


def _held(folder: Path) -> RunError:
    return RunError(f"{folder.parent} is being written by {_named(folder / 'pid')}; wait for it, or stop it")


def _named(holder: Path) -> str:
    try:
        with opened(holder, "r", encoding="ascii") as file:
            return f"process {int(file.read(32))}"
    except (OSError, ValueError, RunError):
        return "another process"
