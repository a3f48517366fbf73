"""`scripts/faults.py`, each part a few times: the figures that it reaches in full are in the README."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from faulting import download

ROOT = Path(__file__).resolve().parent.parent


def faults(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "scripts" / "faults.py", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


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
    """Row 57: eight processes on one empty data directory, twice: one download each time, and all read it whole."""
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
