"""Users' code tried in a fork of this process: what it does there ends there."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import clsbench
from clsbench import forks
from clsbench.errors import TrialError
from clsbench.execution import execute
from clsbench.registry import load_plugin

KILLER = """
import clsbench, os, signal
@clsbench.loss("killer")
def killer(logits, targets):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 1


def left() -> int:
    os._exit(0)


def raised() -> int:
    raise KeyboardInterrupt


def stuck() -> int:
    while True:
        signal.pause()


@pytest.mark.fork
def test_value_is_computed_beside(tmp_path: Path) -> None:
    """It is begun before anybody asks for it, and in another process."""
    os.mkfifo(tmp_path / "begun")

    def answer() -> int:
        (tmp_path / "begun").write_text("yes")  # waits for a reader
        return os.getpid()

    with forks.beside(answer) as value:
        assert "yes" == (tmp_path / "begun").read_text()
        assert os.getpid() != value()


@pytest.mark.fork
def test_fork_ends_with_the_block_that_it_is_beside(tmp_path: Path) -> None:
    """Where nobody waits for its value, too: it works on no longer, and no process remains."""
    os.mkfifo(tmp_path / "child")

    def answer() -> None:
        (tmp_path / "child").write_text(str(os.getpid()))  # waits for a reader
        stuck()

    with forks.beside(answer):
        child = int((tmp_path / "child").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_value_of_a_fork_that_died_is_computed_here() -> None:
    """So that its error, too, is raised here."""
    here = os.getpid()
    with forks.beside(lambda: 7 if os.getpid() == here else killed()) as value:
        assert 7 == value()
    with forks.beside(lambda: 1 / 0) as value, pytest.raises(ZeroDivisionError):
        value()


@pytest.mark.fork
def test_value_comes_back_and_nothing_else(capfd: pytest.CaptureFixture[str]) -> None:
    """What the function returns arrives; what it changes does not last; what it prints is shown once."""
    changed: list[int] = []

    def answer() -> list[int]:
        changed.append(1)
        sys.stdout.write("inside\n")
        return [3, 4]

    sys.stdout.write("before\n")
    assert [3, 4] == forks.apart(answer, otherwise=[])
    assert [] == changed
    assert "before\ninside\n" == capfd.readouterr().out


@pytest.mark.fork
@pytest.mark.parametrize("function", [killed, left, raised, stuck])
def test_code_that_ends_its_process_ends_that_alone(
    function: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a value the other one is taken, and no process is left behind."""
    children: list[int] = []
    fork = os.fork
    assert forks.can_fork()  # tested in a fork of its own, once
    monkeypatch.setattr(os, "fork", lambda: children.append(fork()) or children[-1])
    monkeypatch.setattr(forks, "TRIAL_SECONDS", 0.5)
    assert -1 == forks.apart(function, otherwise=-1)
    (child,) = children
    with pytest.raises(ChildProcessError):
        os.waitpid(child, os.WNOHANG)


def test_called_here_without_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this process cannot be forked the function is called in it."""
    monkeypatch.setattr(forks, "can_fork", lambda: False)
    assert os.getpid() == forks.apart(os.getpid, otherwise=0)


@pytest.mark.fork
def test_loss_that_kills_its_process_fails_its_trials_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others finish and are measured; the summary names the signal."""
    (tmp_path / "killer.py").write_text(KILLER)
    load_plugin(tmp_path / "killer.py")
    monkeypatch.setattr(execute, "cores", lambda: 2)
    config = {
        "dataset": {"name": "moons", "samples": 60},
        "model": "linear",
        "loss": ["cross_entropy", "killer"],
        "train": {"epochs": 1, "seeds": 1, "device": "cpu"},
        "report": "off",
    }
    with pytest.raises(TrialError) as failed:
        clsbench.run(config, output=tmp_path, jobs=2)
    summary = clsbench.load(failed.value.directory).summary
    arms = summary["arms"]
    assert [{}, {"0": "its process was killed by SIGKILL"}] == [arm["failures"] for arm in arms]
    assert 1 == arms[0]["metrics"]["test_accuracy"]["n"]
