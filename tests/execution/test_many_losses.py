"""Runs of many losses: what grows with the square of their number is bounded, and said to be."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import clsbench
import clsbench.shown
from clsbench.experiment import Result
from clsbench.report.compose import run_document
from clsbench.report.document import ArmRef, Section, Table
from clsbench.report.renderers.terminal import show
from clsbench.report.sections.arms import MAX_ROWS

NUM_LOSSES = 34  # 561 pairs
EXPECTED = ["verdict(l5, l9, test_nll) != better", "l3.test_accuracy >= 0"]
CONFIG: dict[str, Any] = {
    "name": "many",
    "dataset": {"name": "moons", "samples": 60},
    "model": "linear",
    "train": {"epochs": 1, "seeds": 2, "device": "cpu"},
    "expect": EXPECTED,
}


def losses(number: int) -> list[dict[str, Any]]:
    """The same loss twice over with other rates, so that labels share a stack, and others with options of their own."""
    same = [{"name": "bce", "label": f"l{n}", "lr": 0.1 + 0.01 * n} for n in range(number // 2)]
    return same + [{"name": "focal", "label": f"l{n}", "gamma": 1.0 + 0.1 * n} for n in range(number // 2, number)]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clsbench.shown, "figures", lambda *_: {})
        return clsbench.run({**CONFIG, "loss": losses(NUM_LOSSES)}, output=tmp_path_factory.mktemp("runs"))


def shown(result: Result) -> str:
    file = io.StringIO()
    show(run_document(result.records, result.summary), Console(file=file, width=200))
    return " ".join(file.getvalue().split())


def test_each_loss_measures_its_own_networks_alone(result: Result, tmp_path: Path) -> None:
    """Beyond some number of losses an arm has its own loss and the ruler, with the values that a small run gives."""
    assert [[arm["label"]] for arm in result.summary["arms"]] == [
        list(arm["cross"]["losses"]) for arm in result.summary["arms"]
    ]
    picked = [losses(NUM_LOSSES)[place] for place in (3, 20)]
    few = clsbench.run({**CONFIG, "loss": picked, "expect": []}, output=tmp_path)
    for label in ("l3", "l20"):
        assert {"l3", "l20"} == set(few.arms[label]["cross"]["losses"])
        alone = result.arms[label]["cross"]
        assert few.arms[label]["cross"]["losses"][label] == alone["losses"][label]
        assert few.arms[label]["cross"]["nll"] == alone["nll"]


def test_expected_verdicts_are_judged(result: Result) -> None:
    """A pair that is not with the first arm is judged where an expectation names it."""
    assert {"judged": NUM_LOSSES, "all": 561} == result.summary["pairs"]
    assert [True, True] == [row["met"] for row in result.summary["expectations"]]
    assert "Of 561 pairs of arms 34 were judged: each arm against the first of its comparison" in shown(result)


def test_other_verdicts_can_be_asked_of_a_finished_run(result: Result) -> None:
    """Resumed with another expectation, its pair is judged, and what is judged anew is kept."""
    again = clsbench.run(
        {**CONFIG, "loss": losses(NUM_LOSSES), "expect": ["verdict(l30, l2, test_brier) != worse"]},
        resume=result.directory,
    )
    assert [True] == [row["met"] for row in again.summary["expectations"]]
    pairs = {(row["a"], row["b"]) for row in again.summary["verdicts"] if row["a"] != "l0"}
    assert {("l2", "l30")} == pairs
    assert again.summary == clsbench.load(result.directory).summary


def test_tables_are_bounded_and_say_so(result: Result) -> None:
    """The terminal shows the arms that come first, and under each table how many more there are."""
    text, more = shown(result), NUM_LOSSES - MAX_ROWS
    assert f"The tables show the first {MAX_ROWS} by the same measure; summary.json holds all {NUM_LOSSES}." in text
    sections = run_document(result.records, result.summary).sections
    (comparison,) = (section for section in sections if section.name == "comparison")
    tables = [
        block
        for section in comparison.blocks
        if isinstance(section, Section) and section.name != "verdicts"
        for block in section.blocks
        if isinstance(block, Table)
    ]
    arms = [sum(isinstance(row[0], ArmRef) for row in table.rows) for table in tables]  # the majority is no arm
    assert {(MAX_ROWS, more)} == {(number, table.omitted) for number, table in zip(arms, tables, strict=True)}
    assert len(tables) == text.count(f"and {more} more")
