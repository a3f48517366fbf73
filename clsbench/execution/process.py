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

# Names and values are those of glibc's malloc.h; arrays of up to 32 MiB, the most it allows, come from the heap.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT, FROM_THE_HEAP = 2**30, 2**25
PATIENCE_SECONDS = 5.0  # with a fork that may hang


@contextmanager
def training() -> Iterator[None]:
    """In this block garbage is collected, threads may be set, and `settled` and `thawed` called.

    After it threads and collector are as before, and nothing is left out of collection, what a caller froze neither.
    Freed blocks of up to 32 MiB stay with the process from now on (glibc alone). Given back and fetched anew in every
    epoch, memory costs a tenth of a run's time in page faults.
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
    """Leave what lives now out of garbage collection: to look it through costs a thousand steps."""
    gc.freeze()


def thawed() -> None:
    """Collect what `settled` left out and nobody holds any more: a compiled stack lies in cycles."""
    gc.unfreeze()
    gc.collect()


@cache
def can_fork() -> bool:
    """Whether forks of this process can train, which is tried once.

    Elsewhere than on Linux libraries forbid it; PyTorch does where it drives a GPU, and where it compiled something
    before it had differentiated anything.
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
    except OSError:  # no more processes are allowed, or nobody waits for children here
        pass
    return False


def _differentiate() -> None:
    torch.zeros(1, requires_grad=True).sum().backward()


@contextmanager
def starting_a_process() -> Iterator[None]:
    """What is started in this block hears of no signal, from its first line on: its parent answers them."""
    with ending_signals_blocked(), warnings.catch_warnings():
        # Python warns of the threads that a fork lacks: those of the numerical libraries, which have one there.
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
