"""`resume`: a run with every loss is ended after each of its epochs in turn, and goes on to the same end."""

from __future__ import annotations

import functools
import os
import signal
import tempfile
from pathlib import Path

from clsbench.runs.writer import RunWriter
from faulting.figures import Figure
from faulting.runs import Started, checkpoints_each_epoch, every_loss, goes_on, recorded, run_in, uninterrupted, warm

COUNT = 3  # epochs of each trial


def measure(count: int) -> Figure:
    config = every_loss(count)
    warm(config)
    failures = []
    with tempfile.TemporaryDirectory() as name:
        expected = uninterrupted(config, Path(name) / "whole")
        losses = len(expected["summary"]["arms"])
        ends = range(1, losses * (count + 1) + 1)  # each stack has an epoch 0 too
        for end in ends:
            folder = Path(name) / str(end)
            with checkpoints_each_epoch():
                code, finished = Started(config, folder, before=functools.partial(ends_after, end), drawn=False).ended()
                if code != -signal.SIGKILL or finished - recorded(run_in(folder)):
                    failures.append(f"after epoch {end} of all stacks: the run was not ended there, or lost epochs")
                elif failure := goes_on(config, folder, expected, finished):
                    failures.append(f"after epoch {end} of all stacks: {failure}")
    return Figure(
        f"{len(ends)} runs with {losses} losses, each ended after another epoch: {len(failures)} that do not go on "
        "to the same weights and records, bit for bit",
        reached=not failures,
        numbers={"runs": len(ends), "losses": losses, "failures": len(failures)},
        failures=failures,
    )


def ends_after(epochs: int) -> None:
    """Plan that this process ends once it has kept so many epochs of stacks, with their checkpoints."""
    keep, kept = RunWriter.keep, 0

    def keep_and_end(writer: RunWriter, event: object) -> None:
        nonlocal kept
        keep(writer, event)  # type: ignore[arg-type]
        kept += type(event).__name__ == "EpochDone"
        if kept == epochs:
            os.kill(os.getpid(), signal.SIGKILL)

    setattr(RunWriter, RunWriter.keep.__name__, keep_and_end)
