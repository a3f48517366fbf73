"""A run that was stopped goes on: the end is the one it would have had, bit by bit, or it says why it cannot be."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import clsbench
from clsbench.config.plan import Plan
from clsbench.errors import RunError
from clsbench.execution import units
from clsbench.execution.events import Event, RunResumed
from clsbench.registry import catalogue
from clsbench.runs.directory import RunDirectory
from clsbench.runs.manifest import ManifestFile
from clsbench.runs.provenance import Fingerprint
from clsbench.runs.seal import sha256_of
from clsbench.runs.sums import Sums
from faulting.runs import Cut, cut_run

Config = dict[str, Any]

OF_ONE_CLASS = {loss.name for loss in catalogue.losses() if "single_label" in loss.problems}  # a sample
MOONS = {"name": "moons", "samples": 90}
MLP = {"name": "mlp", "hidden": [8], "batch_norm": True, "dropout": 0.2}
TRAIN = {"epochs": 4, "seeds": 2, "device": "cpu", "threads": 1}
TINY: Config = {"name": "tiny", "dataset": MOONS, "model": MLP, "loss": ["mse_softmax", "bce"], "train": TRAIN}
TINY["report"] = {"figures": False}


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after every epoch."""
    monkeypatch.setattr(units, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    monkeypatch.setattr(units, "SPARING", 0.0)


def untimed(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**record, "seconds": None} for record in records]


def weights(result: clsbench.Result) -> list[Any]:
    return [clsbench.load_model(result.directory, trial)[0].state_dict() for trial in range(len(result.records) // 5)]


def assert_same_end(whole: clsbench.Result, resumed: clsbench.Result) -> None:
    assert untimed(whole.records) == untimed(resumed.records)
    for key in ("status", "pairing", "verdicts", "expectations"):
        assert whole.summary[key] == resumed.summary[key]
    torch.testing.assert_close(weights(whole), weights(resumed), rtol=0, atol=0)
    assert (whole.directory / "replay.npz").read_bytes() == (resumed.directory / "replay.npz").read_bytes()


@pytest.mark.parametrize("epochs", range(1, 11))
def test_run_cut_after_any_epoch_ends_as_if_it_had_not_been(often: None, tmp_path: Path, epochs: int) -> None:
    """Batch normalisation, dropout and two losses: records, weights and evidence are those of the whole run."""
    whole = clsbench.run(TINY, output=tmp_path / "whole")
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
        {"dataset": {"name": "digits", "limit": 120}, "model": {"name": "cnn", "channels": [4], "hidden": 8}},
    ],
    ids=["losses", "adam", "adamw", "nesterov", "diverged", "match", "warm", "lone", "tuned", "stopped", "cnn"],
)
def test_everything_that_is_trained_goes_on(often: None, tmp_path: Path, change: Config) -> None:
    """Whatever a step moves is in the checkpoint: losses, optimizers, schedules, weights of losses, models."""
    config = {**TINY, **change}
    whole = clsbench.run(config, output=tmp_path / "whole")
    assert_same_end(whole, clsbench.run(resume=cut_run(config, tmp_path / "cut", 4)))


@pytest.mark.slow
@pytest.mark.compiler
@pytest.mark.parametrize("at_once", [4, 2])
def test_compiled_run_goes_on(
    often: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    libraries: Callable[[], set[tuple[str, int]]],
    at_once: int,
) -> None:
    """A compiled run, too, ends with the bits of one that was not cut, also where it trains part after part."""
    monkeypatch.setattr("clsbench.training.compiled.TRIALS_AT_ONCE", at_once)
    config = {**TINY, "loss": "cross_entropy", "train": {**TRAIN, "seeds": 4, "compile": "on"}}
    whole = clsbench.run(config, output=tmp_path / "whole")
    before = libraries()
    assert before
    assert_same_end(whole, clsbench.run(resume=cut_run(config, tmp_path / "cut", 3)))
    assert before == libraries()  # nothing new is compiled


def test_without_a_checkpoint_epochs_are_trained_again_and_compared(tmp_path: Path) -> None:
    """A run younger than its first checkpoint starts over, keeps what it has recorded, and proves it."""
    whole, path = clsbench.run(TINY, output=tmp_path / "whole"), cut_run(TINY, tmp_path / "cut", 3)
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
    often: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epochs: int | None, left: int | None
) -> None:
    """Where records are lost that a checkpoint is beyond, their trials start over: no hole, none double."""
    monkeypatch.setattr("clsbench.shown.figures", lambda *_: {})
    whole = clsbench.run(TINY, output=tmp_path / "whole")
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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("train.epochs=5", "train.epochs was 4, and is 5"),
        ("loss=[mse_softmax, hinge]", "loss was "),
        ("train.seeds=[0, 2]", r"train.seeds was \[0, 1\], and is \[0, 2\]"),
        ("train.compile=on", "train.compile was 'auto', and is 'on'"),
        ("optimizer.lr=0.2", "optimizer.lr was 0.1, and is 0.2"),
    ],
)
def test_changed_config_is_refused(tmp_path: Path, change: str, message: str) -> None:
    """6 with the difference, and the run is untouched, byte for byte."""
    path = cut_run(TINY, tmp_path, 3)
    (path / "checkpoints" / "pid").write_text("1\n")
    (path / ".summary.json.0123456789abcdef").touch()
    before = everything(path)
    with pytest.raises(RunError, match=f"cannot go on with another config: {message}") as caught:
        clsbench.run(None, [change], resume=path)
    assert 6 == caught.value.exit_code
    assert before == everything(path)


def everything(folder: Path) -> dict[Path, tuple[int, bytes]]:
    """All that a folder holds, and when it was written."""
    return {path: (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"") for path in folder.rglob("*")}


@pytest.mark.parametrize("config", [TINY, None], ids=["with a config", "without"])
@pytest.mark.parametrize("kept", [None, "a: 1", "name: [", "name: theirs"])
def test_somebody_elses_folder_is_not_resumed(tmp_path: Path, kept: str | None, config: Config | None) -> None:
    """A folder that is no run of this config is 6 and untouched, whatever its files are called."""
    (tmp_path / "checkpoints").mkdir()
    for name in (".notes.0123456789abcdef", "checkpoints/.notes.0123456789abcdef", "checkpoints/mine.pt", "run.log"):
        (tmp_path / name).write_text("mine")
    if kept is not None:
        (tmp_path / "config.yaml").write_text(kept)
    before = everything(tmp_path)
    if config is None and kept == "name: theirs":
        return  # that is a run which had just begun
    with pytest.raises(RunError):
        clsbench.run(config, resume=tmp_path)
    assert before == everything(tmp_path)


def doubled(tensors: Config) -> None:
    tensors["model.1.weight"] = tensors["model.1.weight"].double()


def narrowed(tensors: Config) -> None:
    tensors["model.1.weight"] = tensors["model.1.weight"][..., :1]


def lacking(tensors: Config) -> None:
    del tensors["model.1.weight"]


@pytest.mark.parametrize("change", [doubled, narrowed, lacking])
def test_checkpoint_of_another_kind_is_refused(often: None, tmp_path: Path, change: Callable[[Config], None]) -> None:
    """Another type or shape, or none, is 6 before use, whatever the manifest says: to resume, to read back."""
    path = cut_run(TINY, tmp_path / "cut", 3)
    whole = clsbench.run(TINY, output=tmp_path / "whole").directory
    for run in (path, whole):
        manifest, entries = ManifestFile(run), []
        for entry in manifest.entries():
            file = manifest.folder / entry.file
            content = torch.load(file, weights_only=True)
            change(content["tensors"])
            torch.save(content, file)
            entries.append(entry.model_copy(update={"sha256": hashlib.sha256(file.read_bytes()).hexdigest()}))
        manifest.list_checkpoints(entries)
    with pytest.raises(RunError, match=r"the checkpoint of trials \[0, 1\] is of others: 'model\.1\.weight'"):
        clsbench.run(resume=path)
    with pytest.raises(RunError, match=r"the weights of trial 2 do not fit its model: '1\.weight' differs"):
        clsbench.load_model(whole, 2)


def test_what_changes_no_number_may_change(tmp_path: Path) -> None:
    """Name, expectations, and a way of naming the same seeds are no other trials."""
    path = cut_run(TINY, tmp_path, 3)
    config = {**TINY, "name": "b", "expect": ["bce.diverged == 0"], "train": {**TRAIN, "seeds": [0, 1]}}
    assert [True] == [row["met"] for row in clsbench.run(config, resume=path).summary["expectations"]]


def test_other_threads_are_told_and_recorded(tmp_path: Path) -> None:
    """A warning in the log, the threads in `environment.json`; the run ends."""
    path = cut_run(TINY, tmp_path, 3)
    clsbench.run(None, ["train.threads=2"], resume=path)
    assert "threads was [1], and is [2]" in (path / "run.log").read_text()
    environment = json.loads((path / "environment.json").read_text())
    assert [1], [[2]] == (environment["device"]["threads"], [r["device"]["threads"] for r in environment["resumed"]])


def made_with(path: Path, part: str, key: str, value: str) -> None:
    """Let a run say that another version or device made it."""
    directory = RunDirectory(path)
    environment = directory.environment()
    environment[part] = {**environment[part], key: value}
    manifest = directory.identify()
    known = manifest.fingerprint.model_dump()
    changed = Fingerprint.model_validate({**known, part: {**known[part], key: value}})
    directory.manifest.write(manifest.model_copy(update={"fingerprint": changed.brief}))
    directory.write_environment(environment, changed)


@pytest.mark.parametrize(
    ("part", "key", "value", "told"),
    [
        ("versions", "torch", "1.0.0", "another PyTorch: torch was 1.0.0, is "),
        ("versions", "clsbench", "9.9.9", "another clsbench: clsbench was 9.9.9, is "),
        ("versions", "numpy", "1.26.4", "another NumPy: numpy was 1.26.4, is "),
        ("versions", "scikit-learn", "0.1.1", "another scikit-learn: scikit-learn was 0.1.1, is "),
        ("device", "kind", "another", "another device: it was another, and is cpu"),
    ],
)
def test_another_version_or_device_is_refused(tmp_path: Path, part: str, key: str, value: str, told: str) -> None:
    """What would repeat no epoch is 6 before anything is touched."""
    path = cut_run(TINY, tmp_path, 3)
    made_with(path, part, key, value)
    before = everything(path)
    with pytest.raises(RunError, match=f"cannot go on with {told}"):
        clsbench.run(resume=path)
    assert before == everything(path)


def test_another_patch_is_told(tmp_path: Path) -> None:
    """Another patch release of NumPy is a warning in the log."""
    path = cut_run(TINY, tmp_path, 3)
    numpy = RunDirectory(path).environment()["versions"]["numpy"]
    made_with(path, "versions", "numpy", f"{numpy}.post1")
    assert "finished" == clsbench.run(resume=path).summary["status"]
    assert f"numpy was {numpy}.post1, and is {numpy}" in (path / "run.log").read_text()


@pytest.mark.parametrize(
    ("epochs", "before"), [(1, False), (5, False), (5, True)], ids=["going on", "one stack over", "lost"]
)
def test_compiler_that_comes_or_goes_is_told(
    often: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epochs: int, before: bool
) -> None:
    """Where steps would be compiled that were eager, or eager that were compiled, 6 before anything is trained."""
    for steps in ("COMPILED_STEPS", "TRACED_STEPS"):
        monkeypatch.setattr(f"clsbench.execution.modes.{steps}", 1)
    monkeypatch.setattr("clsbench.execution.units.train", eagerly(units.train))
    monkeypatch.setattr("clsbench.execution.modes.has_compiler", lambda: before)
    path = cut_run(TINY, tmp_path, epochs)
    rows = (path / "metrics.jsonl").read_bytes()
    monkeypatch.setattr("clsbench.execution.modes.has_compiler", lambda: not before)
    now, was = ("eager", "compiled") if before else ("compiled", "eager")
    message = (
        f"the run cannot go on with {now} steps: those of trial 0 were {was}; .* there is {'a' if before else 'no'} C"
    )
    with pytest.raises(RunError, match=message) as caught:
        clsbench.run(resume=path)
    assert (6, rows) == (caught.value.exit_code, (path / "metrics.jsonl").read_bytes())


def eagerly(train: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles nothing, whatever is asked: it is the mode that counts, and compiling takes seconds."""
    return lambda stack, trials, loss, data, settings, since: train(
        stack, trials, loss, data, replace(settings, compiled=False), since
    )


def test_what_is_no_run_cannot_be_resumed(tmp_path: Path) -> None:
    """An empty folder, or none, is 6."""
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(RunError, match="cannot be read"):
            clsbench.run(resume=path)


@pytest.mark.parametrize(
    "odd",
    [
        *({"versions": []}, {"device": None}, {"machine": "mine"}, {"machine": {}}, {"datasets": []}),
        *({"resumed": resumed} for resumed in (3, [3], {}, [{}], [{"versions": {}, "machine": {}, "device": {}}])),
    ],
)
def test_environment_of_another_kind_is_refused(tmp_path: Path, odd: dict[str, Any]) -> None:
    """A part of `environment.json` that is of another type, or lacks what is compared, is 6, named."""
    path = cut_run(TINY, tmp_path, 3)
    directory = RunDirectory(path)
    directory.write_environment(directory.environment() | odd, directory.identify().fingerprint)
    with pytest.raises(RunError, match=rf"environment\.json is damaged: {next(iter(odd))}"):
        clsbench.run(resume=path)


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


def test_clock_that_is_set_back(often: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock that loses a day at every look, times are not negative, and a run is made and resumed."""
    whole = clsbench.run(TINY, output=tmp_path / "whole")
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
