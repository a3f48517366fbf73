"""Several cores: which stacks are dealt out to how many processes, and that no bit depends on it."""

from __future__ import annotations

import math
import multiprocessing
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import clsbench
import clsbench.shown
from clsbench.config import memory
from clsbench.config.plan import make_plan
from clsbench.errors import RunError, TrialError
from clsbench.execution import execute, modes, scheduling, units
from clsbench.execution.events import EpochDone
from clsbench.execution.modes import threads_for
from clsbench.execution.opening import load_data
from clsbench.execution.scheduling import WorkUnit, dealt
from clsbench.execution.work import Work
from clsbench.experiment import read
from tests import compiled

Config = dict[str, Any]
Run = Callable[..., clsbench.Result]

MODEL = {"name": "mlp", "hidden": [7], "dropout": 0.2}
TRAIN = {"epochs": 4, "seeds": 5, "batch_size": 10, "device": "cpu", "threads": 1, "compile": "off"}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undrawn: None) -> Run:
    """`run(threads=..., loss=..., ...)`: a small run without its figures, on eight cores, in parts however small."""
    monkeypatch.setattr(scheduling, "WORTH_A_PROCESS", 1)
    monkeypatch.setattr(execute, "cores", lambda: 8)

    def small(loss: Any = "cross_entropy", lr: Any = 0.1, **train: Any) -> clsbench.Result:
        jobs, watch = train.pop("jobs", None), train.pop("watch", lambda plan, event: None)
        config = {"dataset": {"name": "moons", "samples": 70}, "model": MODEL, "loss": loss}
        config["optimizer"] = {"lr": lr}
        config |= {key: train.pop(key) for key in ("dataset", "model", "optimizer") if key in train}
        config["train"] = {**TRAIN, **train}
        return clsbench.run(config, output=tmp_path / "runs", jobs=jobs, watch=watch)

    return small


def untimed(result: clsbench.Result) -> list[Config]:
    return [{key: value for key, value in record.items() if key != "seconds"} for record in result.records]


def log_of(result: clsbench.Result) -> str:
    return (result.directory / "run.log").read_text("utf-8")


@dataclass(frozen=True)
class Costly:
    """A stack whose steps have so many multiplications a trial."""

    multiplications: int


@given(st.lists(st.integers(1, 300), min_size=1, max_size=9), st.integers(1, 64), st.integers(0, 10**9))
def test_parts_have_two_trials_and_enough_work(sizes: list[int], processes: int, multiplications: int) -> None:
    """Every trial is dealt out once, in order; as many stacks as there are processes are left whole."""
    stack: Any = Costly(multiplications)
    whole = [WorkUnit(tuple(range(1000 * place, 1000 * place + size))) for place, size in enumerate(sizes)]
    parts = dealt([(stack, unit) for unit in whole], processes)
    assert [trial for unit in whole for trial in unit.trials] == [trial for unit in parts for trial in unit.trials]
    for unit in parts:
        assert unit in whole or len(unit.trials) >= 2
        assert unit in whole or (len(unit.trials) + 1) * multiplications >= scheduling.WORTH_A_PROCESS
    even = len(sizes) - len(sizes) % processes
    assert whole[:even] == parts[:even]
    assert len(parts) - even <= processes


@pytest.mark.parametrize(
    ("number", "processes", "expected"),
    [(1, 2, [50, 50]), (2, 2, [100, 100]), (3, 2, [100, 100, 50, 50]), (1, 4, [25] * 4), (3, 4, [100] * 3)],
)
def test_the_last_stacks_are_cut_where_processes_would_be_idle(
    number: int, processes: int, expected: list[int]
) -> None:
    """Stacks that do not divide evenly among the processes are cut, so that none is idle at the end."""
    stack: Any = Costly(scheduling.WORTH_A_PROCESS)
    whole = [(stack, WorkUnit(tuple(range(100))))] * number
    assert expected == [len(unit.trials) for unit in dealt(whole, processes)]


@pytest.mark.parametrize(
    ("asked", "stacked", "compiled", "multiplications", "forked", "alone"),
    [
        ("auto", True, False, 10**9, 1, 1),
        ("auto", True, True, 10**3, 8, 1),
        ("auto", False, False, 10**9, 8, 8),
        ("auto", False, False, 10**6, 1, 1),
        ("auto", False, False, None, 8, 8),
        (3, True, False, 10**9, 3, 1),
        (3, False, False, 10**6, 3, 3),
    ],
)
def test_threads_depend_on_the_trial_and_the_machine(
    asked: str | int,
    stacked: bool,
    compiled: bool,
    multiplications: int | None,
    forked: int,
    alone: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`auto`: one core for eager steps of a model that stacks and for small ones, else all; a number is obeyed."""
    monkeypatch.setattr(modes, "cores", lambda: 8)
    for can_fork, expected in ((True, forked), (False, alone)):
        monkeypatch.setattr(modes, "can_fork", lambda found=can_fork: found)
        found = threads_for(asked, stacked=stacked, compiled=compiled, multiplications=multiplications)
        assert expected == found


@pytest.mark.fork
@pytest.mark.parametrize("model", [{"name": "cnn", "channels": [2], "hidden": 4}, "own"], ids=["cnn", "own"])
def test_tiny_models_that_run_alone_train_side_by_side(model: Any, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread in each operation, a process for each core, and the bits of one process."""
    monkeypatch.setattr(modes, "cores", lambda: 2)
    monkeypatch.setattr(execute, "cores", lambda: 2)

    @clsbench.model("own")
    def own(shape: tuple[int, ...], num_outputs: int) -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(math.prod(shape), num_outputs))

    how: Config = {"model": model, "dataset": {"name": "digits", "limit": 60}, "seeds": 2, "epochs": 1}
    both, one = run(threads="auto", **how), run(threads=1, **how)
    assert ([1], [1]) == (both.summary["engine"]["threads"], one.summary["engine"]["threads"])
    assert "training 2 stacks in 2 processes" in log_of(both)
    assert "processes" not in log_of(one)
    assert untimed(both) == untimed(one)


@pytest.mark.fork
@pytest.mark.parametrize(
    ("jobs", "threads", "cores", "expected"),
    [
        (None, 1, 8, 1),
        (None, 2, 8, 2),
        (None, "auto", 8, 6),
        (1, "auto", 8, 1),
        (2, 1, 8, 2),
        (4, 1, 3, 3),
        (None, 4, 3, 3),
    ],
)
def test_as_many_processes_as_are_asked_for_and_have_a_core(
    jobs: int | None, threads: Any, cores: int, expected: int, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stack of twelve, whose operations have one thread, is trained by one process for each."""
    monkeypatch.setattr(execute, "cores", lambda: cores)
    result = run(seeds=12, epochs=1, jobs=jobs, threads=threads)
    assert (f"training {expected} stacks in {expected} processes" in log_of(result)) == (expected > 1)


@pytest.mark.fork
def test_stacks_side_by_side_share_the_memory(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What two processes hold at once is what one may: each has half of the trials that fit, and all are trained."""
    monkeypatch.setattr(memory, "STACK_BYTES", 8 * 30_000)
    monkeypatch.setattr(scheduling, "WORTH_A_PROCESS", 10**12)
    asked = read({"dataset": {"name": "moons", "samples": 70}, "model": MODEL, "loss": "cross_entropy"})
    plan, cpu = make_plan(asked), torch.device("cpu")
    stack, *_ = Work(asked, plan, load_data(plan.trials, cpu), cpu).stacks
    together, each = (stack.most_beside(number) for number in (1, 2))
    assert together // 2 == each > 1
    result = run(seeds=together, epochs=1, threads=2)
    assert f"training {-(-together // each)} stacks in 2 processes" in log_of(result)
    assert together == len({record["trial"] for record in result.records})


@pytest.mark.fork
def test_parts_change_no_bit(run: Run) -> None:
    """Ten trials in two parts record, save and pair what they do in one, those that diverge among them."""
    rates = [0.1, 1e30, 0.3, 1e31, 0.2]
    alone, spread = (run(lr=rates, seeds=2, loss=["cross_entropy", "mse_softmax"], threads=t) for t in (1, 4))
    assert "training 4 stacks in 4 processes" in log_of(spread)
    assert untimed(alone) == untimed(spread)
    assert {"running", "finished", "diverged"} == {record["status"] for record in spread.records}
    assert alone.summary["pairing"] == spread.summary["pairing"]
    for trial in (0, 5, 19):
        ours, theirs = (clsbench.load_model(each.directory, trial)[0].state_dict() for each in (alone, spread))
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.slow
@pytest.mark.fork
@pytest.mark.compiler
def test_compiled_parts_change_no_bit(run: Run) -> None:
    """This process has compiled before it is forked; parts with momentum and without; a warm start compiled too."""
    how = {**compiled.PARTS, **compiled.TRAIN, "seeds": 3, "warm_start": compiled.WARM_START}
    how["optimizer"] = {"momentum": [0.0, 0.9]}
    alone, spread = (run(**how, threads=threads) for threads in (1, 2))
    assert untimed(alone) == untimed(spread)
    assert "training 2 stacks in 2 processes" in log_of(spread)
    assert "again in halves" not in log_of(spread)
    assert "compiled" == spread.summary["engine"]["mode"]
    assert 2 == len({record["train_loss"] for record in spread.records if (record["epoch"], record["seed"]) == (4, 0)})


@pytest.mark.fork
@pytest.mark.parametrize("rates", [[0.1, 0.2, 0.3, 0.4], [1e30, 1e31, 0.3, 0.4], [0.3, 0.4, 1e30, 1e31]])
def test_parts_go_on_from_a_checkpoint(run: Run, often: None, rates: list[float]) -> None:
    """Stopped after its second epoch, a stack in parts ends as one that never stopped, whichever part is over."""
    whole = run(lr=rates, seeds=1)

    def stop(plan: object, event: object) -> None:
        if isinstance(event, EpochDone) and event.epoch == 2:
            raise RunError("enough")

    with pytest.raises(RunError, match="enough"):
        run(lr=rates, seeds=1, threads=2, watch=stop)
    left = max((whole.directory.parent).iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert left != whole.directory
    assert untimed(whole) == untimed(clsbench.run(None, resume=left))


@pytest.mark.fork
def test_trial_that_leaves_in_another_process_fails_alone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """`sys.exit` in a part that is trained elsewhere fails the trial that called it; the others end as alone."""
    real = units.train

    def train(stack: Any, settings: Any, *args: Any, **how: Any) -> Iterator[Any]:
        for result in real(stack, settings, *args, **how):
            if result.epoch == 2 and any(each.lr == 0.4 for each in settings):
                sys.exit("enough")
            yield result

    monkeypatch.setattr(units, "train", train)
    runs = []
    for threads in (1, 2):
        with pytest.raises(TrialError) as caught:
            run(lr=[0.1, 0.2, 0.3, 0.4], seeds=1, threads=threads)
        runs.append(clsbench.load(caught.value.directory))
    alone, spread = runs
    assert untimed(alone) == untimed(spread)
    assert [3] == [record["trial"] for record in spread.records if record["status"] == "failed"]
    assert "SystemExit: enough (test_local.py:" in spread.arms["cross_entropy lr=0.4"]["failures"]["0"]


@pytest.mark.fork
def test_seconds_of_a_stack_in_parts_are_those_that_it_trained(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of two parts takes a second an epoch for two trials: the stack trains a second for its four."""
    real = units.train

    def train(*args: Any, **how: Any) -> Iterator[Any]:
        for result in real(*args, **how):
            yield replace(result, seconds=1.0 if result.epoch else 0.0)

    monkeypatch.setattr(units, "train", train)
    for threads in (1, 2):
        result = run(seeds=4, epochs=3, threads=threads)
        assert ("processes" in log_of(result)) == (threads > 1)
        assert {(0, 0.0), (1, 0.25), (2, 0.5), (3, 0.75)} == {(r["epoch"], r["seconds"]) for r in result.records}
        assert pytest.approx(3.0) == result.summary["seconds"]


@pytest.mark.fork
def test_process_that_may_have_no_children_trains_alone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a worker of `multiprocessing.Pool`."""
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)  # type: ignore[attr-defined]
    assert "processes" not in log_of(run(threads=2, jobs=2))


@pytest.mark.fork
def test_no_process_where_memory_holds_a_single_trial(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of one trial would be trained twice each, and hold more than the budget."""
    monkeypatch.setattr(memory, "STACK_BYTES", 1)
    assert "processes" not in log_of(run(seeds=3, epochs=1, threads=2))


@pytest.mark.fork
def test_process_that_cannot_be_forked_trains_alone(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a fork has no autograd, say, stacks are trained one after the other, and the run says so."""
    for module in (modes, execute):
        monkeypatch.setattr(module, "can_fork", lambda: False)
    result = run(threads=2)
    assert "processes" not in log_of(result)
    assert [1] == result.summary["engine"]["threads"]
