"""The command line driven in this process, and what every failure must look like."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from clsbench.cli import app

Invoke = Callable[..., Any]

# As little as a run can be: 36 samples to train on, one epoch of one seed.
TINY = "{dataset: {name: moons, samples: 60}, model: linear, train: {epochs: 1, seeds: 1, device: cpu}}\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory with a config `tiny.yaml`."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.yaml").write_text(TINY)
    return tmp_path


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """`invoke("check", "a.yaml")`: the verb in this process; `exit_code`, `stdout` and `stderr` come back."""
    monkeypatch.setenv("COLUMNS", "80")
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def fails(invoke: Invoke) -> Callable[..., str]:
    """`fails(2, "check", "a.yaml")`: the one line that the failure is told in, without `error: `."""

    def check(code: int, *arguments: object) -> str:
        answer = invoke(*arguments)
        assert (code, "") == (answer.exit_code, answer.stdout), answer.output
        return told(answer.stderr)

    return check


def told(stderr: str) -> str:
    """The one line of a failure; no trace, nothing that acts on a terminal."""
    (line,) = stderr.removesuffix("\n").split("\n")
    assert line.startswith("error: ")
    assert "Traceback" not in line
    assert line.isprintable()
    return line.removeprefix("error: ")
