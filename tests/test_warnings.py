"""What was read is said by `run`, `check --data` and `report`; warnings are kept, counted, silenced or made errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CONFIG = """
name: copies
dataset: {name: csv, path: copies.csv, label: mine}
model: linear
loss: cross_entropy
train: {epochs: 1, seeds: 1}
silence: [majority]
report: off
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An experiment on twenty rows that a table holds five times."""
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{number}.5,{number * number},{'ab'[number % 2]}\n" for number in range(20))
    (tmp_path / "copies.csv").write_text(f"x,y,kind\n{rows * 5}")
    path = tmp_path / "copies.yaml"
    path.write_text(CONFIG)
    return path


def test_run_and_report_say_what_was_read(config: Path, invoke: Callable[..., Any]) -> None:
    """Samples, columns, classes with counts, and each warning with its code, in the report and in the summary."""
    ran = invoke("run", str(config), "-q")
    assert 0 == ran.exit_code
    first, whole = ran.stdout, invoke("report", "--details").stdout
    assert "Data mine: 60 train, 20 val, 20 test samples of 2 numbers, 2 classes" in first
    assert "Data mine: 60 training, 20 validation and 20 test samples of 2 numbers" in whole
    assert "a 30/10/10, b 30/10/10; always answering 'a'" in whole
    assert (2, 2) == (first.count("[repeated-samples]"), whole.count("[repeated-samples]"))
    (path,) = config.parent.glob("runs/copies/*/summary.json")
    summary = json.loads(path.read_text())
    assert [("repeated-samples", "mine")] * 2 == [(each["code"], each["where"]) for each in summary["warnings"]]
    assert {"number": 2} == summary["data"]["mine"]["columns"]


def test_check_opens_data_only_if_asked(config: Path, invoke: Callable[..., Any]) -> None:
    """`check --data` says what was read; without it a missing file is no mistake."""
    assert "[repeated-samples]" in invoke("check", str(config), "--data").stdout
    (config.parent / "copies.csv").unlink()
    assert 0 == invoke("check", str(config)).exit_code
    assert 4 == invoke("check", str(config), "--data").exit_code


def test_check_says_what_it_is_reading(
    config: Path, invoke: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where reading takes long, a line on stderr says so, and stdout has the plan alone."""
    quiet = invoke("check", config, "--data")
    monkeypatch.setattr("clsbench.report.progress.SECONDS_BETWEEN_LINES", 0.0)
    slow = invoke("check", config, "--data")
    assert ("", f"reading {config.parent / 'copies.csv'}\n") == (quiet.stderr, slow.stderr)
    assert quiet.stdout == slow.stdout


def test_warning_can_be_an_error_or_be_silenced(config: Path, invoke: Callable[..., Any]) -> None:
    """`expect: ["warnings == 0"]` ends with 3 where there are any that are not silenced."""
    expect = 'expect=["warnings == 0"]'
    failed = invoke("run", str(config), "-q", expect)
    assert (3, True) == (failed.exit_code, "warnings == 0: 2 against 0" in failed.stderr)
    assert 0 == invoke("run", str(config), "-q", expect, "silence=[repeated-samples, majority]").exit_code


def test_unknown_code_is_refused_with_the_nearest(config: Path, invoke: Callable[..., Any]) -> None:
    """A code that does not exist silences nothing."""
    refused = invoke("check", str(config), "silence=[repeated-sample]")
    assert (2, True) == (refused.exit_code, "did you mean 'repeated-samples'?" in refused.stderr)


def test_arm_that_learned_nothing_is_said(tmp_path: Path, invoke: Callable[..., Any]) -> None:
    """With 5% of a rare class that nothing tells apart, accuracy looks high: the majority and one class are named."""
    rows = "".join(f"{number % 7}.5,{number % 3}.25,{'yes' if number % 20 == 0 else 'no'}\n" for number in range(200))
    (tmp_path / "rare.csv").write_text(f"x,y,kind\n{rows}")
    config = tmp_path / "rare.yaml"
    config.write_text(
        "name: rare\ndataset: {name: csv, path: rare.csv}\nmodel: linear\nloss: cross_entropy\n"
        "train: {epochs: 20, seeds: 2}\nsilence: [repeated-samples]\nreport: off\n"
    )
    done = invoke("run", str(config), "-q", "--json", "--output", str(tmp_path))
    warnings = json.loads(done.stdout)["warnings"]
    assert ["one-class", "majority"] == [each["code"] for each in warnings]
    assert "2 of 2 seeds predict 'no' for every test sample" == warnings[0]["text"]
    assert "cross_entropy" == warnings[1]["where"]


def test_an_epoch_chosen_on_test_data_is_warned_of(tmp_path: Path, invoke: Callable[..., Any]) -> None:
    """The arm and the expectation are named, with what to write; it can be silenced, and resuming judges anew."""
    config = tmp_path / "best.yaml"
    config.write_text(
        "name: best\ndataset: {name: moons, samples: 60}\nmodel: linear\nloss: cross_entropy\n"
        "train: {epochs: 2, seeds: 2}\nreport: off\n"
        "silence: [one-class, majority]\nexpect:\n- cross_entropy.test_nll@best > 0\n"
        "- cross_entropy.val_nll@best > 0\n- cross_entropy.test_nll@val_best > 0\n"
    )
    summary = json.loads(invoke("run", str(config), "-q", "--json", "--output", str(tmp_path)).stdout)
    told = "`cross_entropy.test_nll@best > 0` chooses the epoch on test data; write test_nll@val_best"
    assert [{"code": "best-on-test", "where": "cross_entropy", "text": told}] == summary["warnings"]
    assert [True] * 3 == [each["met"] for each in summary["expectations"]]
    (directory,) = (tmp_path / "best").iterdir()
    again = ("run", "--resume", str(directory), "-q", "--json")
    assert [] == json.loads(invoke(*again, "silence=[best-on-test]").stdout)["warnings"]
    assert [] == json.loads(invoke(*again, "expect=[cross_entropy.test_nll@val_best > 0]").stdout)["warnings"]


@pytest.mark.parametrize(
    ("names", "order", "expected"),
    [
        (("low", "medium", "high"), "", ["class-order"]),
        (("low", "medium", "high"), ", classes: [low, medium, high]", []),
        (("1", "2", "3"), "", []),
    ],
)
def test_order_of_text_classes_is_asked_for(
    tmp_path: Path, invoke: Callable[..., Any], names: tuple[str, ...], order: str, expected: list[str]
) -> None:
    """A loss on class numbers needs their order: sorted names have none, numbers and `classes` give it."""
    rows = "".join(f"{number % 3 + number / 500},{number % 5}.5,{names[number % 3]}\n" for number in range(60))
    (tmp_path / "grades.csv").write_text(f"x,y,grade\n{rows}")
    config = tmp_path / "grades.yaml"
    config.write_text(
        f"name: grades\ndataset: {{name: csv, path: grades.csv{order}}}\nmodel: linear\nloss: mse_class_index\n"
        "train: {epochs: 1, seeds: 1}\nsilence: [majority, one-class, separating-column]\nreport: off\n"
    )
    done = invoke("run", str(config), "-q", "--json", "--output", str(tmp_path))
    assert expected == [each["code"] for each in json.loads(done.stdout)["warnings"]]
