"""`cluster`: workers, nodes and drivers of a Ray cluster are killed at random moments; runs end as if none had been."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from faulting.figures import Figure
from faulting.nodes import Nodes, two_nodes
from faulting.runs import Config, differs, outcome, run_in, small

COUNT = 20
EPOCHS = 300  # several seconds for each of the units, of which two train at a time
LONGEST_WAIT = 4.0  # before a kill, while units train
HANGING = 600.0  # seconds without a record are a hang
GONE_WITHIN = 60.0  # seconds that a busy machine may take to notice that a driver is gone


def measure(count: int) -> Figure:
    config = small(epochs=EPOCHS)
    chance, kills = random.Random(0), Counter[str]()
    failures: list[str] = []
    runs = 0
    with tempfile.TemporaryDirectory() as name, two_nodes() as nodes:
        whole = Path(name) / "whole"
        _Driver(config, whole, None).ended()
        expected = outcome(whole)
        while kills.total() < count:
            runs += 1
            if failure := _harmed(config, Path(name) / str(runs), nodes, chance, kills, expected):
                failures.append(f"run {runs}: {failure}")
    by_kind = ", ".join(f"{number} {kind}s" for kind, number in sorted(kills.items()))
    return Figure(
        f"{kills.total()} kill -9 at random moments of {runs} runs on two nodes ({by_kind}): {len(failures)} runs that "
        "hang, leave somebody at work, or end other than bit-identical",
        reached=not failures,
        numbers={"kills": dict(kills), "runs": runs, "failures": len(failures)},
        failures=failures,
    )


def _harmed(
    config: Config, folder: Path, nodes: Nodes, chance: random.Random, kills: Counter[str], expected: Mapping[str, Any]
) -> str | None:
    """What is wrong in the end with a run that is hit again and again, if anything is."""
    driver = _Driver(config, folder, nodes)
    for _ in range(chance.randrange(2, 5)):
        if not driver.trains(nodes):
            break
        time.sleep(chance.uniform(0, LONGEST_WAIT))
        kind = chance.choice(["worker", "node", "driver"])
        if kind == "worker":
            if not (tasks := nodes.tasks()):
                continue
            os.kill(chance.choice(tasks), signal.SIGKILL)
        elif kind == "node":
            nodes.second.kill()
            nodes.restart_second()
        else:
            driver.kill()
            if left := _left(nodes):
                return f"{len(left)} tasks train on without their driver"
            driver = _Driver(config, folder, nodes)
        kills[kind] += 1
    code, errors = driver.ended()
    if code != 0:
        return f"{code}: {errors.strip()}"
    return differs(folder, expected)


class _Driver:
    """The command that begins or resumes the run of a folder, on the cluster or without one."""

    def __init__(self, config: Config, folder: Path, nodes: Nodes | None) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        run, path = run_in(folder), folder / "config.json"
        path.write_text(json.dumps({**config, "report": "off"}), encoding="utf-8")
        what = ["--resume", str(run)] if run else [str(path)]
        where = [] if nodes is None else ["--executor", "ray", "--ray-address", nodes.address, "--retries", "9"]
        command = [sys.executable, "-m", "clsbench", "run", "--json", "-q", "--output", str(folder / "runs")]
        self._errors = folder / "stderr"
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [*command, *what, *where],
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=None if nodes is None else nodes.environment,
            )

    def trains(self, nodes: Nodes) -> bool:
        """Wait until units train; false if the driver ends first."""
        deadline = time.monotonic() + HANGING
        while self._process.poll() is None and time.monotonic() < deadline:
            if nodes.tasks():
                return True
            time.sleep(0.05)
        return False

    def kill(self) -> None:
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def ended(self) -> tuple[int | str, str]:
        """Wait for it: its exit code, or that it hangs, and what it said on stderr."""
        size, since = -1, time.monotonic()
        while (code := self._process.poll()) is None:
            run = run_in(self._folder)
            now = (run / "metrics.jsonl").stat().st_size if run and (run / "metrics.jsonl").exists() else 0
            if now != size:
                size, since = now, time.monotonic()
            elif time.monotonic() - since > HANGING:
                self.kill()
                return "it hangs", ""
            time.sleep(0.1)
        return code, self._errors.read_text("utf-8", "replace")


def _left(nodes: Nodes) -> list[int]:
    """The tasks that train on after a while."""
    deadline = time.monotonic() + GONE_WITHIN
    while (left := nodes.tasks()) and time.monotonic() < deadline:
        time.sleep(0.1)
    return left
