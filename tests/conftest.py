"""What tests of every room share."""

from __future__ import annotations

import importlib.util
import math
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from typer.testing import CliRunner

import clsbench.data
import clsbench.losses
import clsbench.metrics
import clsbench.models
import clsbench.training  # noqa: F401 - the rooms register what they offer
from clsbench.cli import app
from clsbench.registry import catalogue

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ROOT = Path(__file__).resolve().parent.parent

# Under nohup, and behind `&` in a script, these are ignored, and would be by the runs under test.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

settings.register_profile("clsbench", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("clsbench")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--require=compiler,fork`: what the machine has to have, as CI's does, or the tests that need it fail."""
    parser.addoption("--require", default="", metavar="NEED,NEED", help=f"fail, not skip, without: {', '.join(NEEDS)}")


def pytest_configure(config: pytest.Config) -> None:
    """A misspelled need is refused: it would require nothing."""
    if unknown := _required(config) - NEEDS.keys():
        raise pytest.UsageError(f"--require: unknown: {', '.join(sorted(unknown))}; there are {', '.join(NEEDS)}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with a slow test come first, so that of several processes none is left with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose marker names a need that the machine does not meet, or fail it where that is required."""
    for need, (reason, is_met) in NEEDS.items():
        if item.get_closest_marker(need) and not is_met():
            if need in _required(item.config):
                pytest.fail(f"{reason}, which --require says is there", pytrace=False)
            pytest.skip(reason)


def _required(config: pytest.Config) -> set[str]:
    return set(filter(None, config.getoption("require").split(",")))


@cache
def _compiles() -> bool:
    """Whether a C++ compiler takes a file that includes Python's headers: tried, not asked of clsbench.

    PyTorch must be a version that traces gradients.
    """
    torch = importlib.util.find_spec("torch")
    assert torch is not None
    assert torch.origin is not None
    if "trace_autograd_ops" not in Path(torch.origin).with_name("_dynamo").joinpath("config.py").read_text("utf-8"):
        return False
    compiler = next(filter(None, map(shutil.which, ("c++", "g++", "clang++"))), None)
    if compiler is None:
        return False
    command = [compiler, "-fsyntax-only", "-I", sysconfig.get_path("include"), "-x", "c++", "-"]
    return subprocess.run(command, input=b"#include <Python.h>", capture_output=True, check=False).returncode == 0


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


# By marker: why a test that has it is skipped, and whether it need not be. None asks the functions under test.
NEEDS: dict[str, tuple[str, Callable[[], bool]]] = {
    "compiler": ("needs a C++ compiler, Python's headers, and a PyTorch that traces gradients", _compiles),
    "fork": ("needs Linux, and no GPU that PyTorch drives", lambda: sys.platform == "linux" and not _has_gpu()),
    "browser": ("needs Chromium", lambda: any(map(shutil.which, CHROMIUM))),
    "cuda": ("needs an NVIDIA GPU", _has_gpu),
    "ray": ("needs the package ray, of the extra clsbench[ray]", lambda: importlib.util.find_spec("ray") is not None),
}


@pytest.fixture(scope="session", autouse=True)
def graphs_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests compile is kept for this session, whichever worker runs them, and is not in the user's cache."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "graphs"
    folder.mkdir(exist_ok=True, mode=0o700)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(folder))
        yield


@pytest.fixture(autouse=True)
def same_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers, by a plugin say, is gone after it."""
    for name in ("_specs", "_canonical"):
        monkeypatch.setattr(catalogue, name, {kind: dict(known) for kind, known in getattr(catalogue, name).items()})
    monkeypatch.setattr(catalogue, "plugins", dict(catalogue.plugins))


@pytest.fixture
def same_threads() -> Iterator[None]:
    """The number of threads that a run in this process sets is put back."""
    import torch

    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs keep all that is drawn from, and draw neither figures nor a page: that takes longer than small trainings."""
    monkeypatch.setattr("clsbench.shown.figures", lambda *_: {})
    monkeypatch.setattr("clsbench.shown.page", lambda *_: b"")


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after every epoch."""
    from clsbench.execution import units

    monkeypatch.setattr(units, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    monkeypatch.setattr(units, "SPARING", 0.0)


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
    return lambda *arguments: CliRunner().invoke(app, [str(each) for each in arguments], prog_name="clsbench")


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
