"""What is not the run that was stopped does not go on and is untouched: another config, version, compiler, folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import clsbench
from clsbench.errors import RunError
from clsbench.execution import units
from clsbench.runs.directory import RunDirectory
from clsbench.runs.manifest import ManifestFile
from clsbench.runs.provenance import Fingerprint
from faulting.runs import cut_run
from tests.resuming import TINY, TRAIN, Config


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


@pytest.mark.parametrize(
    ("config", "kept"),
    # Without a config `name: theirs` is a run which had just begun.
    [
        *((TINY, kept) for kept in (None, "a: 1", "name: [", "name: theirs")),
        (None, None),
        (None, "a: 1"),
        (None, "name: ["),
    ],
)
def test_somebody_elses_folder_is_not_resumed(tmp_path: Path, kept: str | None, config: Config | None) -> None:
    """A folder that is no run of this config is 6 and untouched, whatever its files are called."""
    (tmp_path / "checkpoints").mkdir()
    for name in (".notes.0123456789abcdef", "checkpoints/.notes.0123456789abcdef", "checkpoints/mine.pt", "run.log"):
        (tmp_path / name).write_text("mine")
    if kept is not None:
        (tmp_path / "config.yaml").write_text(kept)
    before = everything(tmp_path)
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
        ("versions", "numpy", "1.0.0", "another NumPy: numpy was 1.0.0, is "),
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
