"""Faults of configs, data, folders and devices, from the command line: exit code, line, and what is left on disk."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import clsbench
from clsbench.registry import catalogue

Fails = Callable[..., str]
Invoke = Callable[..., Any]

ROOT = Path(__file__).resolve().parents[2]


def mistake_of(fails: Fails, config: Path, text: str | bytes) -> str:
    config.write_bytes(text if isinstance(text, bytes) else text.encode())
    return fails(2, "check", config.name)


def test_path_that_is_no_config(here: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing path, a directory and an unreadable file are 2."""
    assert "none.yaml: no such file; " in fails(2, "check", "none.yaml")
    assert "tiny.yml: no such file; did you mean 'tiny.yaml'?" == fails(2, "run", "tiny.yml")
    assert ".: cannot be read: Is a directory; give a YAML file" == fails(2, "check", ".")

    def denied(path: Path, most: int) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("clsbench.config.reader.read_bounded", denied)
    assert "tiny.yaml: cannot be read: Permission denied; give a YAML file" == fails(2, "run", "tiny.yaml")
    assert ["tiny.yaml"] == os.listdir(here)


@pytest.mark.parametrize(
    ("row", "text", "message"),
    [
        (2, "", "c.yaml:1:1: the file is empty; "),
        (2, "[moons]", "c.yaml:1:1: the file is a list, not a mapping of keys; "),
        (2, "moons", "c.yaml:1:1: the file is the value 'moons', not a mapping of keys; "),
        (3, "loss: [a", "c.yaml:1:9: not valid YAML: "),
        (3, "train:\n\tepochs: 1", "c.yaml:2:1: not valid YAML: found character '\\t'"),
        (4, b"loss: \xe9", "c.yaml:1:7: not UTF-8 text; save it as UTF-8"),
        (4, "name: a\0", "c.yaml:1:8: the character '\\x00' is not allowed in YAML"),
        *((4, f'dataset: {{name: {name}: "a\\0b"}}', f"c.yaml:1:{len(name) + 19}: dataset.{name.split()[1]}: 'a\\x00")
          for name in ("csv, path", "image_folder, path", "mnist, data_dir")),
        (6, "tune: no", "c.yaml:1:7: tune: 'no' is a truth value in YAML 1.1 and a word in 1.2; quote it"),
        (6, "train: 3.10", "c.yaml:1:8: train: must be a mapping of keys, got 3.1"),
        (6, "optimizer: {lr: 1:30}", "c.yaml:1:17: optimizer.lr: '1:30' is a base-60 number in YAML 1.1; quote it"),
        (6, "train: {epochs: 012}", "c.yaml:1:17: train.epochs: '012' is octal in YAML 1.1 and decimal in 1.2; quote"),
        (7, "name: a\ntrain: {}\nname: b", "c.yaml:3:1: name: given twice; first on line 1"),
        (8, "trian: {}", "c.yaml:1:1: trian: unknown key; did you mean 'train'?"),
        (8, "loss: cros_entropy", "c.yaml:1:7: loss: unknown loss 'cros_entropy'; did you mean 'cross_entropy'?"),
        (8, "optimizer: {name: sdg}", "c.yaml:1:19: optimizer.name: unknown optimizer 'sdg'; did you mean 'sgd'?"),
        (9, "a: &a [x]\nb: *a", "c.yaml:1:4: a: anchors and aliases are not allowed; write the value out"),
        (9, "<<: {a: 1}", "c.yaml:1:1: merge keys are not allowed; write the values out"),
        (10, "a: " + "[" * 5000, "c.yaml:1:15: a: nested more than 12 levels deep"),
        (10, "train: {epochs: " + "1" * 5000 + "}", "c.yaml:1:17: train.epochs: '1111"),
        (10, "tune: 2024-13-45", "c.yaml:1:7: tune: '2024-13-45' is a date in YAML 1.1; quote it"),
        (10, 'name: !!int ""', "c.yaml:1:7: name: the tag "),
        (11, "name: !!python/object/apply:os.mkdir [ran]", "c.yaml:1:7: name: the tag "),
        *((12, f"optimizer: {{lr: {lr}}}", "c.yaml:1:17: optimizer.lr: must be a number above 0, got ")
          for lr in (".nan", "0", "-1", ".inf")),
        (12, "train: {epochs: 0}", "c.yaml:1:17: train.epochs: must be at least 1, got 0"),
        (12, "train: {epochs: true}", "c.yaml:1:17: train.epochs: must be a whole number, got true"),
        *((13, f"train: {{seeds: [{seed}]}}", "c.yaml:1:16: train.seeds: a seed must be a whole number from 0 to ")
          for seed in (-1, 2**32, 2**70)),
        (14, "loss: [bce, bce]", "c.yaml:1:1: 2 arms are called 'bce'; give their entries distinct labels"),
        (14, "train: {seeds: 1000000}", "c.yaml:1:1: the grid has up to 2,000,000 trials; the limit is 100,000: "),
        (15, "model: cnn", "c.yaml:1:8: model: cnn takes images, and moons has samples of shape [2]; use mlp"),
        (15, "dataset: iris\nloss: {name: bce, outputs: 1}", "c.yaml:2:7: loss: bce does not fit iris: "),
        (64, "name: ../x", "c.yaml:1:7: name: must start with a-z or 0-9"),
        (64, "name: /x", "c.yaml:1:7: name: must start with a-z or 0-9"),
        (64, "name: .", "c.yaml:1:7: name: must start with a-z or 0-9"),
        (64, 'name: "a\\0"', "c.yaml:1:7: name: must start with a-z or 0-9"),
        (64, "name: -rf", "c.yaml:1:7: name: must start with a-z or 0-9"),
        (64, 'name: "a\\n"', "c.yaml:1:7: name: must start with a-z or 0-9"),
        (45, "name: " + "x" * 101, "c.yaml:1:7: name: must start with a-z or 0-9"),
        *((68, f"{kind}: os:system", f"c.yaml:1:{len(kind) + 3}: {kind}: unknown {kind} 'os:system'; one of ")
          for kind in ("model", "loss", "dataset")),
        (68, "optimizer: {name: 'os:system'}", "c.yaml:1:19: optimizer.name: unknown optimizer 'os:system'; one of "),
        (68, "plugin: mine.py", "c.yaml:1:1: plugin: unknown key; one of "),
    ],
)  # fmt: skip
def test_config_is_refused(row: int, text: str | bytes, message: str, here: Path, fails: Fails) -> None:
    """2, one line with its place, by `check` and `run` alike; nothing is run or made."""
    assert mistake_of(fails, here / "c.yaml", text).startswith(message)
    assert fails(2, "run", "c.yaml").startswith(message)
    assert {"tiny.yaml", "c.yaml"} == set(os.listdir(here))


@pytest.mark.parametrize("text", [b"\xef\xbb\xbfname: a", b"optimizer: {lr: [1e-3, 1e3, 1.5e3]}"])
def test_config_is_accepted(text: bytes, here: Path, invoke: Invoke) -> None:
    """A byte-order mark is fine, and numbers with an exponent are numbers."""
    (here / "c.yaml").write_bytes(text)
    assert 0 == invoke("check", "c.yaml").exit_code


DATA = """
import clsbench
from clsbench.data.raw import RawData
import numpy as np

X = np.arange(80.0).reshape(40, 2)

@clsbench.dataset("nan_feature")
def nan_feature(seed):
    "A NaN in row 3, column 1."
    x = X.copy()
    x[3, 1] = np.nan
    return x, [n % 2 for n in range(40)]

@clsbench.dataset("label_outside")
def label_outside(seed):
    "A label 5 of two classes."
    return RawData(X, np.array([5] + [n % 2 for n in range(39)]), num_classes=2)

@clsbench.dataset("one_class")
def one_class(seed):
    "Nothing to tell apart."
    return X, [0] * 40

@clsbench.dataset("too_small")
def too_small(seed):
    "Four samples."
    return X[:4], [0, 1, 0, 1]
"""


def test_data_that_cannot_be_learned_from(here: Path, invoke: Invoke) -> None:
    """NaN, a label out of range, one class, an empty split: 4, named, from a plugin; no run directory."""
    (here / "mine.py").write_text(DATA)
    plugin: tuple[str, ...] = ("--plugin", "mine.py")
    for name, reason in (
        ("nan_feature", "nan in row 3, column 1"),
        ("label_outside", "label 5 in row 0 "),
        ("one_class", "every sample is of class '0'"),
        ("too_small", "class '0' has 2 of the 4 samples, too few for 3 splits"),
        ("{name: too_small, val_fraction: 0.01}", "val_fraction 0.01 of 4 samples is 0 samples"),
    ):
        answer = invoke("run", "tiny.yaml", f"dataset={name}", *plugin)
        plugin = ()  # it is registered now
        assert (4, "") == (answer.exit_code, answer.stdout), answer.output
        assert 1 == answer.stderr.count("\n")
        assert reason in answer.stderr
    assert not (here / "runs").exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a,b\n1,x\nnan,y\n", "t.csv:3: missing values: 1 in 'a'"),
        ("a,b\n1,x\n2,x\n", "every sample is of class 'x'"),
        ("a,b\n", "t.csv: there are no rows"),
        ("a,b\n1,x\n2,y\n", "val_fraction 0.2 of 2 samples is 0 samples"),
    ],
)
def test_table_that_cannot_be_learned_from(text: str, reason: str, here: Path, fails: Fails) -> None:
    """The same from a CSV file."""
    (here / "t.csv").write_text(text)
    assert reason in fails(4, "run", "tiny.yaml", "dataset={name: csv, path: t.csv}")
    assert not (here / "runs").exists()


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        ("model=cnn", "cnn takes images, and csv has samples of shape [1]; use mlp"),
        ("loss={name: bce, outputs: 1}", "bce does not fit csv: outputs: 1 is for two classes, and there are 3"),
    ],
)
def test_misfit_that_shows_when_data_is_opened(override: str, reason: str, here: Path, fails: Fails) -> None:
    """Where only the file tells what it holds, a misfit is still 2, and no run directory is made."""
    (here / "t.csv").write_text("a,b\n" + "".join(f"{n},{'xyz'[n % 3]}\n" for n in range(60)))
    assert reason == fails(2, "run", "tiny.yaml", "dataset={name: csv, path: t.csv}", override)
    assert {"tiny.yaml", "t.csv"} == set(os.listdir(here))


@contextmanager
def unprivileged() -> Iterator[None]:
    """Whoever may write anywhere is somebody else while this holds."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("place", ["runs", "runs/moons", "new"])
def test_output_that_may_not_be_written(
    place: str, here: Path, invoke: Invoke, fails: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-only output is 6 before training, wherever the wall is, and is left as it was."""
    monkeypatch.setattr("clsbench.execution.execute.execute", lambda *_: 1 / 0)
    assert 1 == invoke("run", "tiny.yaml", "--output", "warm").exit_code  # what there is to import, root may read
    (here / "runs" / "moons").mkdir(parents=True)
    wall = here if place == "new" else here / place
    for folder in (here, here / "runs", here / "runs" / "moons"):
        folder.chmod(0o555 if folder == wall else 0o777)
    before = sorted(here.rglob("*"))
    with unprivileged():
        line = fails(6, "run", "tiny.yaml", "--output", "new" if place == "new" else "runs")
    assert "cannot be written: permission denied; free it, or write elsewhere" in line
    assert before == sorted(here.rglob("*"))


def test_run_with_a_plugin_goes_on_with_it(here: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """--resume needs the plugin that the run was begun with, and says so; with it, the end is the same."""
    monkeypatch.setattr("clsbench.shown.figures", lambda *_: {})
    (here / "mine.py").write_text(
        "import clsbench\n@clsbench.loss('mine')\ndef mine(logits, targets):\n    'Mine.'\n"
        "    return logits.square().sum(-1)\n"
    )
    assert 0 == invoke("run", "tiny.yaml", "loss=mine", "--plugin", "mine.py").exit_code
    (run,) = (here / "runs" / "moons").iterdir()
    whole = clsbench.load(run)
    (run / "summary.json").unlink()  # as if it had been stopped at the last moment
    for table in (catalogue._specs, catalogue._canonical):
        del table["loss"]["mine"]
    answer = invoke("run", "--resume", run)
    assert 6 == answer.exit_code
    assert "unknown loss 'mine'" in answer.stderr
    assert answer.stderr.endswith(" (the run's config is damaged, or needs its plugin: --plugin FILE)\n")
    assert 0 == invoke("run", "--resume", run, "--plugin", "mine.py").exit_code
    again = clsbench.load(run)
    assert (whole.records, whole.summary["pairing"]) == (again.records, again.summary["pairing"])


def test_data_that_is_not_to_be_had(here: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    """MNIST without files or network is 4, names the files and their folder; no run directory."""

    def offline(*_: Any, **__: Any) -> None:
        raise OSError("no network")

    monkeypatch.setattr(socket, "getaddrinfo", offline)
    monkeypatch.setattr(socket.socket, "connect", offline)
    line = fails(4, "run", ROOT / "configs" / "mnist_mlp.yaml", "dataset.data_dir=empty")
    for text in ("train-images-idx3-ubyte", "t10k-labels-idx1-ubyte", "empty/MNIST/raw", "put good copies there"):
        assert text in line
    assert not (here / "runs").exists()


def test_diverged_arm_is_a_result(here: Path, invoke: Invoke) -> None:
    """At lr 1e10 `mse_logits` diverges, the others finish, all is strict JSON, and it is 0."""
    (here / "c.yaml").write_text(
        "dataset: {name: moons, samples: 60}\nmodel: linear\ntrain: {epochs: 12, seeds: 2, device: cpu}\n"
        "loss: [{name: mse_logits, lr: 1e10}, cross_entropy, mse_softmax]\n"
    )
    answer = invoke("run", "c.yaml", "--json")
    assert (0, "") == (answer.exit_code, answer.stderr)
    (directory,) = (here / "runs" / "moons").iterdir()

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    lines = (directory / "metrics.jsonl").read_text("utf-8").removesuffix("\n").split("\n")
    records = [json.loads(line, parse_constant=refuse) for line in lines]
    summary = json.loads((directory / "summary.json").read_text("utf-8"), parse_constant=refuse)
    assert [2, 0, 0] == [arm["diverged"] for arm in summary["arms"]]
    last = {record["trial"]: record for record in records}
    assert ["diverged"] * 2 + ["finished"] * 4 == [last[trial]["status"] for trial in range(6)]
    assert {None} == {last[0][key] for key in last[0] if key.startswith(("train_", "val_", "test_"))}
    assert 0 < last[0]["step"] < 24
    assert [12] * 4 == [last[trial]["epoch"] for trial in range(2, 6)]
    assert [None, None] == summary["arms"][0]["metrics"]["test_accuracy"]["values"]
    assert "2 of 2" in invoke("report", directory).stdout


@pytest.mark.parametrize("device", ["cuda:99", "cuda"])
def test_device_that_is_not_there(device: str, here: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    """2 at once, before data is opened or a directory is made."""
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    line = fails(2, "run", "tiny.yaml", f"train.device={device}", "dataset={name: csv, path: none.csv}")
    assert f"train.device: no CUDA device '{device}': this machine has none; use auto or cpu" == line
    assert ["tiny.yaml"] == os.listdir(here)


@pytest.mark.parametrize(
    ("dataset", "code", "message"),
    [
        ("{name: moons, samples: 1000000000000000000000000000000}", 2, "dataset.samples: must be at most 1000000000"),
        ("{name: classification, features: 1000000000000000000000000000000}", 2, "dataset.features: must be at most "),
        ("{name: fake_data, samples: 1000000000, image_size: 10000}", 4, "dataset fake_data: it does not fit into"),
    ],
)
def test_more_data_than_there_is_memory(dataset: str, code: int, message: str, here: Path, fails: Fails) -> None:
    """What no machine holds is refused when it is checked, what this one does not hold is 4."""
    assert message in fails(code, "run", "tiny.yaml", f"dataset={dataset}", "model=linear")
    assert not (here / "runs").exists()
