"""Expectations and JUnit on the command line: what is shown where, and the exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import clsbench
from clsbench.errors import ExpectationError

Fails = Callable[..., str]
Invoke = Callable[..., Any]

MET = "expect=[cross_entropy.test_accuracy >= 0, cross_entropy.diverged == 0]"
UNMET = "expect=[cross_entropy.test_nll < 0, cross_entropy.diverged == 0, mse_softmax.test_accuracy > 1]"


def test_met_expectations_are_shown_and_leave_with_0(here: Path, invoke: Invoke) -> None:
    """A met expectation stands in the details with its slack over seeds, in the summary, and nowhere on stderr."""
    answer = invoke("run", "tiny.yaml", MET, "train.seeds=3", "--details")
    assert (0, "") == (answer.exit_code, answer.stderr)
    assert "cross_entropy.test_accuracy >= 0: " in answer.stdout
    assert "cross_entropy.diverged == 0: met, 0 against 0" in answer.stdout
    (directory,) = (here / "runs" / "moons").iterdir()
    first, second = clsbench.load(directory).summary["expectations"]
    assert ["text", "met", "left", "right", "slack"] == list(first)
    assert f"({first['slack']:.1f} standard deviations" in " ".join(answer.stdout.split())
    assert {"text": "cross_entropy.diverged == 0", "met": True, "left": 0, "right": 0.0, "slack": None} == second


def test_unmet_expectations_leave_with_3_when_all_is_kept_and_shown(here: Path, invoke: Invoke) -> None:
    """Each unmet one is a line of stderr with what came; the page is on stdout and the run on the disk."""
    answer = invoke("run", "tiny.yaml", UNMET)
    assert 3 == answer.exit_code == ExpectationError.exit_code
    (directory,) = (here / "runs" / "moons").iterdir()
    arms = clsbench.load(directory).arms
    nll, accuracy = arms["cross_entropy"]["metrics"]["test_nll"], arms["mse_softmax"]["metrics"]["test_accuracy"]
    assert [
        f"error: not met: cross_entropy.test_nll < 0: {nll['mean']:.4g} against 0",
        f"error: not met: mse_softmax.test_accuracy > 1: {accuracy['mean']:.4g} against 1",
    ] == answer.stderr.splitlines()
    assert "1 of 3 expectations met." in answer.stdout
    assert f"runs/moons/{directory.name}/" in answer.stdout


def test_the_left_side_is_the_summarys_mean_to_the_bit(here: Path) -> None:
    """An expectation and the table never disagree in the last digit."""
    tree = {"dataset": {"name": "moons", "samples": 60}, "model": "linear", "train": {"epochs": 2, "seeds": 7}}
    metrics = ("train_loss", "val_nll", "test_nll", "test_brier", "test_accuracy", "logit_grad_norm")
    result = clsbench.run({**tree, "expect": [f"mse_softmax.{metric} > 0" for metric in metrics]})
    means = [result.arms["mse_softmax"]["metrics"][metric]["mean"] for metric in metrics]
    assert means == [row["left"] for row in result.summary["expectations"]]


def test_unmet_json_is_the_summary_and_python_does_not_raise(here: Path, invoke: Invoke) -> None:
    """`--json` keeps stdout strict whatever was expected; `clsbench.run` leaves judging to its caller."""
    answer = invoke("run", "tiny.yaml", UNMET, "--json")
    assert 3 == answer.exit_code
    assert [False, True, False] == [row["met"] for row in json.loads(answer.stdout)["expectations"]]
    result = clsbench.run("tiny.yaml", [UNMET])
    assert [False, True, False] == [row["met"] for row in result.summary["expectations"]]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("cros_entropy.test_nll < 1", "unknown arm 'cros_entropy'; did you mean 'cross_entropy'?"),
        ("cross_entropy.test_nl < 1", "unknown metric 'test_nl'; did you mean 'test_nll'?"),
        ("__import__('os').mkdir('x') == 1", "'__import__' cannot be called"),
    ],
)
def test_mistakes_are_told_before_training(here: Path, fails: Fails, text: str, hint: str) -> None:
    """A misspelled name, or Python, is 2 with a hint, and nothing was trained, run or written."""
    (here / "a.yaml").write_text(f'{{expect: ["{text}"]}}')
    for verb in ("run", "check"):
        assert hint in fails(2, verb, "a.yaml")
    assert ["a.yaml", "tiny.yaml"] == sorted(path.name for path in here.iterdir())


def test_reader_that_leaves_changes_no_verdict(here: Path, run_cli: Callable[..., Any]) -> None:
    """A pager that is closed early does not make an unmet expectation pass."""
    import subprocess

    command = [sys.executable, "-m", "clsbench", "run", "tiny.yaml", UNMET]
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(
        command, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"PYTHONPATH": str(root), "PATH": ""}
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        told = process.stderr.read().decode()
    assert (3, 2) == (process.returncode, told.count("error: not met: "))


def test_junit_holds_the_run_and_each_expectation(here: Path, invoke: Invoke) -> None:
    """`--junit` writes a case for the run and one for each expectation, with 3 as without it."""
    answer = invoke("run", "tiny.yaml", UNMET, "--junit", "junit.xml")
    assert 3 == answer.exit_code
    (suite,) = ElementTree.parse(here / "junit.xml").getroot()
    assert ("4", "2", "0") == (suite.get("tests"), suite.get("failures"), suite.get("errors"))
    assert [0, 1, 0, 1] == [len(case) for case in suite]


def test_junit_of_a_run_that_fails_is_an_error(here: Path, invoke: Invoke) -> None:
    """Where the data are missing the file says so, whatever an earlier run left there."""
    invoke("run", "tiny.yaml", "--junit", "junit.xml")
    csv = "dataset={name: csv, path: none.csv}"
    assert 4 == invoke("run", "tiny.yaml", csv, "--junit", "junit.xml").exit_code
    (suite,) = ElementTree.parse(here / "junit.xml").getroot()
    assert ("1", "1") == (suite.get("tests"), suite.get("errors"))
    assert "none.csv" in suite[0][0].get("message", "")


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("tiny.yaml", "lr=1"), 2, "lr: unknown key"),
        (("none.yaml",), 2, "none.yaml: no such file"),
        (("tiny.yaml", "--plugin", "none.py"), 2, "none.py: no such file"),
        (("--resume", "x"), 6, "cannot be read"),
    ],
)
def test_junit_tells_why_nothing_was_run(
    arguments: tuple[str, ...], code: int, told: str, here: Path, fails: Fails
) -> None:
    """A mistake before any training takes the place of an earlier run's file, as an error."""
    (here / "junit.xml").write_text("<testsuites/>")
    fails(code, "run", *arguments, "--junit", "junit.xml")
    (suite,) = ElementTree.parse(here / "junit.xml").getroot()
    assert "1" == suite.get("errors")
    assert told in suite[0][0].get("message", "")
