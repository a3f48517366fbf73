"""Users' code tried in a fork of this process: what it does there ends there."""

from __future__ import annotations

import os
import signal
import subprocess
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
def test_fork_is_ready_before_it_is_asked(tmp_path: Path) -> None:
    """What it gets ready is done beside this block, in another process, which then answers with it."""
    os.mkfifo(tmp_path / "begun")
    found: list[int] = []

    def ready() -> None:
        found.append(os.getpid())
        (tmp_path / "begun").write_text("yes")  # waits for a reader

    def answer(number: int) -> list[int]:
        return [*found, os.getpid(), number]

    with forks.beside(answer, ready) as ask:
        assert "yes" == (tmp_path / "begun").read_text()
        made_ready, answered, number = ask(3)()
    assert (made_ready, True, 3) == (answered, answered != os.getpid(), number)


@pytest.mark.fork
@pytest.mark.parametrize("asked", [True, False])
def test_fork_ends_with_the_block_that_it_is_beside(asked: bool, tmp_path: Path) -> None:
    """Where nobody waits for its value, and where nobody asked for one: no process remains."""
    os.mkfifo(tmp_path / "child")

    def begin(told: None = None) -> None:
        (tmp_path / "child").write_text(str(os.getpid()))  # waits for a reader
        stuck()

    with forks.beside(begin, (lambda: None) if asked else begin) as ask:
        if asked:
            ask(None)
        child = int((tmp_path / "child").read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


@pytest.mark.parametrize("ready", [lambda: None, killed, lambda: 1 / 0])
def test_value_of_a_fork_that_died_is_computed_here(ready: Callable[[], object]) -> None:
    """So that its error, too, is raised here; getting ready may have been its end."""
    here = os.getpid()
    with forks.beside(lambda number: number if os.getpid() == here else killed(), ready) as ask:
        assert 7 == ask(7)()
    with forks.beside(lambda number: 1 / number, ready) as ask, pytest.raises(ZeroDivisionError):
        ask(0)()


@pytest.mark.fork
def test_fork_that_is_gone_is_not_killed_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where SIGCHLD is ignored, another process may have that number by then."""
    assert forks.can_fork()  # which is found out once, and needs SIGCHLD
    before, kill, numbers = signal.signal(signal.SIGCHLD, signal.SIG_IGN), os.kill, list[int]()
    try:
        with forks.beside(lambda told: told, killed):
            with pytest.raises(ChildProcessError):
                os.waitpid(-1, 0)  # it has died
            monkeypatch.setattr(os, "kill", lambda number, signum: numbers.append(number))
    finally:
        signal.signal(signal.SIGCHLD, before)
        monkeypatch.setattr(os, "kill", kill)
    assert [] == numbers


@pytest.mark.fork
def test_fork_whose_parent_died_at_once_begins_nothing() -> None:
    """Before it could ask the system to end with its parent, nothing ends it but itself."""
    code = """
import os, signal, time
from clsbench import forks, system
parent = os.getpid()

def late():
    os.kill(parent, signal.SIGKILL)
    while os.getppid() == parent:
        time.sleep(0.01)

system.obey_termination = late
with forks.beside(lambda told: told, lambda: print("begun", flush=True)):
    signal.pause()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (-signal.SIGKILL, "", "") == (done.returncode, done.stdout, done.stderr)


@pytest.mark.fork
def test_fork_that_waits_to_be_asked_ends_with_its_parent() -> None:
    """However that ends: a run that is killed leaves no process behind."""
    code = """
import os, signal, sys
from clsbench import forks
with forks.beside(lambda told: told, lambda: print(os.getpid(), flush=True)):
    sys.stdin.read(1)
    assert "torch" not in sys.modules
    os.kill(os.getpid(), signal.SIGKILL)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        child = int(process.stdout.readline())
        os.kill(child, 0)
        process.stdin.write(b"x")
        process.stdin.close()
        assert b"" == process.stdout.read()  # which both had open
    assert -signal.SIGKILL == process.returncode


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
