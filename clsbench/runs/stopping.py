"""SIGHUP, Ctrl-C and SIGTERM: the write in hand is finished, then the process ends by itself with the signal's code."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Waited for after a signal, then the process ends where it stands: what is on disk is whole at every moment.
PATIENCE_SECONDS = 4.0
SIGNALS = [getattr(signal, name) for name in ("SIGHUP", "SIGINT", "SIGTERM") if hasattr(signal, name)]


class Stopped(KeyboardInterrupt):
    """A signal asked the process to end."""

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.exit_code = 128 + number


_writes_in_hand = 0
_asked: int | None = None


def obey_signals() -> None:
    """From here on a signal raises `Stopped`, once no write is in hand; Ctrl-C again leaves at once."""
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as `nohup` and `&` ask
            signal.signal(number, _on_signal)


def _on_signal(number: int, frame: FrameType | None) -> None:
    global _asked
    if _asked is not None:
        if number == signal.SIGINT:
            _leave(number)
        return
    _asked = number
    # An exception can get lost, in a destructor say, and a call of another library may take its time.
    last_resort = threading.Timer(PATIENCE_SECONDS, _leave, [number])
    last_resort.daemon = True
    last_resort.start()
    if not _writes_in_hand:
        raise Stopped(number)


def _leave(number: int) -> None:
    if sys.stderr is not None and sys.stderr.isatty():
        os.write(2, b"\x1b[?25h\n")  # a progress bar hides the cursor
    os._exit(128 + number)


@contextmanager
def write_in_hand() -> Iterator[None]:
    """While it holds, a signal waits."""
    global _writes_in_hand
    _writes_in_hand += 1
    try:
        yield
    finally:
        _writes_in_hand -= 1
        if _asked is not None and not _writes_in_hand and sys.exc_info()[0] is None:
            raise Stopped(_asked)
