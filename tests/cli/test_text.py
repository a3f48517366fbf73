"""Text that is not UTF-8, codes that act on a terminal, and what of the surroundings is recorded."""

from __future__ import annotations

import json
import logging
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import clsbench
from clsbench.runs.environment import environment
from clsbench.runs.files import as_json, as_json_line
from clsbench.runs.log import RunLog
from clsbench.runs.signals import kept_in
from faulting.children import forked

Invoke = Callable[..., Any]

BYTES = b"\xff".decode("utf-8", "surrogateescape")
RAISES = """
import clsbench

class Wrong(ValueError):
    pass

@clsbench.loss("mine")
def mine(logits, targets):
    raise Wrong("no file " + b"\\xff".decode("utf-8", "surrogateescape"))
"""


def test_trial_whose_exception_is_not_utf8_fails_alone(here: Path, invoke: Invoke) -> None:
    """The run is finished with 5; summary, log and JUnit tell the exception escaped; a resume tries it again."""
    (here / "mine.py").write_text(RAISES)
    arguments = ("--plugin", "mine.py", "--junit", "junit.xml")
    answer = invoke("run", "tiny.yaml", "loss=[cross_entropy,mine]", *arguments)
    assert 5 == answer.exit_code, answer.output
    assert r"Wrong: no file \udcff" in answer.stderr
    (run,) = (here / "runs" / "moons").iterdir()
    assert {"0": r"Wrong: no file \udcff (mine.py:9)"} == clsbench.load(run).arms["mine"]["failures"]
    for written in (run / "run.log", here / "junit.xml"):
        assert r"Wrong: no file \udcff" in written.read_text("utf-8")
    assert 5 == invoke("run", "--resume", run).exit_code


@pytest.mark.skipif(os.name != "posix", reason="paths are text there")
def test_path_that_is_not_utf8(here: Path, invoke: Invoke) -> None:
    """An output folder, a JUnit file and a table may be named by any bytes; what is shown of them is escaped."""
    folder = here / f"out{BYTES}"
    answer = invoke("run", "tiny.yaml", "--output", folder, "--junit", here / f"{BYTES}.xml")
    assert (0, "") == (answer.exit_code, answer.stderr), answer.output
    assert r"out\udcff" in answer.stdout
    (run,) = (folder / "moons").iterdir()
    assert r"--output" in json.loads((run / "environment.json").read_text("utf-8"))["command_line"]
    (run / "summary.json").unlink()
    assert 0 == invoke("run", "--resume", run).exit_code
    answer = invoke("report", run, "--csv", here / f"{BYTES}.csv", "--png", here / f"png{BYTES}")
    assert 0 == answer.exit_code, answer.output
    assert r"out\udcff" in (here / f"{BYTES}.csv").read_text("utf-8")


def test_json_and_log_hold_valid_text(tmp_path: Path) -> None:
    """An unpaired surrogate is written escaped, in a value and in a key; all other text is written as it is."""
    for written in (as_json({f"é{BYTES}": [BYTES]}), as_json_line({f"é{BYTES}": [BYTES]})):
        assert {r"é\udcff": [r"\udcff"]} == json.loads(written)
    handler = RunLog(tmp_path / "run.log")
    handler.emit(logging.makeLogRecord({"msg": f"é{BYTES}"}))
    handler.close()
    assert (tmp_path / "run.log").read_text("utf-8").endswith("é\\udcff\n")


@pytest.mark.skipif(os.name != "posix", reason="no signals of this kind")
def test_path_forges_no_second_line_when_stopped(tmp_path: Path) -> None:
    """Escape codes and line breaks in a run's path are shown escaped when a signal ends the process."""
    told = tmp_path / "told"

    def stopped() -> None:
        from clsbench.runs import signals

        os.dup2(os.open(told, os.O_CREAT | os.O_WRONLY), 2)
        signals.obey_signals()
        with kept_in(Path("o\x1b[31m\nerror: all is well")):
            os.kill(os.getpid(), 15)

    _, status = os.waitpid(forked(stopped), 0)
    assert 143 == os.waitstatus_to_exitcode(status)
    line = told.read_text()
    assert line.endswith(r"clsbench run --resume o\x1b[31m\nerror: all is well" + "\n")
    assert 1 == line.count("\n")


def test_command_line_is_clsbenchs_own(here: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a host program was started with is not recorded: its arguments may be secrets."""
    monkeypatch.setattr("sys.argv", ["host.py", "--api-key", "SECRET123"])
    assert 0 == invoke("run", "tiny.yaml", "train.seeds=1", "--quiet").exit_code
    (run,) = (here / "runs" / "moons").iterdir()
    assert ["run", "tiny.yaml", "train.seeds=1", "--quiet"] == _environment(run)["command_line"]
    result = clsbench.run("tiny.yaml", output="other")
    assert _environment(result.directory)["command_line"] is None


def test_git_revision_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository without a commit has no revision; with one it has, and no program of its configuration is run."""
    import torch

    def revision() -> Any:
        return environment(torch.device("cpu"), [1], {}, None, {})["git_revision"]

    def git(*arguments: str) -> str:
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()

    monkeypatch.chdir(tmp_path)
    git("init", "-q")
    assert revision() is None
    git("commit", "-q", "--allow-empty", "-m", "one")
    for key in ("core.fsmonitor", "core.pager", "alias.rev-parse", "core.sshCommand"):
        git("config", key, f"!touch {tmp_path / 'ran'}; false")
    assert git("rev-parse", "HEAD") == revision()
    assert not (tmp_path / "ran").exists()


def _environment(run: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((run / "environment.json").read_text("utf-8"))
    return read
