"""What differs between Linux, macOS and Windows, and nothing else.

The rest of the package does not name any system.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None  # type: ignore[assignment]

WINDOWS = os.name == "nt"
LINUX = sys.platform == "linux"

# On macOS fsync leaves data in the drive's cache, which this forces out.
FULL_FSYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)

# The signals that ask a process to end; Windows has no SIGHUP.
ENDING = [getattr(signal, name) for name in ("SIGHUP", "SIGINT", "SIGTERM") if hasattr(signal, name)]

REPLACE_ATTEMPTS = 10
REPLACE_SECONDS = 0.02  # before the second attempt, then twice as long each time: 10 s in all

PR_SET_PDEATHSIG = 1  # of Linux's prctl.h
# Names that Windows keeps for devices, in every folder and with every suffix; compiled when it is first used.
_RESERVED = r"(?is)(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?"


def force(handle: int) -> None:
    """Force a file's data to the disk. On Windows the handle has to be writable.

    Raises:
        OSError: they may not be there.
    """
    if FULL_FSYNC is not None:
        with suppress(OSError):  # a file system that lacks it, such as on a network
            fcntl.fcntl(handle, FULL_FSYNC)
            return
    os.fsync(handle)


def locked(handle: int) -> bool:
    """Lock a file that is open to write, until `unlock` or the end of the process; False if another handle has.

    Raises:
        OSError: the file system has no locks.
    """
    try:
        if fcntl is not None:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        return True
    except (BlockingIOError, PermissionError):  # as Windows calls it
        return False


def unlock(handle: int) -> None:
    """Release a lock before its handle is closed: processes that were forked meanwhile have that open, too."""
    if fcntl is not None:
        with suppress(OSError):  # its handle is closed next
            fcntl.flock(handle, fcntl.LOCK_UN)


def is_locked(handle: int) -> bool:
    """Whether another handle has the lock of a file; False where that cannot be asked: on Windows, and without locks.

    Until this handle is closed, nobody can lock the file.
    """
    if fcntl is None:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return isinstance(error, BlockingIOError)
    return False


def force_folder(folder: Path) -> None:
    """Force to disk what a folder lists: a name that was renamed into it is not there before.

    Windows, where a folder cannot be opened, keeps a journal of names by itself.

    Raises:
        OSError: it may not be there.
    """
    if WINDOWS:
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        force(handle)
    finally:
        os.close(handle)


def replace(source: Path, target: Path) -> None:
    """Rename onto a file that may exist. Windows refuses while it is being read: then it is retried for a while.

    Raises:
        OSError: it was not possible.
    """
    for attempt in range(REPLACE_ATTEMPTS if WINDOWS else 1):
        try:
            os.replace(source, target)
        except PermissionError:
            if not WINDOWS or attempt == REPLACE_ATTEMPTS - 1:
                raise
            time.sleep(REPLACE_SECONDS * 2**attempt)
        else:
            return


@contextmanager
def ending_signals_blocked() -> Iterator[None]:
    """In this block no signal ends the process, nor what it starts; on Windows, which has no such mask, any does."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def obey_termination() -> None:
    """End this process on SIGTERM, whatever the parent's handler."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def die_with_parent() -> None:
    """Have the system kill this process when its parent dies, where it can: on Linux."""
    if LINUX:
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def only_owner_writes(folder: Path) -> bool:
    """Whether a folder is this user's, and nobody else may write there; Windows gives each user folders of their own.

    Raises:
        OSError: there is none.
    """
    if not hasattr(os, "geteuid"):
        return True
    found = folder.stat()
    return found.st_uid == os.geteuid() and not found.st_mode & 0o022


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def is_portable_name(name: str) -> bool:
    """Whether every system can have a file of this name: not a device of Windows, no dot or blank at the end."""
    return re.fullmatch(_RESERVED, name) is None and not name.endswith((".", " "))
