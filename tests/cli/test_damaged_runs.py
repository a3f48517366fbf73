"""Runs that are damaged or not finished, as the command line tells them: 6, one line, what and where."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import clsbench
from clsbench.errors import RunError
from clsbench.runs.lock import sole_writer
from faulting import mutations
from faulting.runs import cut_run

Fails = Callable[..., str]

FIXTURE = Path(__file__).parent.parent / "fixtures" / "run_of_format_1_plain"
CONFIG = {
    "name": "stopped",
    "dataset": {"name": "moons", "samples": 60},
    "model": "linear",
    "loss": ["bce", "hinge"],
    "train": {"epochs": 3, "seeds": 1, "device": "cpu", "threads": 1},
    "tune": {"grid": {"lr": [0.1, 1.0]}, "seeds": 1},
    "report": "off",
}


def stopped(output: Path, epochs: int) -> Path:
    """A run that ended after so many epochs of stacks, of which tuning has 8, as it has 2 of 2 trials."""
    return cut_run(CONFIG, output, epochs, jobs=1)


def test_every_reader_of_a_run_tells_the_damage(tmp_path: Path, fails: Fails) -> None:
    """`report`, with each of its outputs, and `load` leave with 6, name file and place, and write nothing."""
    run = Path(shutil.copytree(FIXTURE, tmp_path / "run"))
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    records[5]["seed"] = 7
    (run / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    for options in ([], ["--json"], ["--csv", tmp_path / "a.csv"], ["--png", tmp_path / "png"]):
        assert "metrics.jsonl:6 is damaged: seed of trial 1 is 1, not 7" in fails(6, "report", run, *options)
    assert [run] == list(tmp_path.iterdir())
    with pytest.raises(RunError, match=r"metrics\.jsonl:6 is damaged"):
        clsbench.load(run)


@pytest.mark.parametrize(
    ("after", "told"),
    [
        (3, "while tuning, with 4 of 12 epochs of its trials done"),
        (11, "while training, with 2 of 6 epochs of its trials done"),
    ],
)
def test_stopped_run_says_how_far_it_came_and_how_to_go_on(here: Path, fails: Fails, after: int, told: str) -> None:
    """Neither `report` nor `load` calls it damaged, nor does the newest run, where none has finished."""
    run = stopped(here / "runs", after)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    said = f"has not finished: it was stopped {told}; resume it with `clsbench run --resume {{}}`"
    assert f"{run} {said.format(run)}" == fails(6, "report", run)
    newest = run.relative_to(here)
    assert f"{newest} {said.format(newest)}" == fails(6, "report")
    with pytest.raises(RunError, match="has not finished: it was stopped"):
        clsbench.load(run)
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert "finished" == clsbench.run(resume=run).summary["status"]


def test_run_that_is_being_written_is_not_called_stopped(here: Path, fails: Fails) -> None:
    """The process that writes it is named."""
    run = stopped(here / "runs", 3)
    with sole_writer(run / "checkpoints"):
        assert f"{run} is being written by process" in fails(6, "report", run)


@pytest.mark.slow
def test_mutated_files_are_answered_with_0_or_6() -> None:
    """Deleted, replaced, swapped and nested values in each of a run's files, with fitting sums and without."""
    figure = mutations.measure(60)
    assert (True, ()) == (figure.reached, tuple(figure.failures))
