"""`scripts/faults.py`, each part a few times: the figures that it reaches in full are in docs/robustness.md."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from faulting import download

ROOT = Path(__file__).resolve().parent.parent


def faults(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "scripts" / "faults.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


def test_one_command_prints_figures_and_keeps_them(tmp_path: Path) -> None:
    """A part's figure is a line; with `--json` its numbers are kept; 0 says that it is reached."""
    answer = faults("fuzz", "--count", 20, "--json", tmp_path / "f.json")
    assert (0, "") == (answer.returncode, answer.stderr)
    assert answer.stdout.startswith("fuzz       ok     20 fuzzed configs: ")
    assert 1 == answer.stdout.count("\n")
    kept = json.loads((tmp_path / "f.json").read_text("utf-8"))["fuzz"]
    assert (True, 20, 0) == (kept["reached"], kept["configs"], kept["failures"])


def test_unknown_part_is_refused() -> None:
    """A part that there is not is a mistake of the command line."""
    assert 2 == faults("fuz").returncode


def test_many_processes_download_once() -> None:
    """Eight processes on one empty data directory, twice: one download each time, and all read it whole."""
    figure = download.measure(2)
    assert (True, ()) == (figure.reached, tuple(figure.failures))


def test_second_download_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the lock every process downloads, and the figure says so."""

    class NoLock:
        def __init__(self, path: Path) -> None:
            pass

        def __enter__(self) -> None:
            pass

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr("filelock.FileLock", NoLock)
    figure = download.measure(1)
    assert not figure.reached
    assert "requests where one process alone makes" in figure.failures[-1]


# In a process of its own: one that has used several threads of torch cannot be forked.
SAMPLES = """
import json, sys
from clsbench.errors import RunError
from clsbench.runs.checkpoints import Checkpoints
from clsbench.runs.records import RecordFile
from faulting import checkpoint, crash, io, kill, resume, runs, sigterm
from faulting.children import replaced
from faulting.figures import Figure
from faulting.recording import RecordingDisk

config = runs.small(losses=2, epochs=2)
for part in (kill, io, sigterm):
    part.small = lambda **how: config
resume.every_loss = lambda epochs: runs.small(losses=1, epochs=epochs)
checkpoint.RUNS = 1
figures = {
    "kill": kill.measure(3),
    "resume": resume.measure(1),
    "checkpoint": checkpoint.measure(70),
    "io": io.measure(4),
    "sigterm": sigterm.measure(2),
    "crash": crash.measure(30),
}

def noticing(measure):
    "The figure, or that reading the run back refused it."
    try:
        return measure()
    except RunError as error:
        return Figure("refused at once", False, {}, [str(error)])

with replaced(Checkpoints, "_verified", lambda self, entry: (self.folder / entry.file).read_bytes()):
    figures["unverified"] = checkpoint.measure(7)
keep = RecordFile.keep
with replaced(RecordFile, "keep", lambda self, records: keep(self, [r for r in records if r["epoch"]])):
    figures["forgetful"] = noticing(lambda: resume.measure(1))
noted = RecordingDisk.after
with replaced(RecordingDisk, "after", lambda self, call: call.kind == "fsync" or noted(self, call)):
    figures["unforced"] = crash.measure(8)
json.dump({name: [figure.reached, list(figure.failures)] for name, figure in figures.items()}, sys.stdout)
"""


@pytest.fixture(scope="module")
def samples() -> dict[str, tuple[bool, list[str]]]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "scripts")])}
    command = [sys.executable, "-c", SAMPLES]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert 0 == answer.returncode, answer.stderr
    return json.loads(answer.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["kill", "resume", "checkpoint", "io", "sigterm", "crash"])
def test_sample_of_each_harm_does_none(part: str, samples: dict[str, tuple[bool, list[str]]]) -> None:
    """A run that is hit loses no finished epoch, and goes on to the same end."""
    reached, failures = samples[part]
    assert (True, []) == (reached, failures)


@pytest.mark.slow
@pytest.mark.parametrize("sabotage", ["unverified", "forgetful", "unforced"])
def test_harm_that_is_done_is_noticed(sabotage: str, samples: dict[str, tuple[bool, list[str]]]) -> None:
    """Where checkpoints are not verified, records not written, or no fsync forces a thing, the figures are missed."""
    reached, failures = samples[sabotage]
    assert not reached
    assert failures


@pytest.mark.slow
def test_cost_is_a_share_of_training(tmp_path: Path) -> None:
    """With and without what keeps a run, both are timed to the end of training; the share depends on the machine."""
    answer = faults("cost", "--count", 1, "--json", tmp_path / "cost.json")
    assert "" == answer.stderr
    found = json.loads((tmp_path / "cost.json").read_text())["cost"]
    assert pytest.approx(found["seconds_with"] / found["seconds_without"] - 1, abs=0.02) == found["share"]
