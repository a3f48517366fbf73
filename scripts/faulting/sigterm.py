"""`sigterm`: SIGTERM at random moments, which ends a run with 143 within five seconds and loses nothing."""

from __future__ import annotations

import os
import random
import signal
import tempfile
import time
from pathlib import Path

from faulting.figures import Figure
from faulting.runs import Started, checkpoints_each_epoch, goes_on, one_line, run_in, small, uninterrupted, warm

COUNT = 50
SECONDS = 5.0


def measure(count: int) -> Figure:
    config = small()
    warm(config)
    chance, failures = random.Random(0), []
    stopped = number = 0
    slowest = 0.0
    with tempfile.TemporaryDirectory() as name:
        expected = uninterrupted(config, Path(name) / "whole")
        start = time.monotonic()
        Started(config, Path(name) / "timed").ended()
        whole = time.monotonic() - start
        while stopped < count:
            number += 1
            folder = Path(name) / str(number)
            with checkpoints_each_epoch(number % 2 == 0):
                run = Started(config, folder)
                time.sleep(chance.uniform(0, whole))
                sent = time.monotonic()
                os.kill(run.pid, signal.SIGTERM)
                code, finished = run.ended()
                seconds = time.monotonic() - sent
                if code == 0:
                    continue  # it had ended by itself
                stopped += 1
                slowest = max(slowest, seconds)
                if code != 143 or seconds > SECONDS or not one_line(run.stderr):
                    failures.append(f"it left with {code} after {seconds:.1f} s: {run.stderr.strip()}")
                elif run_in(folder) and (failure := goes_on(config, folder, expected, finished)):
                    failures.append(failure)
    return Figure(
        f"{stopped} SIGTERM at random moments: {len(failures)} runs not 143 within {SECONDS:.0f} s (slowest "
        f"{slowest:.2f} s), with a lost epoch, or other than bit-identical at the end",
        reached=not failures,
        numbers={"signals": stopped, "slowest_seconds": round(slowest, 3), "failures": len(failures)},
        failures=failures,
    )
