"""Processes forked from this warm one, and how they end."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn


def forked(work: Callable[[], object]) -> int:
    """The pid of a process that does this work and exits: 0 if it returns, its code if it exits, else 99."""
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    return pid or _worked(work)


def _worked(work: Callable[[], object]) -> NoReturn:
    code = 99
    try:
        work()
        code = 0
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)  # the buffers and handlers of the parent's are not this process's to close


@contextmanager
def replaced(owner: Any, name: str, new: Any) -> Iterator[None]:
    """In this block, `owner.name` is replaced."""
    before = getattr(owner, name)
    setattr(owner, name, new)
    try:
        yield
    finally:
        setattr(owner, name, before)


def exit_code(pid: int) -> int:
    """Wait for a process; its exit code, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
