"""Results as tables for other programs: tidy rows, and LaTeX of them."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import clsbench
from clsbench.report.tidy import latex, tidy
from clsbench.result import trained_arms

CONFIG: dict[str, Any] = {
    "name": "tables",
    "dataset": [{"name": "moons", "samples": 60, "label": "d & 1"}, {"name": "circles", "samples": 60}],
    "model": {"name": "mlp", "hidden": [4]},
    "loss": [{"name": "focal", "gamma": [0, 2]}, {"name": "cross_entropy", "label": "50% {x}_\\"}],
    "tune": {"grid": {"lr": [0.1, 1.0]}, "seeds": 2},
    "train": {"epochs": 1, "seeds": 4},
    "report": "off",
}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> clsbench.Result:
    return clsbench.run(CONFIG, output=tmp_path_factory.mktemp("tables"))


def test_every_arm_has_its_label_and_every_setting(result: clsbench.Result) -> None:
    """A row for each metric of each arm, with what was trained in columns: options, init, what tuning chose."""
    rows = tidy(result.summary, trained_arms(result))["arms"]
    by_arm = {name: [row for row in rows if row["arm"] == name] for name in result.arms}
    assert all([*result.arms[name]["metrics"]] == [row["metric"] for row in of] for name, of in by_arm.items())
    (row,) = (row for row in by_arm["focal dataset=d & 1 gamma=2.0"] if row["metric"] == "test_accuracy")
    chosen = next(arm["chosen"]["lr"] for arm in result.summary["tuning"]["arms"] if arm["name"] == row["arm"])
    assert {
        "label": "focal",
        "loss": "focal",
        "dataset": "d & 1",
        "dataset.samples": 60,
        "model.hidden": "[4]",
        "model.init.scale": 1.0,
        "loss.gamma": 2.0,
        "loss.class_weight": None,
        "optimizer.lr": chosen,
        "optimizer.momentum": 0.0,
        "seeds": 4,
        "better": "higher",
    }.items() <= row.items()
    first, *middle, last = sorted(result.arms[row["arm"]]["metrics"]["test_accuracy"]["values"])
    assert first <= last
    assert pytest.approx(sum(middle) / 2) == row["iqm"] == row["median"]
    assert "50% {x}_\\" == rows[-1]["label"]


def test_every_verdict_setting_and_pair_is_a_row(result: clsbench.Result) -> None:
    """Nothing is left out, and nothing nested."""
    found, summary = tidy(result.summary, trained_arms(result)), result.summary
    assert ["arms", "verdicts", "tuning", "across", "pairs"] == list(found)
    assert len(summary["verdicts"]) == len(found["verdicts"])
    scaled = [row["scaled"] and row["scaled"]["verdict"] for row in summary["verdicts"]]
    assert scaled == [row["scaled_verdict"] for row in found["verdicts"]]
    assert 6 * 2 == len(found["tuning"])
    assert 6 == sum(row["chosen"] for row in found["tuning"])
    assert {0.1, 1.0} == {row["lr"] for row in found["tuning"]}
    assert [arm["mean_rank"] for arm in summary["across"]["arms"]] == [row["mean_rank"] for row in found["across"]]
    assert [pair["win"] for pair in summary["across"]["pairs"]] == [row["win"] for row in found["pairs"]]
    cells = [value for rows in found.values() for row in rows for value in row.values()]
    assert not any(isinstance(value, list | dict | tuple) for value in cells)


def test_latex_has_the_rules_of_booktabs_and_no_stray_command(result: clsbench.Result) -> None:
    """Every line of a table has as many cells, and what a label holds is text."""
    found = latex(result.summary)
    assert ["arms", "verdicts", "tuning", "across", "pairs"] == list(found)
    for text in found.values():
        rules = ["toprule", "midrule", "bottomrule"]
        assert rules == re.findall(r"\\(\w+rule)$", text, re.MULTILINE)
        (columns,) = re.findall(r"\\begin\{tabular\}\{(\w+)\}", text)
        lines = [line for line in text.splitlines() if line.endswith(r" \\")]
        assert {len(columns)} == {len(re.findall(r"(?<!\\)&", line)) + 1 for line in lines}
    assert r"focal dataset=d \& 1 gamma=0" in found["arms"]
    assert r"50\% \{x\}\_\textbackslash{} dataset=circles" in found["arms"]


def test_the_command_writes_them_into_a_folder(
    result: clsbench.Result, invoke: Callable[..., Any], tmp_path: Path
) -> None:
    """CSV that reads back, LaTeX beside it; a file of another kind is left alone."""
    folder = tmp_path / "tables"
    answer = invoke("report", str(result.directory), "--tables", str(folder))
    assert 0 == answer.exit_code
    names = ["arms", "verdicts", "tuning", "across", "pairs"]
    assert {f"{name}.{suffix}" for name in names for suffix in ("csv", "tex")} == {
        path.name for path in folder.iterdir()
    }
    with (folder / "arms.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {"tables"} == {row["run"] for row in rows}
    assert set(result.arms) == {row["arm"] for row in rows}
    assert 0 == invoke("report", str(result.directory), "--tables", str(folder)).exit_code  # its own are replaced
    (folder / "across.tex").write_text("mine")
    refused = invoke("report", str(result.directory), "--tables", str(folder))
    assert 2 == refused.exit_code
    assert "across.tex exists and is not a table that clsbench wrote" in refused.stderr
    assert "mine" == (folder / "across.tex").read_text()
