"""clsbench as its users run it, in a separate process; run as a script, this module is that process."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Run:
    """The time and memory of one run of clsbench.

    `training` is the training time by the records' `seconds`, all trials together, and `compiling` what is
    not in it; `wall` the seconds in `clsbench.run`; `processes` how many trained side by side; `memory` the peak in
    bytes, of all of them together (what they share counts in each). `evaluating` is the wall-clock time, per stack and
    epoch, that is not training, where one process trains: measuring and writing down. `driver` is the peak of the
    process that writes alone, and `processor` the seconds of all of them on a processor, imports included.
    """

    training: float
    compiling: float
    wall: float
    evaluating: float
    accuracy: float
    memory: int
    processes: int
    num_trials: int
    driver: int
    processor: float


def run(config: Mapping[str, Any]) -> Run:
    """Run an experiment in a fresh process.

    Raises:
        subprocess.CalledProcessError: clsbench failed; its output is on stderr.
    """
    command = [sys.executable, __file__, json.dumps(config)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True, cwd=ROOT)
    return Run(**json.loads(done.stdout))


def moons(
    *, seeds: int, epochs: int, compile: str = "auto", train: int = 800, hidden: tuple[int, int] = (32, 32)
) -> dict[str, Any]:
    """The experiment of the small tasks: two losses, so many samples to train on, and splits as they are by default."""
    return {
        "name": "bench",
        "dataset": {"name": "moons", "samples": -(-train * 5 // 3)},
        "model": {"name": "mlp", "hidden": list(hidden)},
        "loss": ["mse_softmax", "cross_entropy"],
        "optimizer": {"lr": 0.1, "momentum": 0.9},
        "train": {"epochs": epochs, "batch_size": 32, "seeds": seeds, "compile": compile},
    }


def _measured(config: Mapping[str, Any]) -> dict[str, Any]:
    import clsbench
    from clsbench.execution.events import EpochDone

    stamps: list[tuple[int, float, float]] = []

    def note(plan: object, event: object) -> None:
        if isinstance(event, EpochDone):
            trained = float(event.records[0]["seconds"] or 0) * len(event.records)
            stamps.append((event.epoch, time.perf_counter(), trained))

    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        result = clsbench.run(config, output=folder, watch=note)
        wall = time.perf_counter() - started
        log = (result.directory / "run.log").read_text("utf-8")
        used = [resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    side_by_side = max(map(int, re.findall(r" in (\d+) processes$", log, re.MULTILINE)), default=1)
    last = result.records.where("epoch", config["train"]["epochs"])
    # A stack's first epoch holds the compiling of its steps; one epoch has no gap but its own.
    gaps = [
        (at - before) - (trained - earlier)
        for (_, before, earlier), (epoch, at, trained) in pairwise(stamps)
        if epoch >= min(2, config["train"]["epochs"])
    ]
    driver, *workers = [of.ru_maxrss for of in used]
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "training": sum(last.column("seconds")),
        "compiling": (result.summary["engine"] or {})["compile_seconds"],
        "wall": wall,
        "evaluating": mean(gaps),
        "accuracy": mean(value or 0.0 for value in last.column("test_accuracy")),
        "memory": (driver + (side_by_side * max(workers) if side_by_side > 1 else 0)) * unit,
        "processes": side_by_side,
        "num_trials": len(last),
        "driver": driver * unit,
        "processor": sum(of.ru_utime + of.ru_stime for of in used),
    }


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))  # this tree is what is measured, whatever is installed
    print(json.dumps(_measured(json.loads(sys.argv[1]))))
