"""The time until `--help` answers and until training starts."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmark.figures import Options, Outcome, Result, Target, race
from benchmark.own import ROOT

HELP, IMPORTS, FIRST_STEP = "clsbench --help", "import torch, sklearn.datasets", "clsbench run, to the first step"


def measure(options: Options) -> Result:
    """Whole processes, from their start; the first step follows the records of epoch 0."""
    turns = {HELP: _help, IMPORTS: _imports, FIRST_STEP: _first_step}
    for turn in turns.values():
        turn()  # files come into the system's cache, and bytecode is written
    run = race(turns, options.repeats, unit="s")
    bound = Target(f"{HELP}, in seconds", run.spread(HELP), 0.3)
    return Result({"start-up": run}, [bound, *run.target(FIRST_STEP, IMPORTS, 1.5)])


def _help() -> Outcome:
    return _timed("-m", "clsbench", "--help")


def _imports() -> Outcome:
    return _timed("-c", "import torch, sklearn.datasets")


def _timed(*arguments: str) -> Outcome:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    return Outcome(time.perf_counter() - started)


def _first_step() -> Outcome:
    config = str(ROOT / "configs" / "moons.yaml")
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        command = [sys.executable, "-m", "clsbench", "run", config, "-q", "--output", folder]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            while not _has_records(Path(folder)):
                if process.poll():
                    raise subprocess.CalledProcessError(process.returncode, command)
                time.sleep(0.002)
            seconds = time.perf_counter() - started
            process.communicate()
    return Outcome(seconds)


def _has_records(folder: Path) -> bool:
    try:
        return any(file.stat().st_size for file in folder.glob("*/*/metrics.jsonl"))
    except FileNotFoundError:  # a folder was renamed meanwhile
        return False
