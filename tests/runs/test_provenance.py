"""What produced a run: a resume with other data, code or config is refused, and lost papers are made anew."""

from __future__ import annotations

import json
import random
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import clsbench
from clsbench.config.plan import make_plan
from clsbench.errors import DataError, RunError
from clsbench.execution import units
from clsbench.execution.events import StackStarted
from clsbench.experiment import read
from clsbench.registry import load_plugin
from clsbench.runs.directory import RunDirectory
from clsbench.runs.seal import sha256_of
from faulting import flips
from faulting.runs import cut_run, no_figures

TRAIN = {"epochs": 3, "seeds": 2, "device": "cpu", "threads": 1}
TREE: dict[str, Any] = {
    "name": "tiny",
    "dataset": {"name": "moons", "samples": 60},
    "model": "linear",
    "loss": ["mse_softmax", "cross_entropy"],
    "train": TRAIN,
}
PLUGIN = """
import clsbench, torch
@clsbench.loss("mine")
def mine(logits, targets):
    return torch.nn.functional.cross_entropy(logits, targets)
"""


@pytest.fixture(autouse=True)
def often_without_figures(often: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after every epoch, and no figures."""
    monkeypatch.setattr("clsbench.shown.figures", no_figures)


def stopped(config: dict[str, Any], output: Path, epochs: int = 6) -> Path:
    """A run that ended after so many epochs of stacks: by default the first of two is over."""
    return cut_run(config, output, epochs)


def contents(folder: Path) -> dict[Path, tuple[int, bytes]]:
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}


def refused(path: Path, message: str, config: dict[str, Any] | None = None) -> None:
    """6 in one line, before anything of the run is touched."""
    before = contents(path)
    with pytest.raises(RunError, match=message) as caught:
        clsbench.run(config, resume=path)
    assert (6, False) == (caught.value.exit_code, "\n" in str(caught.value))
    assert before == contents(path)


def table(path: Path, distance: float) -> None:
    chance = random.Random(0)
    rows = [f"{chance.gauss(distance * (n % 2), 1)},{chance.gauss(0, 1)},{n % 2}" for n in range(60)]
    path.write_text("\n".join(["x,y,c", *rows]) + "\n")


def test_other_data_are_refused(tmp_path: Path) -> None:
    """A table that was overwritten since: no two arms of one run ever learn from different data."""
    table(tmp_path / "t.csv", 3)
    config = {**TREE, "dataset": {"name": "csv", "path": str(tmp_path / "t.csv"), "label": "d"}}
    path = stopped(config, tmp_path / "runs")
    table(tmp_path / "t.csv", 0)
    refused(path, r"the data of dataset 'd' \(.*/t\.csv\): training split differs; start a new run$")
    table(tmp_path / "t.csv", 3)
    assert "finished" == clsbench.run(resume=path).summary["status"]


def test_other_data_are_refused_without_the_environment(tmp_path: Path) -> None:
    """Where nothing is left that has the hashes of single splits, that of all data is compared, and the file named."""
    table(tmp_path / "t.csv", 3)
    path = stopped({**TREE, "dataset": {"name": "csv", "path": str(tmp_path / "t.csv")}}, tmp_path / "runs")
    table(tmp_path / "t.csv", 0)
    (path / "environment.json").unlink()
    with pytest.raises(RunError, match=r"environment.json is damaged or missing; `clsbench run --resume .*` rebuilds"):
        RunDirectory(path).hashes()
    refused(path, r"its data \(.*/t\.csv\) are not those that it began with; start a new run$")
    table(tmp_path / "t.csv", 3)
    assert "finished" == clsbench.run(resume=path).summary["status"]
    assert ["csv"] == list(RunDirectory(path).hashes())


def test_checkpoints_do_not_grow_with_the_datasets(tmp_path: Path) -> None:
    """A checkpoint is about its own trials; of all data, it and the manifest's head have one hash."""
    datasets = [{"name": "moons", "samples": 20, "label": f"d{number}"} for number in range(6)]
    texts = set()
    for some in (datasets[:1], datasets):
        config = {**TREE, "dataset": some, "train": {**TRAIN, "epochs": 1, "seeds": 1}, "report": "off"}
        directory = RunDirectory(clsbench.run(config, output=tmp_path).directory)
        texts |= {len(directory.manifest.written().fingerprint.model_dump_json())}
        for file in directory.manifest.folder.glob("*.pt"):
            texts |= {len(torch.load(file, weights_only=True)["fingerprint"])}
    assert 1 == len(texts)


def test_one_changed_test_sample_is_refused(tmp_path: Path) -> None:
    """Data that only measure are compared, too, and the split is named."""
    table(tmp_path / "t.csv", 3)
    config = {**TREE, "dataset": {"name": "csv", "path": str(tmp_path / "t.csv"), "normalize": "none"}}
    path = stopped(config, tmp_path / "runs")
    lines = (tmp_path / "t.csv").read_text().splitlines()
    told = set()
    for number in range(1, len(lines), 5):
        x, rest = lines[number].split(",", 1)
        other = [*lines[:number], f"{float(x) + 1},{rest}", *lines[number + 1 :]]
        (tmp_path / "t.csv").write_text("\n".join(other) + "\n")
        with pytest.raises(RunError) as caught:
            clsbench.run(resume=path)
        told.add(str(caught.value).split(": ")[-1])
    assert {f"{word} split differs; start a new run" for word in ("training", "validation", "test")} == told


def test_other_plugin_is_refused(tmp_path: Path) -> None:
    """The code of a plugin file decides what a loss is, though its name stays."""
    (tmp_path / "p.py").write_text(PLUGIN)
    load_plugin(tmp_path / "p.py")
    path = stopped({**TREE, "loss": ["mine", "bce"]}, tmp_path / "runs")
    from clsbench.registry import catalogue

    catalogue.plugins[str(tmp_path / "p.py")] = b"another text"
    refused(path, r"plugin p\.py changed; start a new run$")
    catalogue.plugins.clear()
    refused(path, r"plugin p\.py is missing; start a new run$")


def test_other_code_of_a_script_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loss that a script or notebook registers by itself is known by its source."""

    def run_script(factor: int) -> None:
        text = f"def mine(logits, targets):\n    return {factor} * (logits**2).sum(-1)\n"
        names: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(text, "<notebook>", "exec"), names)
        clsbench.loss("mine")(names["mine"])

    from clsbench.registry import catalogue

    kept = {name: {kind: dict(each) for kind, each in getattr(catalogue, name).items()} for name in REGISTERED}
    run_script(1)
    path = stopped({**TREE, "loss": ["mine", "bce"]}, tmp_path)
    for name in REGISTERED:
        monkeypatch.setattr(catalogue, name, {kind: dict(each) for kind, each in kept[name].items()})
    run_script(-1)
    refused(path, r"loss 'mine' changed; start a new run$")


REGISTERED = ("_specs", "_canonical")


@pytest.mark.parametrize("edit", [("lr: 0.1", "lr: 0.2"), ("epochs: 3", "epochs: 4"), ("name: tiny", "name: tine")])
def test_edited_config_is_refused(tmp_path: Path, edit: tuple[str, str]) -> None:
    """`config.yaml` of a run is what it was started with, to the last letter, with CONFIG given again or not."""
    path = stopped(TREE, tmp_path)
    text = (path / "config.yaml").read_text()
    assert edit[0] in text
    (path / "config.yaml").write_text(text.replace(*edit))
    for config in (None, TREE):
        refused(path, r"config\.yaml is damaged, or was edited: its SHA-256 is not the run's", config)


def test_checkpoints_of_another_run_are_refused(tmp_path: Path) -> None:
    """All checkpoints with their manifest, from a run of the same config: they name another run."""
    path, other = stopped(TREE, tmp_path / "a"), stopped(TREE, tmp_path / "b")
    shutil.rmtree(path / "checkpoints")
    shutil.copytree(other / "checkpoints", path / "checkpoints")
    refused(path, r"manifest\.json is of another run than .*environment\.json; start a new run")
    (path / "checkpoints" / "manifest.json").unlink()
    refused(path, r"the manifest of .* is damaged, and its other files are of several runs; start a new run")


def test_worker_that_opens_other_data_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that trains on other data than the fingerprint says ends the run with 4, naming the dataset."""
    monkeypatch.setattr(units, "StackStarted", lambda *told: replace(StackStarted(*told), data={1: "other data"}))
    with pytest.raises(DataError, match=r"dataset moons: it changed while the run was training; start a new run"):
        clsbench.run(TREE, output=tmp_path)


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-30] + b"x" * 30)


def remove(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("harm", [damage, remove])
@pytest.mark.parametrize("names", [("checkpoints/manifest.json",), ("environment.json",), None], ids=str)
def test_lost_papers_are_made_anew(tmp_path: Path, harm: Callable[[Path], None], names: tuple[str, ...] | None) -> None:
    """Manifest, environment or both lost, a run goes on from its checkpoints: what is finished is not trained again."""
    whole = clsbench.run(TREE, output=tmp_path / "whole")
    path = stopped(TREE, tmp_path / "stopped")
    for name in names or ("checkpoints/manifest.json", "environment.json"):
        harm(path / name)
    trained = Counter[int]()

    def watch(plan: object, event: object) -> None:
        if isinstance(event, StackStarted):
            trained.update(event.trials)

    result = clsbench.run(resume=path, watch=watch)
    assert {2: 1, 3: 1} == trained
    assert [{**r, "seconds": 0} for r in whole.records] == [{**r, "seconds": 0} for r in result.records]
    assert "was damaged or missing and is rebuilt" in (path / "run.log").read_text()
    assert whole.records[0].keys() == clsbench.load(path).records[0].keys()


def test_run_that_nothing_names_is_refused(tmp_path: Path) -> None:
    """Without manifest, environment and checkpoints nobody knows what made the records: they are not gone on from."""
    path = stopped(TREE, tmp_path)
    for file in (path / "environment.json", *(path / "checkpoints").glob("*.pt")):
        file.unlink()
    damage(path / "checkpoints" / "manifest.json")
    refused(path, r"neither the manifest of .* nor a checkpoint says what produced it; start a new run")


def test_checkpoint_that_nothing_lists_and_that_is_damaged_is_refused(tmp_path: Path) -> None:
    """Without a manifest every checkpoint there has to be whole, or its trials would be trained again in silence."""
    path = stopped(TREE, tmp_path)
    (path / "checkpoints" / "manifest.json").unlink()
    file = next((path / "checkpoints").glob("*.pt"))
    content = file.read_bytes()
    file.write_bytes(content[:500] + bytes([content[500] ^ 1]) + content[501:])
    refused(path, r"\.pt is (no checkpoint|of no known run)")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clsbench.run(TREE, output=tmp_path_factory.mktemp("runs")).directory


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A finished run to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


def test_damaged_manifest_of_a_finished_run_is_made_anew_by_resume(run: Path) -> None:
    """`report` is told how; `run --resume` does it, trains nothing, and the run can be read again."""
    result = clsbench.load(run)
    damage(run / "checkpoints" / "manifest.json")
    with pytest.raises(RunError, match=rf"manifest\.json is damaged: .*`clsbench run --resume {run}` rebuilds it"):
        clsbench.load(run)
    events: list[object] = []
    clsbench.run(resume=run, watch=lambda plan, event: events.append(event))
    assert ([], result.records) == (events, clsbench.load(run).records)
    clsbench.load_model(run, 3)


@pytest.mark.parametrize("name", ["metrics.jsonl", "summary.json", "config.yaml", "environment.json"])
def test_file_that_was_changed_is_named(run: Path, name: str) -> None:
    """A changed digit is 6 for every reader of the run, naming the file."""
    text = (run / name).read_text()
    (run / name).write_text(text.replace("1", "2", 1))
    read = clsbench.load if name in ("metrics.jsonl", "summary.json") else lambda run: clsbench.load_model(run, 0)
    with pytest.raises(RunError, match=rf"{name} is damaged, or was edited: its SHA-256 is not the run's"):
        read(run)


@pytest.mark.parametrize("file", flips.FINISHED)
def test_flipped_bits_of_a_finished_run_are_noticed(finished: Path, file: str) -> None:
    """A sample of `scripts/faults.py flips`: each is refused, or without effect."""
    failures: list[str] = []
    found = flips.outcomes_of(finished, file, flips.shown, 5, failures)
    assert ([], 5) == (failures, found["refused"] + found["no effect"])


@pytest.mark.parametrize("file", flips.STOPPED)
def test_flipped_bits_of_a_stopped_run_are_noticed(tmp_path: Path, file: str) -> None:
    """Each is refused, or what is told is what was there, or less, to be made again."""
    failures: list[str] = []
    flips.outcomes_of(stopped(TREE, tmp_path, 7), file, flips.gone_on_from, 5, failures)
    assert [] == failures


def as_of_earlier(run: Path) -> None:
    """Make of a run what the version before this one would have left: a list of checkpoints, and no sums."""
    directory = RunDirectory(run)
    entries = [entry.model_dump() for entry in directory.manifest.entries()]
    for entry in entries:
        file = run / "checkpoints" / entry["file"]
        content = torch.load(file, weights_only=True)
        torch.save({key: content[key] for key in content if key not in ("run", "phase", "fingerprint", "data")}, file)
        entry["sha256"] = sha256_of(file.read_bytes())
    environment = json.loads((run / "environment.json").read_text())
    kept = {key: value for key, value in environment.items() if key not in ("run", "fingerprint", "sum")}
    (run / "environment.json").write_text(json.dumps(kept, indent=2))
    (run / "checkpoints" / "manifest.json").write_text(json.dumps(entries))


def test_run_of_an_earlier_version_is_read_and_not_resumed(run: Path) -> None:
    """It has no sums: it is read as it is, and going on with it is refused in one line."""
    result, weights = clsbench.load(run), clsbench.load_model(run, 1)[0].state_dict()
    as_of_earlier(run)
    again = clsbench.load(run)
    assert (result.records, result.summary) == (again.records, again.summary)
    torch.testing.assert_close(weights, clsbench.load_model(run, 1)[0].state_dict(), rtol=0, atol=0)
    refused(run, r"was begun by an earlier version of clsbench, which kept no sums; start a new run")


def test_fingerprint_names_config_data_and_versions(finished: Path) -> None:
    """Manifest, environment and each checkpoint name one run, and what made it."""
    directory = RunDirectory(finished)
    manifest, environment = directory.manifest.written(), directory.environment()
    whole = directory.identify().fingerprint
    assert (manifest.run, whole.model_dump()) == (environment["run"], environment["fingerprint"])
    assert whole.brief == manifest.fingerprint
    for entry in manifest.checkpoints:
        content = torch.load(directory.manifest.folder / entry.file, weights_only=True)
        assert (manifest.run, "metrics") == (content["run"], content["phase"])
        assert manifest.fingerprint == type(manifest.fingerprint).model_validate_json(content["fingerprint"])
    (by_seed,) = directory.hashes().values()
    trials = make_plan(read(TREE)).trials
    assert {str(trial.dataset.split_seed) for trial in trials} == set(by_seed)
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in str(manifest.fingerprint.versions["python"])
