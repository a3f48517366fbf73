"""SIGHUP, Ctrl-C and SIGTERM: the current write is finished, then the process exits with the signal's code.

It exits at once. A run's files are complete at every moment, so no cleanup is needed, and no exception is raised that
a destructor or a partial import could lose.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from clsbench.system import ENDING
from clsbench.text import printable

PATIENCE_SECONDS = 4.0  # with a write that does not end
SHOW_CURSOR = b"\x1b[?25h\r\n"  # progress hides it

_process: int | None = None  # the one that obeys
_writes_in_hand = 0
_asked: int | None = None
_run: Path | None = None


def obey_signals() -> None:
    """From here on a signal ends the process once no write is running; a second Ctrl-C does so at once.

    A process that users' code forks from it ends as if nothing had been said here: it is no run.
    """
    global _process
    _process = os.getpid()
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` and `&` ask
            signal.signal(number, _on_signal)


@contextmanager
def write_in_hand() -> Iterator[None]:
    """In this block, a signal waits."""
    global _writes_in_hand
    _writes_in_hand += 1
    try:
        yield
    finally:
        _writes_in_hand -= 1
        if _asked is not None and not _writes_in_hand:
            _leave(_asked)


@contextmanager
def kept_in(run: Path) -> Iterator[None]:
    """In this block, the message of a stopped process says how to resume `run`."""
    global _run
    before, _run = _run, run
    try:
        yield
    finally:
        _run = before


def _on_signal(number: int, frame: FrameType | None) -> None:
    global _asked
    if os.getpid() != _process:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        return
    if not _writes_in_hand or (_asked is not None and number == signal.SIGINT):
        _leave(number)
    elif _asked is None:
        _asked = number
        last_resort = threading.Timer(PATIENCE_SECONDS, _leave, [number])
        last_resort.daemon = True
        last_resort.start()


def _leave(number: int) -> None:
    go_on = f"resume it with clsbench run --resume {printable(str(_run))}"  # a path may hold escape codes
    kept = f"; the finished epochs are kept, {go_on}" if _run else ""
    try:
        cursor = SHOW_CURSOR if sys.stderr is not None and sys.stderr.isatty() else b""
        os.write(2, cursor + f"error: stopped by {signal.Signals(number).name}{kept}\n".encode())
    except (OSError, ValueError):
        pass  # stderr is closed; the exit code remains
    os._exit(128 + number)
