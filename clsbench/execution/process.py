"""The process that trains: its threads, its freed memory, its garbage, and whether it can be forked."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

from clsbench.system import LINUX, ending_signals_blocked

# Names and values are those of glibc's malloc.h; arrays of up to 32 MiB, its maximum, come from the heap.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT, FROM_THE_HEAP = 2**30, 2**25
PATIENCE_SECONDS = 5.0  # a fork may hang


@contextmanager
def training() -> Iterator[None]:
    """In this block garbage is collected, threads may be set, and `settled` and `thawed` may be called.

    Afterwards threads and the collector are restored, and no object is frozen, not even those that a caller froze.
    From now on the process keeps freed blocks of up to 32 MiB (glibc only): returned to the system and allocated again
    in every epoch, memory costs a tenth of a run's time in page faults.
    """
    threads, collected = torch.get_num_threads(), gc.isenabled()
    if LINUX and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(M_MMAP_THRESHOLD, FROM_THE_HEAP)
        mallopt(M_TRIM_THRESHOLD, KEPT)
    settled()
    gc.enable()
    try:
        yield
    finally:
        gc.unfreeze()
        if not collected:
            gc.disable()
        torch.set_num_threads(threads)


def settled() -> None:
    """Exclude all present objects from garbage collection: traversing them takes as long as a thousand steps."""
    gc.freeze()


def thawed() -> None:
    """Collect the unreachable objects that `settled` excluded: a compiled stack has reference cycles."""
    gc.unfreeze()
    gc.collect()


@cache
def can_fork() -> bool:
    """Whether forks of this process can train; tested once.

    Libraries forbid it on systems other than Linux; PyTorch does if it uses a GPU, or if it compiled something before
    it differentiated anything.
    """
    if not LINUX or torch.accelerator.is_available():
        return False
    _differentiate()
    try:
        with starting_a_process():
            child = os.fork()
            if child == 0:
                try:
                    _differentiate()
                    os._exit(0)
                finally:
                    os._exit(1)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return status == 0
            time.sleep(0.001)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    except OSError:  # no more processes are allowed, or SIGCHLD is ignored
        pass
    return False


def _differentiate() -> None:
    torch.zeros(1, requires_grad=True).sum().backward()


@contextmanager
def starting_a_process() -> Iterator[None]:
    """Processes started in this block ignore signals from their first line on: the parent handles them."""
    with ending_signals_blocked(), warnings.catch_warnings():
        # Python warns about threads that a fork lacks: those of the numerical libraries, which use one thread there.
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
