"""`clsbench explain`: a sample in numbers, as JSON, and a sample of a run under each arm."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import clsbench
from clsbench.prediction import test_predictions as predicted
from clsbench.runs.directory import RunDirectory

Invoke = Callable[..., Any]
Fails = Callable[..., str]


def test_a_sample_as_json(invoke: Invoke) -> None:
    """Likelihood, margin and log-odds; every gradient; and their norms as the wrong answer grows more confident."""
    found = json.loads(invoke("explain", "--logits=9,1,0", "--target=1", "--json").stdout)
    p = math.e / (math.exp(9) + math.e + 1)
    assert pytest.approx(p) == found["likelihood"] == found["softmax"][1]
    assert pytest.approx(math.log(p / (1 - p))) == found["log_odds"]
    assert -8 == found["margin"]
    entropy = found["losses"]["cross_entropy"]
    assert pytest.approx(-math.log(p)) == entropy["value"]
    assert pytest.approx([found["softmax"][0], p - 1, found["softmax"][2]]) == entropy["gradient"]
    norms = [row["gradient_norm"] for row in found["more_confident"]]
    assert [0.0, 2.0, 5.0, 10.0, 20.0] == [row["added"] for row in found["more_confident"]]
    assert pytest.approx(math.hypot(*found["losses"]["mse_softmax"]["gradient"])) == norms[0]["mse_softmax"]
    # Squared error loses e^-20 of its gradient, cross-entropy nothing.
    assert pytest.approx(norms[0]["mse_softmax"] * math.exp(-20), rel=0.1) == norms[-1]["mse_softmax"]
    assert pytest.approx(math.sqrt(2), rel=1e-6) == norms[-1]["cross_entropy"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = {
        "name": "seen",
        "dataset": {"name": "moons", "samples": 60},
        "model": "linear",
        "loss": ["cross_entropy", "mse_softmax", "hinge", {"name": "bce", "outputs": 1}],
        "train": {"epochs": 2, "seeds": 2, "device": "cpu"},
        "report": "off",
    }
    return clsbench.run(config, output=tmp_path_factory.mktemp("runs")).directory


def test_a_sample_of_a_run_under_each_arm(run: Path, invoke: Invoke) -> None:
    """Predictions and probabilities are those of the run, losses those of its networks; hinge has no probabilities."""
    seen = json.loads(invoke("explain", run, "--sample", "4", "--json").stdout)
    rows = [*predicted(RunDirectory(run))]
    assert 4 == len(seen["arms"])
    for arm in seen["arms"]:
        row = [row for row in rows if row["trial"] == arm["trial"]][4]
        assert (row["target"], row["prediction"]) == (seen["target"], arm["prediction"])
        if arm["name"] == "hinge":
            assert (None, None, None) == (arm["probabilities"], arm["likelihood"], arm["log_odds"])
            continue
        p = arm["likelihood"]
        assert pytest.approx(row[f"p[{seen['target']}]"], rel=1e-5) == p
        assert p in arm["probabilities"]
        assert pytest.approx(math.log(p / (1 - p)), rel=1e-4) == arm["log_odds"]
        expected = (1 - p) ** 2 * 2 if arm["name"] == "mse_softmax" else -math.log(p)
        assert pytest.approx(expected, rel=1e-4) == arm["value"]
    shown = invoke("explain", run, "--sample=4").stdout
    assert "Test sample 4 of" in shown
    assert all(arm["name"] in shown for arm in seen["arms"])


def test_a_sample_that_is_not_there_is_refused(run: Path, fails: Fails) -> None:
    """The message says how many there are, or what is to be given."""
    assert "--sample: must be from 0 to 11, the test samples of the run, got 12" == fails(
        2, "explain", run, "--sample=12"
    )
    message = "a RUN is explained by --sample N alone; without a RUN give --logits and --target"
    assert message == fails(2, "explain", run)
    assert message == fails(2, "explain", run, "--sample=1", "--target=1")
    assert fails(2, "explain", "--sample=1").startswith("--sample needs a RUN")
    assert fails(2, "explain", "--target=1").startswith("Missing option '--logits'")
    assert fails(6, "explain", run.parent, "--sample=1")


def test_explain_gives_the_lectures_numbers(invoke: Invoke) -> None:
    """Probabilities, margin, value and gradient of every loss that fits: cross-entropy's is p - y."""
    answer = invoke("explain", "--logits=2,3,5,0", "--target", "2")
    told, _, _ = answer.stdout.partition("Norm of the gradient")
    rows = {words[0]: words[1:] for line in told.splitlines() if (words := line.split())}
    assert ["0.0418", "0.1135", "0.8390", "0.0057"] == rows["softmax"]
    assert ["0", "1", "2*", "3"] == rows["class"]
    assert ["0.1755", "+0.0418", "+0.114", "-0.161", "+0.00565"] == rows["cross_entropy"]
    assert ["0", "+0", "+0", "+0", "+0"] == [word.replace("-0", "+0") for word in rows["hinge"]]
    assert "margin +2, so the prediction is right" in answer.stdout
    assert "wrong" in invoke("explain", "--logits=0,1", "--target=0").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--logits=1,x", "--target=0"),
            "--logits: must be at least two finite numbers with commas between, got '1,x'",
        ),
        (("--logits=1", "--target=0"), "--logits: must be at least two"),
        (("--logits=1,nan", "--target=0"), "--logits: must be at least two"),
        (("--logits=1,1e999", "--target=0"), "--logits: must be at least two"),
        (("--logits=", "--target=0"), "--logits: must be at least two"),
        (("--logits=1,2", "--target=2"), "--target: must be a class number from 0 to 1, got 2"),
        (("--logits=1,2", "--target=-1"), "--target: must be a class number from 0 to 1, got -1"),
        (("--logits=1,2", "--target=x"), "Invalid value for '--target'"),
        (("--logits=1,2",), "Missing option '--target'"),
    ],
)
def test_explain_refuses_what_is_no_sample(arguments: tuple[str, ...], message: str, fails: Fails) -> None:
    """Logits that are no numbers and a target that is no class are told, with an example."""
    assert fails(2, "explain", *arguments).startswith(message)
