"""Runs of older versions stay readable: the fixtures were written by clsbench 0.1.0, before files had a version."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import clsbench
from clsbench.errors import RunError
from clsbench.metrics.measures import measured
from clsbench.problems import SingleLabel

FIXTURES = Path(__file__).parent.parent / "fixtures"
PLAIN, TUNED = FIXTURES / "run_of_format_1_plain", FIXTURES / "run_of_format_1_tuned"


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A copy of the plain run, to change."""
    return Path(shutil.copytree(PLAIN, tmp_path / "run"))


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


@pytest.mark.parametrize(
    ("path", "arms"), [(PLAIN, ["mse_softmax", "cross_entropy"]), (TUNED, ["mse_softmax", "hinge"])]
)
def test_older_run_is_loaded(path: Path, arms: list[str]) -> None:
    """Its records and its summary are those of the files, and None stands for what they lack."""
    result = clsbench.load(path)
    assert arms == list(result.arms)
    lines = (path / "metrics.jsonl").read_text().splitlines()
    unknown = dict.fromkeys(measured(SingleLabel).keys() - json.loads(lines[0]).keys())
    assert unknown.keys() > {"test_recall", "test_auroc"}
    assert [json.loads(line) | unknown for line in lines] == result.records
    lacking = dict.fromkeys(
        ["format_version", "directory", "rules", "across", "clock", "wall_seconds", "pairs", "data", "warnings"]
    )
    kept = json.loads((path / "summary.json").read_text())
    kept["arms"] = [{**arm, "confusion": None, "own_test": None} for arm in kept["arms"]]
    words = {"no difference": "equivalent", "too few seeds": "undecided"}
    kept["verdicts"] = [
        {**row, "verdict": words.get(row["verdict"], row["verdict"])}
        | {"p_flip": None, "negligible": None, "seeds_needed": None, "scaled": None, "test_set": None}
        for row in kept["verdicts"]
    ]
    assert {**lacking, **kept} == {**result.summary, "tuning": tuning(path)}
    assert (result.summary["tuning"] is None) == (path == PLAIN)


def tuning(path: Path) -> Any:
    return json.loads((path / "summary.json").read_text())["tuning"]


@pytest.mark.parametrize("path", [PLAIN, TUNED])
def test_older_run_is_reported(path: Path, invoke: Callable[..., Any], tmp_path: Path) -> None:
    """In the terminal, as JSON, as CSV and as figures."""
    for options in ([], ["--json"], ["--csv", str(tmp_path / "a.csv")], ["--png", str(tmp_path)]):
        answer = invoke("report", path, *options)
        assert 0 == answer.exit_code, answer.output
        assert "mse_softmax" in answer.stdout
    assert 13 == len((tmp_path / "a.csv").read_text().splitlines())


@pytest.mark.parametrize("path", [PLAIN, TUNED])
def test_older_models_predict(path: Path) -> None:
    """A trained model is read back with the data's shape; raw samples need the normalisation, which was not kept."""
    model, predict = clsbench.load_model(path, 3)
    samples = torch.zeros(4, 2)
    assert [4, 2] == list(model(samples).shape)
    with pytest.raises(RunError, match="did not keep the normalisation; run it again"):
        predict(samples)


@pytest.mark.parametrize("name", ["summary.json", "environment.json"])
def test_newer_format_is_refused_by_name(run: Path, name: str) -> None:
    """Of a newer major version nothing is guessed, whatever else is in the file."""
    (run / name).write_text('{"format_version": 3, "arms": {"as": "nobody knows"}}')
    with pytest.raises(RunError, match=rf"{name} was written by a newer clsbench: its format_version is 3, and 2 is"):
        clsbench.load(run) if name == "summary.json" else clsbench.load_model(run, 0)


def test_newer_format_of_any_length_is_refused(run: Path) -> None:
    """A damaged number of a thousand digits is no bug."""
    (run / "summary.json").write_text(f'{{"format_version": {10**400}}}')
    with pytest.raises(RunError, match=r"its format_version is 10{19}, and 2 is"):
        clsbench.load(run)


def test_newer_keys_are_kept(run: Path) -> None:
    """Keys that a newer minor version adds are read and left alone, in records, summary and environment."""
    rewrite(run / "summary.json", lambda summary: summary.update(format_version=2, weather=["sunny"]))
    rewrite(run / "summary.json", lambda summary: summary["arms"][0].update(colour="red"))
    rewrite(run / "environment.json", lambda environment: environment.update(format_version=2, weather={}))
    lines = (run / "metrics.jsonl").read_text().splitlines()
    added = [json.dumps({**json.loads(line), "test_recall": {"upper moon": 0.5}}) for line in lines]
    (run / "metrics.jsonl").write_text("\n".join([*added, ""]))
    result = clsbench.load(run)
    assert ["sunny"] == result.summary["weather"]
    assert "red" == result.summary["arms"][0]["colour"]
    assert {"upper moon": 0.5} == result.records[0]["test_recall"]
    clsbench.load_model(run, 0)


def test_metric_that_a_record_lacks_is_null(run: Path) -> None:
    """A record of a version that did not know a metric is no damage."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for line in lines:
        del line["test_ece"]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert {None} == {record["test_ece"] for record in clsbench.load(run).records}
