"""The process that trains: its threads, its freed memory and its garbage."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from clsbench.system import LINUX

# Names and values are those of glibc's malloc.h; arrays of up to 32 MiB, its maximum, come from the heap.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
KEPT, FROM_THE_HEAP = 2**30, 2**25


@contextmanager
def training() -> Iterator[None]:
    """In this block the garbage that it makes is collected, and threads may be set.

    Afterwards threads and the collector are restored, and no object is frozen, not even those that a caller froze.
    From now on the process keeps freed blocks of up to 32 MiB (glibc only): returned to the system and allocated again
    in every epoch, memory costs a tenth of a run's time in page faults.
    """
    threads, collected = torch.get_num_threads(), gc.isenabled()
    if LINUX and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        mallopt(M_MMAP_THRESHOLD, FROM_THE_HEAP)
        mallopt(M_TRIM_THRESHOLD, KEPT)
    gc.freeze()  # traversing all present objects takes as long as a thousand steps
    gc.enable()
    try:
        yield
    finally:
        gc.unfreeze()
        if not collected:
            gc.disable()
        torch.set_num_threads(threads)
