"""A run that was stopped goes on: the end is the one it would have had, bit by bit, or it says why it cannot be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import clsbench
from clsbench.config.plan import Plan
from clsbench.errors import RunError
from clsbench.execution import units
from clsbench.execution.events import Event, RunResumed
from clsbench.runs.checkpoints import Checkpoints
from clsbench.runs.seal import sha256_of
from clsbench.runs.sums import Sums
from faulting.runs import Cut, cut_run
from tests import compiled
from tests.resuming import MOONS, OF_ONE_CLASS, TINY, TRAIN, Config, assert_same_end, untimed


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> clsbench.Result:
    """The run that was not cut."""
    return clsbench.run(TINY, output=tmp_path_factory.mktemp("whole"))


@pytest.mark.parametrize("epochs", range(1, 11))
def test_run_cut_after_any_epoch_ends_as_if_it_had_not_been(
    often: None, tmp_path: Path, whole: clsbench.Result, epochs: int
) -> None:
    """Batch normalisation, dropout and two losses: records, weights and evidence are those of the whole run."""
    path = cut_run(TINY, tmp_path / "cut", epochs)
    assert 2 * epochs == len((path / "metrics.jsonl").read_text().splitlines())
    assert_same_end(whole, clsbench.run(resume=path))


@pytest.mark.parametrize(
    "change",
    [
        {"loss": sorted(OF_ONE_CLASS - {"mse_class_index"})},
        {"optimizer": {"name": "adam", "lr": 0.01, "clip_norm": 1.0}},
        {"optimizer": {"name": "adamw", "lr": 0.01, "weight_decay": 0.1, "schedule": {"name": "cosine"}}},
        {"optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True}, "loss": ["mse_class_index"]},
        {"model": "linear", "loss": [{"name": "mse_logits", "lr": 1e9}, "cross_entropy"]},
        {"loss": ["mse_softmax", {"name": "cross_entropy", "weight": "match"}]},
        {"train": {**TRAIN, "warm_start": {"labels": "rotated", "epochs": 2, "lr": 1.0}}},
        {"train": {**TRAIN, "seeds": 1}},
        {"tune": {"grid": {"lr": [0.1, 1.0]}, "seeds": 1}},
        {"stop": {"metric": "val_accuracy", "patience": 1}},
        {"dataset": {**MOONS, "split_seed": 0}},
        {"dataset": {"name": "digits", "limit": 120}, "model": {"name": "cnn", "channels": [4], "hidden": 8}},
    ],
    ids=["losses", "adam", "adamw", "nesterov", "diverged", "match", "warm", "lone", "tuned", "stop", "split", "cnn"],
)
def test_everything_that_is_trained_goes_on(often: None, tmp_path: Path, change: Config) -> None:
    """Whatever a step moves is in the checkpoint: losses, optimizers, schedules, weights of losses, models."""
    config = {**TINY, **change}
    whole = clsbench.run(config, output=tmp_path / "whole")
    assert_same_end(whole, clsbench.run(resume=cut_run(config, tmp_path / "cut", 4)))


@pytest.mark.slow
@pytest.mark.compiler
@pytest.mark.parametrize("at_once", [4, 2])
def test_compiled_run_goes_on(often: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """A compiled run, too, ends with the bits of one that was not cut, also where it trains part after part."""
    monkeypatch.setattr("clsbench.training.compiled.TRIALS_AT_ONCE", at_once)
    config = {**TINY, **compiled.PARTS, "train": {**TRAIN, **compiled.TRAIN, "seeds": 4}}
    whole = clsbench.run(config, output=tmp_path / "whole")
    assert "compiled" == whole.summary["engine"]["mode"]
    assert_same_end(whole, clsbench.run(resume=cut_run(config, tmp_path / "cut", 3)))


def test_stacks_that_finish_quickly_count_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first at once, the others with the last; a run that is stopped between two keeps all that are finished."""
    counts: list[int] = []
    real = Checkpoints.list_saved

    def counted(checkpoints: Checkpoints) -> None:
        real(checkpoints)
        counts.append(len(checkpoints.manifest.entries()))

    monkeypatch.setattr(units, "SECONDS_BETWEEN_CHECKPOINTS", 1e9)
    monkeypatch.setattr(Checkpoints, "list_saved", counted)
    config = {**TINY, "loss": ["mse_softmax", "bce", "cross_entropy", "focal"]}
    clsbench.run(config, output=tmp_path / "whole", jobs=1)
    assert [1, 4] == counts
    counts.clear()
    cut_run(config, tmp_path / "cut", 13, jobs=1)  # five of each: in the third
    assert [1, 2] == counts


def test_without_a_checkpoint_epochs_are_trained_again_and_compared(tmp_path: Path, whole: clsbench.Result) -> None:
    """A run younger than its first checkpoint starts over, keeps what it has recorded, and proves it."""
    path = cut_run(TINY, tmp_path / "cut", 3)
    seen: list[Event] = []
    resumed = clsbench.run(resume=path, watch=lambda plan, event: seen.append(event))
    assert_same_end(whole, resumed)
    assert RunResumed(kept=4, done=0) == seen[0]


@pytest.mark.parametrize(
    ("epochs", "left"),
    [(3, -9), (3, None), (None, -9), (None, 500), (None, 0)],
    ids=["last torn", "removed", "last torn at the end", "most cut off", "emptied"],
)
def test_lost_records_are_made_again(
    often: None, tmp_path: Path, whole: clsbench.Result, epochs: int | None, left: int | None
) -> None:
    """Where records are lost that a checkpoint is beyond, their trials start over: no hole, none double."""
    path = cut_run(TINY, tmp_path / "cut", epochs) if epochs else clsbench.run(TINY, output=tmp_path / "cut").directory
    (path / "summary.json").unlink(missing_ok=True)
    content = (path / "metrics.jsonl").read_bytes()
    if left is None:
        (path / "metrics.jsonl").unlink()
    else:
        (path / "metrics.jsonl").write_bytes(content[:left])
    assert_same_end(whole, clsbench.run(resume=path))
    assert "is trained again: records of epochs before its checkpoint are lost" in (path / "run.log").read_text()


def test_epoch_that_cannot_be_repeated_ends_the_run(tmp_path: Path) -> None:
    """A record that was changed is found out: 6, with the epoch, the trial and what differs."""
    path = cut_run(TINY, tmp_path, 3)
    file = path / "metrics.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    rows[3]["val_accuracy"] = 0.123
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    Sums(file).restart(file.stat().st_size, sha256_of(file.read_bytes()))
    with pytest.raises(RunError, match=r"epoch 1 of trial 1 changed .* val_accuracy was 0\.123, and is"):
        clsbench.run(resume=path)


def test_other_stacks_go_on_from_the_same_checkpoints(often: None, tmp_path: Path) -> None:
    """The size of a stack may change on the way; no bit does."""
    whole = clsbench.run({**TINY, "train": {**TRAIN, "seeds": 3}}, output=tmp_path / "whole")
    path = cut_run({**TINY, "train": {**TRAIN, "seeds": 3}}, tmp_path / "cut", 3)
    resumed = clsbench.run(path / "config.yaml", ["train.stack=2", "name=other"], resume=path)
    assert untimed(whole.records) == untimed(resumed.records)


def test_finished_run_is_only_shown(tmp_path: Path) -> None:
    """Resuming a finished run trains nothing and changes no file but the lock's."""
    whole = clsbench.run(TINY, output=tmp_path)
    before = {path: path.read_bytes() for path in whole.directory.rglob("*") if path.is_file()}
    events: list[Event] = []
    again = clsbench.run(resume=whole.directory, watch=lambda plan, event: events.append(event))
    assert (whole.records, whole.summary, []) == (again.records, again.summary, events)
    assert before == {path: path.read_bytes() for path in whole.directory.rglob("*") if path.is_file()}


def test_finished_run_is_held_against_other_expectations(tmp_path: Path) -> None:
    """Expectations may be others than the run had: they are judged, nothing is trained, and the summary keeps them."""
    run = clsbench.run(TINY, output=tmp_path)
    records = (run.directory / "metrics.jsonl").read_bytes()
    asked = ["bce.test_accuracy >= 2", "bce.diverged == 0"]
    judged = clsbench.run({**TINY, "expect": asked}, resume=run.directory)
    assert [False, True] == [each["met"] for each in judged.summary["expectations"]]
    assert judged.summary == clsbench.load(run.directory).summary
    assert {**run.summary, "expectations": []} == {**judged.summary, "expectations": []}
    assert records == (run.directory / "metrics.jsonl").read_bytes()


def test_half_written_files_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    """What a kill in the midst of a write leaves beside the run's files is gone when it goes on."""
    path = cut_run(TINY, tmp_path, 3)
    left = [path / ".summary.json.0123456789abcdef", path / "checkpoints" / ".manifest.json.0123456789abcdef"]
    for file in left:
        file.touch()
    clsbench.run(resume=path)
    assert [] == [file for file in left if file.exists()]


def test_second_writer_leaves_at_once(tmp_path: Path) -> None:
    """Who resumes a run that is being written leaves with 6 before torch is loaded, and is told by whom."""
    script = """
import sys
from clsbench.cli import app
try:
    app(["run", "--resume", sys.argv[1]])
except SystemExit as left:
    print(left.code, "torch" in sys.modules)
"""

    def resume_too(plan: Plan, event: Event) -> None:
        (path,) = (tmp_path / "tiny").iterdir()
        other = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=False)
        line = f"error: {path} is being written by process {os.getpid()}; wait for it, or stop it\n"
        assert ("6 False\n", line) == (other.stdout, other.stderr)
        raise Cut

    with pytest.raises(Cut):
        clsbench.run(TINY, output=tmp_path, watch=resume_too)
    (path,) = (tmp_path / "tiny").iterdir()
    assert "finished" == clsbench.run(resume=path).summary["status"]  # the lock went with its holder


def test_clock_that_is_set_back(
    often: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: clsbench.Result
) -> None:
    """With a clock that loses a day at every look, times are not negative, and a run is made and resumed."""
    now = [time.time()]

    def set_back() -> float:
        now[0] -= 86400
        return now[0]

    started = time.perf_counter()
    monkeypatch.setattr(time, "time", set_back)
    monkeypatch.setattr(time, "strftime", lambda form: "19700101-000000")  # the name of a run that there is already
    path = cut_run(TINY, tmp_path, 3)
    resumed = clsbench.run(resume=path)
    assert_same_end(whole, resumed)
    assert 0 <= resumed.summary["seconds"] <= time.perf_counter() - started
    for trial in range(4):
        seconds = [record["seconds"] for record in resumed.records if record["trial"] == trial]
        assert 0 == seconds[0] <= seconds[1] <= seconds[2] <= seconds[3] <= seconds[4]
    again = clsbench.run(TINY, output=tmp_path)
    assert ["19700101-000000", "19700101-000000-2"] == [path.name, again.directory.name]


LONG = ["--quiet", "train.epochs=100000", "loss=bce", "train.seeds=1", "dataset.samples=60"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_signal_ends_a_run_with_its_code(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """One line that says how to go on, no trace, and what was finished is there."""
    (tmp_path / "a.yaml").write_text("name: a\n")
    command = [sys.executable, "-m", "clsbench", "run", "a.yaml", *LONG]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        try:
            deadline = time.monotonic() + 600
            while not (started := [f for f in tmp_path.glob("runs/a/*/metrics.jsonl") if f.stat().st_size]):
                assert time.monotonic() < deadline
                time.sleep(0.05)
            process.send_signal(number)
            _, told = process.communicate(timeout=600)
        finally:
            process.kill()
    run = started[0].parent
    name = run.relative_to(tmp_path)
    line = f"error: stopped by {number.name}; the finished epochs are kept, resume it with clsbench run --resume {name}"
    assert (code, f"{line}\n") == (process.returncode, told)
    rows = [json.loads(line) for line in started[0].read_text().splitlines()]
    assert list(range(len(rows))) == [row["epoch"] for row in rows]
