"""What tests of every room share."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from typer.testing import CliRunner

import clsbench.data
import clsbench.losses
import clsbench.models
import clsbench.training  # noqa: F401 - the rooms register what they offer
from clsbench.cli import app
from clsbench.registry import catalogue

ROOT = Path(__file__).resolve().parent.parent

# Under nohup, and behind `&` in a script, these are ignored, and would be by the runs under test.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

settings.register_profile("clsbench", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("clsbench")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("cuda"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("needs an NVIDIA GPU")


@pytest.fixture(autouse=True)
def same_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers, by a plugin say, is gone after it."""
    for name in ("_specs", "_canonical"):
        monkeypatch.setattr(catalogue, name, {kind: dict(known) for kind, known in getattr(catalogue, name).items()})
    monkeypatch.setattr(catalogue, "plugins", list(catalogue.plugins))


@pytest.fixture(scope="session")
def mnist_dir() -> Path:
    """The `data_dir` of an unpacked MNIST beside the clone, where there is one."""
    folder = ROOT.parent / "shared" / "data"
    if not (folder / "MNIST" / "raw").is_dir():
        pytest.skip("no shared/data/MNIST/raw beside the clone")
    return folder


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """`invoke("check", "a.yaml")`: the verb in this process; `exit_code`, `stdout` and `stderr` come back."""
    monkeypatch.setenv("COLUMNS", "80")
    # A run that takes long says so on stderr, and on a busy machine every run may.
    monkeypatch.setattr("clsbench.report.progress.SECONDS_BETWEEN_LINES", math.inf)
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def fails(invoke: Callable[..., Any]) -> Callable[..., str]:
    """`fails(2, "check", "a.yaml")`: the one line that the failure is told in, without `error: `."""

    def check(code: int, *arguments: object) -> str:
        answer = invoke(*arguments)
        assert (code, "") == (answer.exit_code, answer.stdout), answer.output
        (line,) = answer.stderr.removesuffix("\n").split("\n")
        assert line.startswith("error: ")
        assert "Traceback" not in line
        assert line.isprintable()
        return str(line.removeprefix("error: "))

    return check


@pytest.fixture
def run_cli(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`run_cli("check", "a.yaml", cwd=..., env={...})`: the command in a process of its own, off a terminal.

    It runs in `tmp_path` unless told otherwise; `env` adds to the environment.
    """

    def run(
        *arguments: str | Path, cwd: Path = tmp_path, env: dict[str, str] | None = None, timeout: float = 600
    ) -> subprocess.CompletedProcess[str]:
        # This tree is what is tested, whatever is installed.
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        return subprocess.run(
            [sys.executable, "-m", "clsbench", *arguments],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": path, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=timeout,
            check=False,
        )

    return run
