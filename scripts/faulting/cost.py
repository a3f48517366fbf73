"""`cost`: the cost of checkpoints and fsync in a run of moons, compared with the same run without them."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from contextlib import suppress
from typing import Any

from clsbench import experiment
from clsbench.config.plan import Plan
from clsbench.execution.events import Event
from clsbench.runs.checkpoints import Checkpoints
from clsbench.runs.writer import RunWriter
from faulting.children import replaced
from faulting.configs import CONFIGS
from faulting.figures import Figure

COUNT = 15  # runs of each kind, in turn
LIMIT = 0.05


def measure(count: int) -> Figure:
    config = experiment.read(CONFIGS / "moons.yaml")
    _seconds(config)  # the first run imports modules and fills caches
    pairs = []
    for _ in range(count):
        with_it = _seconds(config)
        with replaced(Checkpoints, "save", lambda *_: None), replaced(os, "fsync", lambda handle: None):
            pairs.append((with_it, _seconds(config)))
    durable, plain = (statistics.median(each) for each in zip(*pairs, strict=True))
    share = statistics.median(one / other - 1 for one, other in pairs)
    return Figure(
        f"checkpoints and fsync cost {share:.1%} of the training time of configs/moons.yaml "
        f"({durable:.2f} s with, {plain:.2f} s without; medians of {count} runs each, in turn)",
        reached=share < LIMIT,
        numbers={"share": round(share, 4), "seconds_with": round(durable, 3), "seconds_without": round(plain, 3)},
    )


def _seconds(config: Any) -> float:
    """From the first stack's start to the last checkpoint."""
    times = []

    def watch(plan: Plan, event: Event) -> None:
        times.append(time.perf_counter())

    close = RunWriter.close

    def close_noted(writer: RunWriter) -> None:
        close(writer)
        times.append(time.perf_counter())
        raise _TrainedError

    with (
        tempfile.TemporaryDirectory() as folder,
        replaced(RunWriter, "close", close_noted),
        suppress(_TrainedError),
    ):
        experiment.run(config, output=folder, watch=watch)
    return times[-1] - times[0]


class _TrainedError(Exception):
    """Ends a run after training: the rest is not measured, and needs weights that one of the two runs lacks."""
