"""The process that trains: its threads, its freed memory, and what it looks through for garbage."""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

# Names and values are those of glibc's malloc.h; arrays of up to 32 MiB, the most it allows, come from the heap.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT, FROM_THE_HEAP = 2**30, 2**25


@contextmanager
def training() -> Iterator[None]:
    """In this block garbage is collected, threads may be set, and `settled` and `thawed` called.

    After it threads and collector are as before, and nothing is left out of collection, what a caller froze neither.
    Freed blocks of up to 32 MiB stay with the process from now on (glibc alone). Given back and fetched anew in every
    epoch, memory costs a tenth of a run's time in page faults.
    """
    threads, collected = torch.get_num_threads(), gc.isenabled()
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
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
