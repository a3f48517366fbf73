"""Training in several processes: the same bits, no hang when one dies, no orphan when the parent does."""

from __future__ import annotations

import os
import pickle
import signal
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, cast

import pytest
import torch

import clsbench
from clsbench.config.plan import Plan, make_plan
from clsbench.config.reader import read_mapping
from clsbench.config.schema import Experiment
from clsbench.execution import execute
from clsbench.execution.events import Checkpoint, EpochDone, Event, StackStarted, TrialFailed
from clsbench.execution.executors import processes
from clsbench.execution.opening import load_data
from clsbench.execution.scheduling import WorkUnit, units_left
from clsbench.execution.work import Work
from clsbench.training.snapshot import Snapshot

CONFIG: dict[str, Any] = {
    "name": "tiny",
    "dataset": {"name": "moons", "samples": 120},
    "model": {"name": "mlp", "hidden": [8]},
    "loss": ["mse_softmax", "cross_entropy"],
    "train": {"epochs": 3, "seeds": 3, "device": "cpu", "threads": 1},
    "tune": {"grid": {"lr": [0.1, 1.0]}, "seeds": 2},
    "report": "off",
}


FORKED = [pytest.param(True, marks=pytest.mark.fork), False]


@pytest.fixture(params=FORKED, ids=["forked", "spawned"])
def forked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """On two cores, whose processes are forks of this one or start from nothing."""
    monkeypatch.setattr(execute, "cores", lambda: 2)
    monkeypatch.setattr(processes, "can_fork", lambda: request.param)
    return bool(request.param)


def untimed(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**record, "seconds": None} for record in records]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> clsbench.Result:
    """What one process chooses and records."""
    return clsbench.run(CONFIG, output=tmp_path_factory.mktemp("alone"), jobs=1)


@pytest.mark.slow
@pytest.mark.usefixtures("forked")
def test_processes_change_no_bit(tmp_path: Path, alone: clsbench.Result) -> None:
    """Tuning and training in two processes choose and record what one does."""
    spread = clsbench.run(CONFIG, output=tmp_path, jobs=2)
    assert untimed(alone.records) == untimed(spread.records)
    assert alone.summary["pairing"] == spread.summary["pairing"]
    assert [arm["chosen"] for arm in alone.summary["tuning"]["arms"]] == [
        arm["chosen"] for arm in spread.summary["tuning"]["arms"]
    ]
    assert "training 2 stacks in 2 processes" in (spread.directory / "run.log").read_text()


# More records than a pipe holds: no process is done before its first event is seen.
LONG = {**CONFIG, "tune": None, "train": {**CONFIG["train"], "epochs": 150}}


@pytest.fixture(scope="module")
def long_alone(tmp_path_factory: pytest.TempPathFactory) -> clsbench.Result:
    """What one process records of the long run."""
    return clsbench.run(LONG, output=tmp_path_factory.mktemp("alone"), jobs=1)


@pytest.mark.slow
@pytest.mark.usefixtures("forked")
def test_stack_of_a_killed_process_goes_on(tmp_path: Path, long_alone: clsbench.Result) -> None:
    """The trials of a process that is killed are trained by others, and end as they would have."""
    killed: list[int | None] = []

    def kill_the_first(plan: Plan, event: Event) -> None:
        if isinstance(event, StackStarted) and not killed:
            for child in processes.multiprocessing.active_children():
                killed.append(child.pid)
                child.kill()

    result = clsbench.run(LONG, output=tmp_path, jobs=2, watch=kill_the_first)
    assert untimed(long_alone.records) == untimed(result.records)
    assert "its process was killed by SIGKILL" in (result.directory / "run.log").read_text()
    assert 2 == len(killed)
    assert [] == processes.multiprocessing.active_children()


def at_epoch(epoch: int, *trials: int) -> EpochDone:
    snapshot = Snapshot(epoch, {"taken": torch.full((len(trials), 1), 4.0 * epoch)})
    return EpochDone(epoch, (), {}, Checkpoint(trials, snapshot, float(epoch), False, False))


def test_process_that_dies_while_it_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a message is no event: the trials go on from their last checkpoint, and one fails at its second try."""
    lives: list[list[Event | None]] = [[at_epoch(3, 0, 1)], [], [None], [at_epoch(5, 0)], []]
    given: list[tuple[list[int], int | None]] = []

    class Mortal(processes._Worker):
        """Tells what the next of its lives has, and dies in the midst of a message where that is not the end."""

        def __init__(self, context: Any, target: Any) -> None:
            self.channel, self.far_end = processes.multiprocessing.Pipe()

        def train(self, unit: WorkUnit) -> None:
            self.unit, life = unit, lives.pop(0)
            given.append((list(unit.trials), unit.since and unit.since.snapshot.epoch))
            for event in life:
                self.far_end.send_bytes(pickle.dumps(event))
            if life[-1:] != [None]:
                os.write(self.far_end.fileno(), struct.pack("!i", 1000) + b"half")
                self.far_end.close()

        def end(self, patience: float = 0.0) -> str:
            self.channel.close()
            return "its process was killed by SIGKILL"

    monkeypatch.setattr(processes, "_Worker", Mortal)
    experiment = read_mapping({**CONFIG, "tune": None, "loss": "bce", "train": {"epochs": 9, "seeds": 2}})
    work = work_of(experiment)
    told = list(processes.run(list(units_left(work.plan.trials, {})), work, 1, retries=1))
    assert [([0, 1], None), ([0], 3), ([1], 3), ([0], 3), ([0], 5)] == given
    *epochs, failed = told
    assert [3, 5] == [event.epoch for event in epochs if isinstance(event, EpochDone)]
    assert isinstance(failed, TrialFailed)
    assert (0, "its process was killed by SIGKILL") == (failed.trial, failed.reason)
    assert (6, 20, 5.0, "failed") == tuple(failed.record[key] for key in ("epoch", "step", "seconds", "status"))


def work_of(experiment: Experiment, compiled: Mapping[int, bool] = MappingProxyType({})) -> Work:
    plan, device = make_plan(experiment), torch.device("cpu")
    return Work(experiment, plan, load_data(plan.trials, device), device, compiled)


def test_other_steps_are_refused_in_a_process_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it trains, a process refuses a run of which something was kept that it would train otherwise."""
    monkeypatch.setattr(processes, "_die_with_parent", lambda: None)
    experiment = read_mapping({**CONFIG, "tune": None, "train": {"epochs": 1, "seeds": 1}})
    told: list[Any] = []

    class Channel:
        given: ClassVar = [pickle.dumps(WorkUnit((1,)))]

        def recv_bytes(self) -> bytes:
            if not self.given:
                raise EOFError
            return self.given.pop()

        def send_bytes(self, message: bytes) -> None:
            told.append(pickle.loads(message))

    recipe = work_of(experiment, {1: True}).recipe()
    processes._work(lambda: Work.of_recipe(recipe), cast(Any, Channel()), cast(Any, Channel()))
    assert ["the run cannot go on with eager steps: those of trial 1 were compiled"] == [
        str(each).partition(";")[0] for each in told
    ]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_processes_die_with_their_parent(tmp_path: Path, forked: bool) -> None:
    """No orphan five seconds after the parent was killed."""
    script = f"""
        import clsbench
        from clsbench.execution import execute
        from clsbench.execution.executors import processes
        if __name__ == "__main__":
            execute.cores, processes.can_fork = lambda: 2, lambda: {forked}
            def tell(plan, event):
                print(*(child.pid for child in processes.multiprocessing.active_children()), flush=True)
            config = {{**{CONFIG!r}, "tune": None}}
            config["train"] = {{**config["train"], "epochs": 100_000}}
            clsbench.run(config, output={str(tmp_path)!r}, jobs=2, watch=tell)
    """
    (tmp_path / "script.py").write_text(textwrap.dedent(script))
    with subprocess.Popen([sys.executable, tmp_path / "script.py"], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        children = [int(pid) for pid in parent.stdout.readline().split()]
        parent.kill()
    assert 2 == len(children)
    deadline = time.monotonic() + 60
    while left := [pid for pid in children if is_running(pid)]:
        assert time.monotonic() < deadline, f"processes {left} outlive their parent"
        time.sleep(0.05)


def test_ctrl_c_while_processes_start(tmp_path: Path, forked: bool) -> None:
    """Ctrl-C reaches all, and those that are still being imported leave no trace: 130 and one line."""
    script = f"""
        import clsbench
        from clsbench.execution import execute
        from clsbench.execution.executors import processes
        from clsbench.runs.signals import obey_signals
        if __name__ == "__main__":
            obey_signals()
            execute.cores, processes.can_fork = lambda: 2, lambda: {forked}
            train = processes._Worker.train
            processes._Worker.train = lambda worker, unit: print("started", flush=True) or train(worker, unit)
            clsbench.run({ {**CONFIG, "tune": None}!r}, output={str(tmp_path)!r}, jobs=2)
    """
    (tmp_path / "script.py").write_text(textwrap.dedent(script))
    command = [sys.executable, tmp_path / "script.py"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as parent:
        assert parent.stdout is not None
        assert ["started\n"] * 2 == [parent.stdout.readline() for _ in range(2)]
        os.killpg(parent.pid, signal.SIGINT)
        _, told = parent.communicate(timeout=600)
    assert (130, 1) == (parent.returncode, told.count("\n")), told
    assert told.startswith("error: stopped by SIGINT; ")


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.fork
def test_fork_of_a_process_that_used_all_threads_trains(tmp_path: Path) -> None:
    """The numerical library's threads are not in a fork, which must not wait for them."""
    script = f"""
        import clsbench, torch
        from clsbench.execution import execute
        execute.cores = lambda: 2
        torch.set_num_threads(2)
        torch.randn(1000, 1000).exp().sum()
        result = clsbench.run({ {**CONFIG, "tune": None}!r}, output={str(tmp_path)!r}, jobs=2)
        assert "in 2 processes" in (result.directory / "run.log").read_text()
        print(result.summary["status"])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True, timeout=600, check=True
    )
    assert "finished\n" == done.stdout
