"""The whole process, imports, evaluation and plots and all, against a script that trains one after the other."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmark import own
from benchmark.figures import Options, Outcome, Result, race
from benchmark.small import TOLERANCE

SCRIPT, CLSBENCH = "script with the plain loop", "clsbench run"
EPOCHS = 50


def measure(options: Options) -> Result:
    """Two losses on many seeds, and on one."""
    many, epochs = (2, 3) if options.quick else (100, EPOCHS)
    tolerance = 0.15 if options.quick else TOLERANCE
    races = {}
    for seeds in (many, 1):
        turns = {SCRIPT: partial(_script, seeds, epochs), CLSBENCH: partial(_clsbench, seeds, epochs)}
        title = f"moons, 2 losses x {seeds} seeds x {epochs} epochs, whole process"
        races[title] = race(turns, options.repeats, unit="s", tolerance=tolerance)
    limits = [1 / 6, 1.5]
    targets = [run.target(CLSBENCH, SCRIPT, limit) for run, limit in zip(races.values(), limits, strict=True)]
    return Result(races, [target for pair in targets for target in pair])


def _script(seeds: int, epochs: int) -> Outcome:
    script = Path(__file__).with_name("plain_script.py")
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        command = [sys.executable, str(script), str(seeds), str(epochs), folder]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        return Outcome(time.perf_counter() - started, float(done.stdout))


def _clsbench(seeds: int, epochs: int) -> Outcome:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "bench.json"  # JSON is YAML
        config.write_text(json.dumps(own.moons(seeds=seeds, epochs=epochs)))
        started = time.perf_counter()
        command = [sys.executable, "-m", "clsbench", "run", str(config), "--output", folder, "--json", "-q"]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=own.ROOT)
        seconds = time.perf_counter() - started
    arms = json.loads(done.stdout)["arms"]
    return Outcome(seconds, sum(arm["metrics"]["test_accuracy"]["mean"] for arm in arms) / len(arms))
