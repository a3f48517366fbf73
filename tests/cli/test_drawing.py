"""When a run draws: after its answer, and again where a drawing failed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import clsbench

Invoke = Callable[..., Any]
DRAWN = {"curves.png", "curves.svg", "reliability.png", "reliability.svg", "report.html"}


def seen(run: Path) -> dict[str, int]:
    """When each file that is to be looked at was written."""
    return {path.name: path.stat().st_mtime_ns for path in run.iterdir() if path.name in DRAWN}


@pytest.mark.parametrize("what", ["shown.figures", "shown.page", "report.compose.figure_documents"])
def test_a_failed_drawing_costs_no_answer(
    what: str, here: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is printed and the run complete, 1 tells of the bug; resuming draws, once."""
    with monkeypatch.context() as patch:
        patch.setattr(f"clsbench.{what}", lambda *_: 1 / 0)
        answer = invoke("run", "tiny.yaml", "report={figures: true}")
    (run,) = (here / "runs" / "moons").iterdir()
    assert (1, True) == (answer.exit_code, "test accuracy" in answer.stdout)
    assert "ZeroDivisionError" in answer.stderr
    assert not [line for line in answer.stdout.splitlines() if "summary.json" in line]
    assert "finished" == clsbench.load(run).summary["status"]
    again = invoke("run", "--resume", run)
    assert (0, DRAWN) == (again.exit_code, seen(run).keys())
    assert "summary.json, curves.png, report.html" in again.stdout.splitlines()[-1]
    before = seen(run)
    assert (0, before) == (invoke("run", "--resume", run).exit_code, seen(run))


def test_a_failed_drawing_costs_no_json(here: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the summary that was kept, of a run whose figures are still to be drawn."""
    monkeypatch.setattr("clsbench.shown.figures", lambda *_: 1 / 0)
    answer = invoke("run", "tiny.yaml", "report={figures: true}", "--json")
    (run,) = (here / "runs" / "moons").iterdir()
    assert (1, clsbench.load(run).summary) == (answer.exit_code, json.loads(answer.stdout))


def test_a_run_that_is_stopped_before_its_figures_says_how_to_go_on(here: Path) -> None:
    """Also while its answer is shown."""
    code = """
import os, signal, sys
from clsbench.cli import running
running.show_answer = lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM)
sys.argv = ["clsbench", "run", "tiny.yaml"]
from clsbench.__main__ import main
main()
"""
    stopped = subprocess.run([sys.executable, "-c", code], cwd=here, capture_output=True, text=True)
    (run,) = (here / "runs" / "moons").iterdir()
    assert 143 == stopped.returncode
    assert f"resume it with clsbench run --resume {run.relative_to(here)}" in stopped.stderr


def test_files_of_a_run_that_draws_nothing(here: Path, invoke: Invoke) -> None:
    """With `report: off` only the summary is named."""
    answer = invoke("run", "tiny.yaml", "report=off")
    (run,) = (here / "runs" / "moons").iterdir()
    assert (0, {}) == (answer.exit_code, seen(run))
    assert "summary.json" == answer.stdout.split()[-1]
