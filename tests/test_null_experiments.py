"""Verdicts on trained records: seldom wrong where there is nothing to find, seldom blind where there is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import clsbench
import clsbench.shown
import null_experiments
from clsbench.analysis import verdicts
from clsbench.experiment import Result

EXPERIMENTS = 300
MOST_FALSE = 0.082  # 5%, and 2.5 deviations of a share of 5% among 300


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """The script's own trials, on fewer seeds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clsbench.shown, "figures", lambda *_: {})
        config = {**null_experiments.CONFIG, "train": {**null_experiments.CONFIG["train"], "seeds": 300}}
        return clsbench.run(config, output=tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def figures(trained: Result) -> dict[str, Any]:
    return null_experiments.measure(null_experiments.pool_of(trained), EXPERIMENTS)


def test_one_loss_is_seldom_called_better_than_itself(figures: dict[str, Any]) -> None:
    """Two disjoint sets of ten seeds differ by a verdict in at most 5% of comparisons, and of runs after Holm."""
    assert (300, 900) == (figures["experiments"], figures["comparisons"])
    assert 0.0 < figures["false_single"] <= MOST_FALSE
    assert 0.0 <= figures["false_holm"] <= MOST_FALSE
    assert {"collapsing", "diverging"} == figures["false_spoiled"].keys()
    assert max(figures["false_spoiled"].values()) <= MOST_FALSE


def test_a_difference_of_one_deviation_is_found(figures: dict[str, Any]) -> None:
    """With twenty seeds, in at least 95 of 100 comparisons, in every metric."""
    assert 0.95 <= min(each["single"] for each in figures["found"].values())
    assert all(each["holm"] <= each["single"] for each in figures["found"].values())


def test_too_generous_verdicts_would_be_noticed(trained: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    """At another level than the stated one the figure is missed."""
    monkeypatch.setattr(verdicts, "LEVEL", 0.2)
    figures = null_experiments.measure(null_experiments.pool_of(trained), EXPERIMENTS)
    assert figures["false_single"] > MOST_FALSE
    assert not figures["reached"]


def test_script_draws_from_a_run(
    trained: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--run` trains nothing; the figures are printed and written; the exit code says whether they are reached."""
    monkeypatch.setattr(clsbench, "run", None)
    command = ["--run", str(trained.directory), "--experiments", "40", "--json", str(tmp_path / "figures.json")]
    monkeypatch.setattr("sys.argv", ["null_experiments.py", *command])
    code = null_experiments.main()
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert (0 if figures["reached"] else 1) == code
    assert f"{figures['false_single']:.1%} of 120 comparisons" in capsys.readouterr().out
