"""`clsbench report`: the newest run, several, figures, and what is no run."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import clsbench

Fails = Callable[..., str]
Invoke = Callable[..., Any]


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    data, train = {"name": "moons", "samples": 60}, {"epochs": 1, "seeds": 1}
    tree = {"dataset": data, "model": "linear", "train": train, "report": "off"}
    output = tmp_path_factory.mktemp("two") / "runs"
    return [clsbench.run(tree, output=output).directory for _ in range(2)]


def test_report_shows_the_newest_run(two_runs: list[Path], invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a RUN, `report` takes the one started last under runs/."""
    monkeypatch.chdir(two_runs[0].parents[2])
    answer = invoke("report")
    assert (0, "") == (answer.exit_code, answer.stderr)
    assert two_runs[1].name in answer.stdout
    assert two_runs[0].name + "/" not in answer.stdout


def test_a_newer_run_that_was_stopped_is_told(two_runs: list[Path], invoke: Invoke, here: Path) -> None:
    """Beside the answer of the one that is shown, on stderr."""
    shutil.copytree(two_runs[0].parents[1], "runs")
    old, new = sorted(Path("runs").glob("*/*"))
    (new / "summary.json").unlink()
    answer = invoke("report", "--json")
    assert f"{new} is newer, but not finished: this is the newest finished run\n" == answer.stderr
    assert old.name == Path(json.loads(answer.stdout)["directory"]).name


def test_report_of_several_runs(two_runs: list[Path], invoke: Invoke, tmp_path: Path) -> None:
    """As JSON one is its own summary; as CSV several are one table that names the run."""
    assert clsbench.load(two_runs[0]).summary == json.loads(invoke("report", "--json", two_runs[0]).stdout)
    assert 0 == invoke("report", "--csv", tmp_path / "all.csv", *two_runs).exit_code
    with open(tmp_path / "all.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    records = [record for run in two_runs for record in clsbench.load(run).records]
    assert ["run", *records[0]] == list(dict.fromkeys(column.partition("[")[0] for column in rows[0]))
    assert [str(record["test_accuracy"]) for record in records] == [row["test_accuracy"] for row in rows]
    assert {str(run) for run in two_runs} == {row["run"] for row in rows}


def test_report_draws(two_runs: list[Path], invoke: Invoke, fails: Fails, tmp_path: Path) -> None:
    """`--png DIR` writes both formats there; it says what it wrote, or why not."""
    (tmp_path / "one").mkdir()
    done = invoke("report", "--png", tmp_path / "one", "--csv", tmp_path / "records.csv", two_runs[0])
    assert 0 == done.exit_code
    drawn = ["curves.png", "curves.svg", "reliability.png", "reliability.svg"]
    assert drawn == sorted(path.name for path in (tmp_path / "one").iterdir())
    written = [*(tmp_path / "one" / name for name in drawn), tmp_path / "records.csv"]
    assert [f"wrote {path}" for path in written] == done.stderr.splitlines()
    (tmp_path / "file").touch()
    assert "file cannot be made: File exists" in fails(2, "report", "--png", tmp_path / "file", two_runs[0])
    for path, code in ((tmp_path, 2), ("x" * 300, 2), (tmp_path / "file" / "x", 2), (tmp_path / "none" / "x", 2)):
        assert "cannot be written" in fails(code, "report", "--csv", path, two_runs[0])


def test_report_of_what_is_no_run(here: Path, fails: Fails) -> None:
    """No run at all, a folder that is none, and a damaged one each leave with 6 and a hint."""
    assert "no run in runs; `clsbench run CONFIG` makes one" == fails(6, "report")
    assert ". is not a run: it has no checkpoints; give the directory of one" == fails(6, "report", ".")
    (here / "summary.json").write_text("{\n")
    assert "summary.json is damaged: " in fails(6, "report", ".")
