"""Stopped in the midst of each of its steps, a run leaves at once and goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from clsbench.runs.lock import sole_writer
from clsbench.runs.signals import obey_signals
from clsbench.system import ENDING
from faulting.children import exit_code, forked

ROOT = Path(__file__).resolve().parents[2]

# In a process of its own: one that has used several threads of torch cannot be forked.
SCRIPT = """
import json, os, signal, sys, tempfile, time
from pathlib import Path
from clsbench import shown
from clsbench.report.renderers import terminal
from clsbench.runs import signals
from clsbench.runs.directory import RunDirectory
from clsbench.training import between
from clsbench.training.step import Steps
from faulting.runs import Started, checkpoints_each_epoch, goes_on, one_line, small, uninterrupted, warm


def at(owner, name, *numbers, nth=3, then=lambda: None, patience=0.2):
    "What is done in the child: just before the n-th call of this the signals come, and then something."
    def plan():
        real, calls = getattr(owner, name), [0]
        def stopped(*args, **how):
            calls[0] += 1
            if calls[0] == nth:
                for number in numbers:
                    os.kill(os.getpid(), number)
                then()
            return real(*args, **how)
        setattr(owner, name, stopped)
        signals.PATIENCE_SECONDS = patience
    return plan


for_ever = lambda: time.sleep(60)
TERM, INT, HUP = signal.SIGTERM, signal.SIGINT, signal.SIGHUP
MOMENTS = {
    "a batch": at(Steps, "__call__", TERM),
    "an evaluation": at(between, "evaluate_alike", TERM),
    "a write": at(os, "fsync", TERM, nth=12),
    "a rename": at(os, "replace", HUP, nth=5),
    "a write without end": at(os, "fsync", TERM, nth=12, then=for_ever),
    "a write, by two Ctrl-C": at(os, "fsync", INT, INT, nth=12, then=for_ever, patience=60),
    "a batch, by Ctrl-C": at(Steps, "__call__", INT),
    "the figures": at(shown, "figures", TERM, nth=1),
    "the summary": at(RunDirectory, "write_summary", TERM, nth=1),
    "the report": at(terminal, "show", TERM, nth=1),
}
config = small(losses=1, epochs=3)
warm(config)
came = {}
with tempfile.TemporaryDirectory() as name, checkpoints_each_epoch():
    expected = uninterrupted(config, Path(name) / "whole")
    for moment, plan in MOMENTS.items():
        folder = Path(name) / moment
        run = Started(config, folder, before=plan)
        code, finished = run.ended()
        came[moment] = [code, one_line(run.stderr), goes_on(config, folder, expected, finished)]
json.dump(came, sys.stdout)
"""


@pytest.fixture(scope="module")
def came() -> dict[str, list[object]]:
    """By moment, how a run left that was stopped then: its code, whether in one line, and how it went on."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "scripts")])}
    command = [sys.executable, "-c", SCRIPT]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert 0 == answer.returncode, answer.stderr
    found: dict[str, list[object]] = json.loads(answer.stdout)
    return found


@pytest.mark.parametrize(
    ("moment", "code"),
    [
        ("a batch", 143),
        ("an evaluation", 143),
        ("a write", 143),
        ("a rename", 129),
        ("a write without end", 143),
        ("a write, by two Ctrl-C", 130),
        ("a batch, by Ctrl-C", 130),
        ("the figures", 143),
        ("the summary", 143),
        ("the report", 143),
    ],
)
def test_signal_at_any_moment(moment: str, code: int, came: dict[str, list[object]]) -> None:
    """Its code and one line; no finished epoch is lost, and --resume ends as if nothing had been."""
    assert [code, True, None] == came[moment]


def test_lock_goes_with_its_holder(tmp_path: Path) -> None:
    """A process that is killed holds a run no longer, though its pid stays written there."""
    holding, held = os.pipe()

    def hold() -> None:
        with sole_writer(tmp_path):
            os.write(held, b"x")
            signal.pause()

    pid = forked(hold)
    os.read(holding, 1)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert f"{pid}\n" == (tmp_path / "pid").read_text()
    with sole_writer(tmp_path):
        assert f"{os.getpid()}\n" == (tmp_path / "pid").read_text()


def test_lock_ends_with_its_block(tmp_path: Path) -> None:
    """Though a process that users' code forked meanwhile has the file open still."""
    with sole_writer(tmp_path):
        pid = forked(signal.pause)
    try:
        with sole_writer(tmp_path):
            assert f"{os.getpid()}\n" == (tmp_path / "pid").read_text()
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_fork_of_users_code_says_nothing_of_the_run(capfd: pytest.CaptureFixture[str]) -> None:
    """A signal ends it as any process; the line of a stopped run is the run's alone."""
    before = {number: signal.getsignal(number) for number in ENDING}
    try:
        obey_signals()
        pid = forked(lambda: os.kill(os.getpid(), signal.SIGTERM))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert (-signal.SIGTERM, "") == (exit_code(pid), capfd.readouterr().err)
