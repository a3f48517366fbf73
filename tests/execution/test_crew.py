"""A stack on several cores: the same bits whatever the parts are, a trial that fails still fails alone, no orphans."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import clsbench
import clsbench.experiment
from clsbench.errors import RunError
from clsbench.execution import build, crew, stacks
from clsbench.execution.build import threads_for
from clsbench.execution.crew import size_of_parts
from clsbench.execution.events import EpochDone
from clsbench.registry import load_plugin
from clsbench.training.step import has_compiler

needs_fork = pytest.mark.skipif(not crew.can_fork(), reason="stacks are shared out on Linux, where no GPU is driven")

Config = dict[str, Any]
Run = Callable[..., clsbench.Result]

TRAIN = {"epochs": 4, "seeds": 5, "batch_size": 10, "device": "cpu", "threads": 1, "compile": "off"}
PLUGIN = """
import os
import clsbench

PARENT = os.getpid()

@clsbench.loss("dies_elsewhere")
def dies_elsewhere(logits, targets):
    '''Is killed in every process but the first.'''
    if os.getpid() != PARENT:
        os.kill(os.getpid(), 9)
    return logits.square().sum(-1)
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`run(threads=..., loss=..., lr=..., ...)`: a small run without its figures, shared out however little it is."""
    monkeypatch.setattr(clsbench.experiment, "draw", lambda result, directory: [])
    monkeypatch.setattr(crew, "WORTH_A_PROCESS", 1)
    (tmp_path / "mine.py").write_text(PLUGIN)
    load_plugin(tmp_path / "mine.py")

    def small(loss: Any = "cross_entropy", lr: Any = 0.1, resume: Path | None = None, **train: Any) -> clsbench.Result:
        watch = train.pop("watch", lambda plan, event: None)
        model = {"name": "mlp", "hidden": [7], "dropout": 0.2}
        config = {"dataset": {"name": "moons", "samples": 70}, "model": model, "loss": loss}
        config["optimizer"] = {"lr": lr, "momentum": train.pop("momentum", 0.0)}
        config["train"] = {**TRAIN, **train}
        return clsbench.run(config, output=tmp_path / "runs", resume=resume, watch=watch)

    return small


def untimed(result: clsbench.Result) -> list[Config]:
    return [{key: value for key, value in record.items() if key != "seconds"} for record in result.records]


def forks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """From now on the processes that are forked, as they are."""
    found: list[int] = []
    real = os.fork

    def fork() -> int:
        found.append(real())
        return found[-1]

    monkeypatch.setattr(os, "fork", fork)
    return found


@given(st.integers(1, 300), st.integers(1, 64), st.integers(0, 10**9))
def test_parts_have_two_trials_and_enough_work(num_trials: int, processes: int, multiplications: int) -> None:
    """No more parts than processes, none of them empty, each with two trials and with work that is worth a process."""
    size = size_of_parts(num_trials, processes, multiplications)
    number = -(-num_trials // size)
    assert 1 <= number <= processes
    assert num_trials > (number - 1) * size
    assert number == 1 or size >= 2
    assert number == 1 or size * multiplications >= crew.WORTH_A_PROCESS


def test_threads_hang_on_the_trial_and_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto`: one core for a light trial whose model stacks, all for a heavy one and for others; a number is obeyed."""
    monkeypatch.setattr(build, "cores", lambda: 8)
    monkeypatch.setattr(build, "can_fork", lambda: True)
    asked = [("auto", True, False), ("auto", True, True), ("auto", False, False), (3, True, False), (3, False, True)]
    assert [1, 8, 8, 3, 3] == [threads_for(value, stacked=stacked, heavy=heavy) for value, stacked, heavy in asked]
    monkeypatch.setattr(build, "can_fork", lambda: False)
    assert [1, 1, 8, 1, 3] == [threads_for(value, stacked=stacked, heavy=heavy) for value, stacked, heavy in asked]


@needs_fork
def test_parts_change_no_bit(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten trials in three parts record, save and pair what they do in one, those that diverge among them."""
    rates = [0.1, 1e30, 0.3, 1e31, 0.2]
    alone = run(lr=rates, seeds=2, loss=["cross_entropy", "mse_softmax"])
    children = forks(monkeypatch)
    spread = run(lr=rates, seeds=2, loss=["cross_entropy", "mse_softmax"], threads=3)
    assert 4 == len(children)  # two more than this process, for each of two stacks
    assert untimed(alone) == untimed(spread)
    assert {"running", "finished", "diverged"} == {record["status"] for record in spread.records}
    assert alone.summary["pairing"] == spread.summary["pairing"]
    for trial in (0, 5, 19):
        ours, theirs = (clsbench.load_model(each.directory, trial)[0].state_dict() for each in (alone, spread))
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@needs_fork
@pytest.mark.skipif(not has_compiler(), reason="steps are compiled where there is a C++ compiler")
def test_compiled_parts_change_no_bit(run: Run) -> None:
    """One graph serves parts that use momentum and parts that do not, after a warm start that was compiled too."""
    how: Config = {"momentum": [0.0, 0.9], "seeds": 3, "compile": "on", "warm_start": {"epochs": 1, "lr": 0.1}}
    alone, spread = (run(**how, threads=threads) for threads in (1, 2))
    assert untimed(alone) == untimed(spread)
    assert "again in halves" not in (spread.directory / "run.log").read_text("utf-8")
    assert 2 == len({record["train_loss"] for record in spread.records if (record["epoch"], record["seed"]) == (4, 0)})


@needs_fork
@pytest.mark.parametrize("rates", [[0.1, 0.2, 0.3, 0.4], [1e30, 1e31, 0.3, 0.4], [0.3, 0.4, 1e30, 1e31]])
def test_parts_go_on_from_a_checkpoint(run: Run, monkeypatch: pytest.MonkeyPatch, rates: list[float]) -> None:
    """Stopped after its second epoch, a stack in parts ends as one that never stopped, whichever part is over."""
    monkeypatch.setattr(stacks, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    monkeypatch.setattr(stacks, "SPARING", 0.0)
    whole = run(lr=rates, seeds=1)

    def stop(plan: object, event: object) -> None:
        if isinstance(event, EpochDone) and event.epoch == 2:
            raise RunError("enough")

    with pytest.raises(RunError, match="enough"):
        run(lr=rates, seeds=1, threads=2, watch=stop)
    left = max((whole.directory.parent).iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert left != whole.directory
    children = forks(monkeypatch)
    assert untimed(whole) == untimed(clsbench.run(None, resume=left))
    assert 1 == len(children)


@needs_fork
def test_trial_that_leaves_in_another_process_fails_alone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """`sys.exit` in a part that is trained elsewhere fails the trial that called it; the others end as alone."""
    real = stacks.train

    def train(stack: Any, settings: Any, *args: Any, **how: Any) -> Iterator[Any]:
        for result in real(stack, settings, *args, **how):
            if result.epoch == 2 and any(each.lr == 0.4 for each in settings):
                sys.exit("enough")
            yield result

    monkeypatch.setattr(stacks, "train", train)
    alone, spread = (run(lr=[0.1, 0.2, 0.3, 0.4], seeds=1, threads=threads) for threads in (1, 2))
    assert untimed(alone) == untimed(spread)
    assert [3] == [record["trial"] for record in spread.records if record["status"] == "failed"]
    assert {"0": "SystemExit: enough"} == spread.arms["cross_entropy lr=0.4"]["failures"]


@needs_fork
def test_stack_of_a_killed_process_goes_on(run: Run) -> None:
    """A part's process that is killed, for want of memory say, costs no trial: the stack is trained in halves."""
    result = run(loss="dies_elsewhere", threads=2, seeds=4)
    assert ["finished"] * 4 == [record["status"] for record in result.records if record["epoch"] == 4]
    log = (result.directory / "run.log").read_text("utf-8")
    assert "trained again in halves: RuntimeError: a process that trained a part of the stack died" in log


SCRIPT = """
import sys
import clsbench
from clsbench.execution import crew
from clsbench.execution.events import EpochDone
from clsbench.runs.stopping import obey_signals

crew.WORTH_A_PROCESS = 1
obey_signals()
config = {"dataset": {"name": "moons", "samples": 70}, "model": "mlp", "loss": "bce",
          "train": {"epochs": 100_000, "seeds": 4, "device": "cpu", "threads": 2, "compile": "off"}}

def tell(plan, event):
    if isinstance(event, EpochDone) and event.epoch == 1:
        print("trains", flush=True)

clsbench.run(config, output=sys.argv[1], watch=tell)
"""


@needs_fork
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_no_process_outlives_its_parent(number: signal.Signals, tmp_path: Path) -> None:
    """Whatever ends the run ends them: what they hold open, standard output say, is let go."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "trains\n" == process.stdout.readline()
        group = process.pid
        os.killpg(group, number) if number == signal.SIGINT else os.kill(group, number)
        rest, errors = process.communicate(timeout=60)  # hangs on whoever has its pipes
        assert "" == rest
        assert (0 if number == signal.SIGKILL else 1) == errors.count("\n"), errors
        deadline = time.monotonic() + 60
        while alive(group):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        with_group_gone(process)


def alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def with_group_gone(process: subprocess.Popen[str]) -> None:
    if alive(process.pid):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
