"""The run directory: what is in it, how it comes to be, and what damage is told as."""

from __future__ import annotations

import json
import os
import re
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import clsbench
from clsbench.config.reader import read_file, read_mapping
from clsbench.config.schema import Experiment
from clsbench.errors import ConfigError, RunError
from clsbench.experiment import Result
from clsbench.runs import files
from clsbench.runs.directory import RunDirectory
from clsbench.runs.files import as_json, as_json_line, write_atomically
from clsbench.runs.finding import newest, unfinished_after

HELD_OUT = (
    *("accuracy", "nll", "brier", "ece", "nll_ts", "brier_ts", "ece_ts", "posterior_rmse", "posterior_rmse_ts"),
    *("class_mae", "balanced_accuracy", "macro_f1", "recall", "precision", "auroc", "average_precision"),
)
RECORD = (
    *("trial", "arm", "loss", "dataset", "model", "lr", "seed", "epoch", "step", "train_loss", "train_accuracy"),
    "train_nll",
    *(f"val_{metric}" for metric in HELD_OUT),
    *(f"test_{metric}" for metric in HELD_OUT),
    *("logit_grad_norm", "stuck_share", "seconds", "status"),
)
WEIGHTS = re.compile(r"-[0-9a-f]{8}\.pt$")  # how the name of a checkpoint ends
LABEL = "\x1b[31mred\n\u2028\x85交"
Create = Callable[[Path, Any], RunDirectory]
TREE: dict[str, Any] = {
    "name": "tiny",
    "dataset": {"name": "moons", "samples": 60, "label": LABEL},
    "model": "linear",
    "loss": ["mse_softmax", {"name": "mse_logits", "label": LABEL}],
    "train": {"epochs": 2, "seeds": 2, "device": "cpu"},
}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """A run of two losses, two seeds and two epochs, with a secret in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MY_SECRET", "hunter2-8e1f")
        return clsbench.run(TREE, output=tmp_path_factory.mktemp("runs"))


@pytest.fixture
def experiment() -> Experiment:
    return read_mapping(TREE)


def strict(text: str) -> Any:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_directory_holds_what_the_contract_says(result: Result) -> None:
    """Config, environment, records, summary, curves, page, log and every trial's weights; nothing half written."""
    assert {
        *("config.yaml", "environment.json", "metrics.jsonl", "summary.json", "curves.png", "curves.svg", "run.log"),
        *("checkpoints", "reliability.png", "reliability.svg", "report.html", "replay.npz"),
    } == set(os.listdir(result.directory))
    files = {"lock", "pid", "manifest.json", "metrics-00000-epoch-00002", "metrics-00002-epoch-00002"}
    assert files == {WEIGHTS.sub("", name) for name in os.listdir(result.directory / "checkpoints")}
    assert [result.directory] == list(result.directory.parent.iterdir())
    assert ["tiny"] == os.listdir(result.directory.parent.parent)


def test_config_is_the_whole_experiment(result: Result, experiment: Experiment) -> None:
    """The config kept reads back as the experiment that ran, defaults filled in, nasty labels included."""
    assert experiment == read_file(result.directory / "config.yaml", ())


def test_records_have_the_fields_of_the_contract_in_order(result: Result) -> None:
    """One flat row a trial and epoch, sorted by epoch, then trial; epoch 0 is before training."""
    text = (result.directory / "metrics.jsonl").read_text(encoding="utf-8")
    rows = [strict(line) for line in text.removesuffix("\n").split("\n")]
    assert result.records == rows
    assert [(epoch, trial) for epoch in range(3) for trial in range(4)] == [(r["epoch"], r["trial"]) for r in rows]
    assert {RECORD} == {tuple(row) for row in rows}
    assert [("mse_softmax", "mse_softmax"), (LABEL, "mse_logits")] == [
        (rows[n]["arm"], rows[n]["loss"]) for n in (0, 2)
    ]
    assert [0, 2, 4] == [row["step"] for row in rows if row["trial"] == 0]
    assert ["running", "running", "finished"] == [row["status"] for row in rows if row["trial"] == 0]


def test_metrics_that_a_loss_cannot_have_are_null(result: Result) -> None:
    """A loss without probabilities has accuracy, and null for NLL, Brier and ECE, in records and summary."""
    held_out, scaled = ("val", "test"), ("nll_ts", "brier_ts", "ece_ts")
    unknown = {f"{split}_{metric}" for split in held_out for metric in ("posterior_rmse", "posterior_rmse_ts")}
    of_end = {f"{split}_{metric}" for split in held_out for metric in scaled}
    absent = {f"{split}_{metric}" for split in ("val", "test") for metric in ("nll", "brier", "ece")} | {"train_nll"}
    for row in result.records:
        nulls = {key for key, value in row.items() if value is None}
        before_end = set() if row["status"] == "finished" else of_end
        found = absent | of_end if row["loss"] == "mse_logits" else before_end
        assert found | unknown == nulls - {f"{split}_class_mae" for split in held_out}
    metrics = result.arms[LABEL]["metrics"]
    assert {"mean": None, "std": None, "n": 0, "values": [None, None]} == metrics["test_nll"]
    assert 2 == metrics["test_accuracy"]["n"]


def test_summary_has_the_fields_of_the_contract(result: Result) -> None:
    """Strict JSON; each arm with its last metrics over seeds, std with n - 1, and the pairing's hashes."""
    summary = strict((result.directory / "summary.json").read_text(encoding="utf-8"))
    assert result.summary == summary
    first = [
        "format_version",
        "name",
        "directory",
        "status",
        "device",
        "engine",
        "data",
        "warnings",
        "warm_start",
        "arms",
        "rules",
    ]
    assert [
        *first,
        "pairs",
        "verdicts",
        "across",
        "expectations",
        "pairing",
        "tuning",
        "seconds",
        "wall_seconds",
        "clock",
    ] == list(summary)
    assert 0 < sum(filter(None, summary["clock"].values())) <= summary["wall_seconds"] + summary["clock"]["figures"]
    assert ("tiny", "finished", "cpu") == (summary["name"], summary["status"], summary["device"])
    assert str(result.directory) == summary["directory"]
    arm = summary["arms"][0]
    assert ["mse_softmax", "mse_softmax", LABEL, 0.1, [0, 1], 0] == [
        arm[key] for key in ("name", "loss", "dataset", "lr", "seeds", "diverged")
    ]
    last = [r["test_accuracy"] for r in result.records if r["arm"] == "mse_softmax" and r["epoch"] == 2]
    mean = sum(last) / 2
    measured = arm["metrics"]["test_accuracy"]
    assert last == measured["values"]
    assert mean == pytest.approx(measured["mean"])
    assert sum((value - mean) ** 2 for value in last) ** 0.5 == pytest.approx(measured["std"])
    (pairing,) = summary["pairing"]
    assert [arm["name"] for arm in summary["arms"]] == pairing["arms"]
    assert (64, 64, 64) == tuple(len(pairing[key]) for key in ("weights", "batches", "data"))


def test_environment_says_where_it_ran_and_nothing_of_the_user(result: Result) -> None:
    """Versions, machine, device, what `auto` became, command line, revision, data; no environment variable."""
    environment = strict((result.directory / "environment.json").read_text(encoding="utf-8"))
    named = {"versions", "machine", "device", "auto", "command_line", "git_revision", "datasets"}
    assert {"format_version", "run", "fingerprint", "sum", "resumed", "nodes"} | named == set(environment)
    assert {"python", "clsbench", "torch"} <= set(environment["versions"])
    assert {"threads", "stack", "compile"} == set(environment["auto"])
    assert {
        "problem": "single_label",
        "shape": [2],
        "num_classes": 2,
        "class_names": ["upper moon", "lower moon"],
        "train": 36,
        "val": 12,
        "test": 12,
    } == (environment["datasets"][LABEL])
    kept = [file for file in result.directory.rglob("*") if file.is_file()]
    assert 16 == len(kept)
    assert [] == [file for file in kept if b"hunter2-8e1f" in file.read_bytes() or b"MY_SECRET" in file.read_bytes()]


def test_files_are_as_open_as_the_umask_says(result: Result) -> None:
    """Whoever may read the directory may read the files: none is closed to the group by the way it was written."""
    umask = os.umask(0)
    os.umask(umask)
    modes = {stat.S_IMODE(file.stat().st_mode) for file in result.directory.rglob("*") if file.is_file()}
    assert {0o666 & ~umask} == modes


def test_directory_appears_by_rename_with_its_config(
    tmp_path: Path, create: Create, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the moment of the rename the config is inside, and `runs/NAME/` has never held anything else."""
    seen: list[tuple[list[str], list[str]]] = []
    rename = os.rename

    def watched(old: Path, new: Path) -> None:
        seen.append((sorted(os.listdir(old)), os.listdir(Path(new).parent)))
        rename(old, new)

    monkeypatch.setattr(os, "rename", watched)
    made = create(tmp_path, experiment)
    assert [(["checkpoints", "config.yaml", "environment.json", "metrics.jsonl"], [])] == seen
    assert tmp_path / "tiny" == made.path.parent


def test_starts_in_one_second_get_names_of_their_own(
    tmp_path: Path, create: Create, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight directories for eight starts, all of them run directories."""
    monkeypatch.setattr(time, "strftime", lambda form: "20260101-000000")
    made = [create(tmp_path, experiment).path.name for _ in range(8)]
    assert ["20260101-000000", *(f"20260101-000000-{n}" for n in range(2, 9))] == made
    assert sorted(made) == sorted(os.listdir(tmp_path / "tiny"))


def test_directory_that_cannot_be_made_leaves_nothing(
    tmp_path: Path, create: Create, experiment: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failing rename is a RunError, and the half-made directory is taken away."""

    def refuse(old: Path, new: Path) -> None:
        raise PermissionError(13, "Permission denied", str(new))

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(RunError, match="cannot be written: permission denied"):
        create(tmp_path, experiment)
    assert ["tiny"] == os.listdir(tmp_path)
    assert [] == os.listdir(tmp_path / "tiny")


def test_file_where_a_folder_should_be_is_the_users_mistake(
    tmp_path: Path, create: Create, experiment: Experiment
) -> None:
    """A file called like the output or like the run is told as a wrong command line, and left as it is."""
    (tmp_path / "tiny").write_text("mine")
    for output in (tmp_path, tmp_path / "tiny", tmp_path / ("x" * 300)):
        with pytest.raises(ConfigError, match=r"no run can go there: .*; give another --output"):
            create(output, experiment)
    assert ("mine", ["tiny"]) == ((tmp_path / "tiny").read_text(), os.listdir(tmp_path))


@pytest.mark.parametrize("theirs", ["notes.txt", "20260101-000000/config.toml", "src/main.py", "link"])
def test_place_that_is_somebody_elses_is_left_alone(
    tmp_path: Path, create: Create, experiment: Experiment, theirs: str
) -> None:
    """A folder called like the run that holds what is no run is 6, and nothing is put there or beside it."""
    create(tmp_path, experiment)
    path = tmp_path / "tiny" / theirs
    if theirs == "link":
        path.symlink_to("nowhere")
    else:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RunError, match=rf"tiny holds '{theirs.partition('/')[0]}', which is not a run; give another"):
        create(tmp_path, experiment)
    assert before == sorted(tmp_path.rglob("*"))


def test_hidden_files_are_in_nobodys_way(tmp_path: Path, create: Create, experiment: Experiment) -> None:
    """What a file manager leaves does not keep a run from being made, nor does another folder of the output."""
    for name in ("tiny/.DS_Store", "other/mine.txt", "mine.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert create(tmp_path, experiment).path.is_dir()


def test_newest_is_the_run_started_last(tmp_path: Path, create: Create, experiment: Experiment) -> None:
    """Whatever their names, the last finished one counts, and where none is, the last; half-made directories do not."""
    with pytest.raises(RunError, match=r"no run in .*; `clsbench run CONFIG` makes one"):
        newest(tmp_path)
    old, new, unfinished = (create(tmp_path, experiment).path for _ in range(3))
    os.utime(unfinished / "config.yaml", ns=(2**61, 2**61))
    assert unfinished == newest(tmp_path).path
    for finished in (old, new):
        (finished / "summary.json").touch()
    assert not (unfinished / "summary.json").exists()
    (tmp_path / "other" / "thing").mkdir(parents=True)
    (tmp_path / "other" / "thing" / "summary.json").touch()  # of somebody else's, or a run that is just removed
    (tmp_path / ".tiny-123" / "x").mkdir(parents=True)
    (tmp_path / ".tiny-123" / "x" / "config.yaml").touch()
    os.utime(old / "config.yaml", ns=(2**60, 2**60))
    os.utime(new / "config.yaml", ns=(2**60 + 1, 2**60 + 1))
    assert new == newest(tmp_path).path
    os.utime(old / "config.yaml", ns=(2**60 + 2, 2**60 + 2))
    assert (old, unfinished) == (newest(tmp_path).path, unfinished_after(tmp_path, old))
    os.utime(unfinished / "config.yaml", ns=(2**59, 2**59))
    assert unfinished_after(tmp_path, old) is None


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"3", b"null", b"{}", b'{"name": NaN}', b"\xff", b'{"name": "a"}', b"[" * 100_000],
    ids=lambda text: repr(text[:12]),
)
@pytest.mark.parametrize("name", ["summary.json", "metrics.jsonl"])
def test_damaged_file_is_named(tmp_path: Path, result: Result, name: str, text: bytes) -> None:
    """What is no JSON, no mapping, or lacks what a run has, is a RunError that names the file."""
    for whole in ("summary.json", "metrics.jsonl"):
        (tmp_path / whole).write_bytes((result.directory / whole).read_bytes())
    with open(tmp_path / name, "ab" if name == "metrics.jsonl" else "wb") as file:
        file.write(text + b"\n")
    with pytest.raises(RunError, match=rf"{name}.* (is damaged|cannot be read): ") as caught:
        clsbench.load(tmp_path)
    assert 6 == caught.value.exit_code
    assert "\n" not in str(caught.value)


def test_what_is_no_run_is_told(tmp_path: Path) -> None:
    """A folder of something else, or none at all, is a RunError that asks for one."""
    for path, why in ((tmp_path, "it has no checkpoints"), (tmp_path / "none", "there is no such directory")):
        with pytest.raises(RunError, match=rf" is not a run: {why}; give the directory of one"):
            clsbench.load(path)


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """Whichever step of a save fails, the file is as it was, nothing lies beside it, and the disk is blamed."""
    path = tmp_path / "a.json"
    path.write_text("old")

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    class Full:
        def __init__(self, *_: Any, **how: Any) -> None:
            self.file = open(*_, **how)  # noqa: SIM115 - closed by the `with` of the caller

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: Any) -> None:
            self.file.close()

        write = fail

    if call == "write":
        monkeypatch.setattr(files, "open", Full, raising=False)
    else:
        monkeypatch.setattr(os, call, fail)
    with pytest.raises(RunError, match=r"a\.json cannot be written: disk full"):
        write_atomically(path, b"new")
    assert ("old", ["a.json"]) == (path.read_text(), os.listdir(tmp_path))


def test_save_is_on_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A save is: write, fsync, rename in the same directory, fsync directory."""
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(handle: int) -> None:
        calls.append("fsync folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "fsync")
        fsync(handle)

    def replaced(old: Path, new: Path) -> None:
        calls.append("rename" if Path(old).parent == Path(new).parent else "move")
        replace(old, new)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", replaced)
    write_atomically(tmp_path / "a", b"new")
    assert ["fsync", "rename", "fsync folder"] == calls


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="asks /proc which file a handle is")
def test_every_save_of_a_run_is_on_disk_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From its directory to its figures, what a run renames was forced to disk, and its folder is after."""
    synced, waiting = set[str](), set[str]()
    renamed: list[str] = []
    fsync, replace, rename = os.fsync, os.replace, os.rename

    def on_disk(handle: int) -> None:
        where = os.readlink(f"/proc/self/fd/{handle}")
        synced.add(where)
        waiting.discard(where)
        fsync(handle)

    def moved(old: Path, new: Path) -> None:
        assert os.fspath(old) in synced
        assert Path(old).parent == Path(new).parent
        replace(old, new)
        renamed.append(Path(new).name)
        waiting.add(os.fspath(Path(new).parent))

    def placed(old: Path, new: Path) -> None:
        assert ["config.yaml", "environment.json", "manifest.json"] == renamed
        assert set() == waiting
        rename(old, new)
        waiting.add(os.fspath(Path(new).parent))

    monkeypatch.setattr(os, "fsync", on_disk)
    monkeypatch.setattr(os, "replace", moved)
    monkeypatch.setattr(os, "rename", placed)
    clsbench.run(TREE, output=tmp_path)
    assert set() == waiting
    figures = {f"{name}.{kind}" for name in ("curves", "reliability") for kind in ("png", "svg")}
    files = {"config.yaml", "environment.json", "metrics.jsonl", "manifest.json", "summary.json", *figures}
    assert files <= set(renamed)
    assert {"metrics-00000-epoch-00002", "metrics-00002-epoch-00002"} <= {WEIGHTS.sub("", name) for name in renamed}


def test_json_is_strict() -> None:
    """NaN is a bug, never text; as part of a name it is a name."""
    for value in (float("nan"), float("inf"), -float("inf")):
        with pytest.raises(ValueError, match="line 2 column"):
            as_json({"a": value})
        with pytest.raises(ValueError, match="line 1 column"):
            as_json_line({"arm": "NaN", "nll": value})
    assert {"arm": "-Infinity NaN", "nll": 0.5} == json.loads(as_json_line({"arm": "-Infinity NaN", "nll": 0.5}))
