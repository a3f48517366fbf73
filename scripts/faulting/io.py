"""`io`: every call of a run that changes the disk fails in turn; none fails silently."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path
from typing import Any

from faulting.disk import FailingDisk
from faulting.figures import Figure
from faulting.runs import Config, Started, checkpoints_each_epoch, goes_on, one_line, run_in, small, uninterrupted, warm

COUNT = 10_000  # all of them
KINDS = (("ENOSPC", errno.ENOSPC, True), ("EIO", errno.EIO, False))  # a full disk stays full; another error passes


def measure(count: int) -> Figure:
    config = small(losses=2, epochs=2)
    warm(config)
    failures = []
    with tempfile.TemporaryDirectory() as name, checkpoints_each_epoch():
        expected = uninterrupted(config, Path(name) / "whole")
        calls = _calls(config, Path(name) / "counted")
        step = max(1, calls * len(KINDS) // count)
        failed = [(kind, call) for kind in KINDS for call in range(1, calls + 1)][::step]
        for (word, error, stays), call in failed:
            folder = Path(name) / f"{word}{call}"
            if failure := _failure(config, folder, expected, error=error, fails_at=call, stays=stays):
                failures.append(f"{word} at call {call} of {calls}: {failure}")
    return Figure(
        f"{len(failed)} runs, ENOSPC or EIO at each of {calls} calls (open, write, fsync, rename, mkdir): "
        f"{len(failures)} that do not leave with 6 in one line, lose an epoch, or end otherwise when they go on",
        reached=not failures,
        numbers={"calls": calls, "runs": len(failed), "failures": len(failures)},
        failures=failures,
    )


def _calls(config: Config, folder: Path) -> int:
    count = folder / "count"
    folder.mkdir()
    disk = FailingDisk(folder / "runs", 0, fails_at=None, stays=False, count=count)
    assert Started(config, folder, before=disk.install).ended()[0] == 0
    return count.stat().st_size


def _failure(config: Config, folder: Path, expected: Any, **how: Any) -> str | None:
    folder.mkdir()
    disk = FailingDisk(folder / "runs", how["error"], fails_at=how["fails_at"], stays=how["stays"], count=folder / "n")
    run = Started(config, folder, before=disk.install)
    code, finished = run.ended()
    if code != 6 or not one_line(run.stderr):
        return f"it left with {code}: {run.stderr.strip()[-300:]}"
    if how["error"] == errno.ENOSPC and "disk full" not in run.stderr:
        return f"a full disk is reported as {run.stderr.strip()}"
    if run_in(folder) is None:
        return f"what cannot be begun leaves {leftover}" if (leftover := list(folder.glob("runs/.*"))) else None
    return goes_on(config, folder, expected, finished)
