"""One writer to a run: a lock that the system takes back from a process that dies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from clsbench.errors import RunError
from clsbench.runs.files import unwritable


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Hold the run whose lock lies in `folder`; the process is named beside it.

    Raises:
        RunError: another process holds it, or the lock cannot be made.
    """
    lock, holder = FileLock(folder / "lock"), folder / "pid"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RunError(f"{folder.parent} is being written by {_named(holder)}; wait for it, or stop it") from None
    except OSError as error:
        raise unwritable(folder / "lock", error) from error
    try:
        try:
            holder.write_text(f"{os.getpid()}\n", encoding="ascii")
        except OSError as error:
            raise unwritable(holder, error) from error
        yield
    finally:
        lock.release()


def _named(holder: Path) -> str:
    try:
        return f"process {int(holder.read_text(encoding='ascii'))}"
    except (OSError, ValueError):
        return "another process"
