"""What a stranger adds, in one file in a folder of their own, is known everywhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import clsbench
from clsbench.config.reader import read_text
from clsbench.errors import ConfigError
from clsbench.registry import load_plugin

PLUGIN = '''
import clsbench
import numpy as np
import torch


@clsbench.loss("cubic")
def cubic(logits, targets, *, power: float = 3.0):
    """Cube of the missing probability."""
    return (1 - logits.softmax(-1).gather(-1, targets[:, None])).pow(power).mean()


@clsbench.dataset("halves")
def halves(seed, *, samples: int = 120):
    """Points on a line, in two halves."""
    x = np.random.default_rng(seed).normal(size=(samples, 1))
    return x, (x[:, 0] > 0).astype(int)


@clsbench.model("thin")
def thin(shape, num_outputs, *, width: int = 3):
    """One thin hidden layer."""
    return torch.nn.Sequential(torch.nn.Linear(shape[0], width), torch.nn.Tanh(), torch.nn.Linear(width, num_outputs))


@clsbench.optimizer("signed")
def signed(weights, gradients, state, *, lr: float = 0.01):
    """The sign of the gradient."""
    weights.sub_(lr * gradients.sign())


@clsbench.metric("confidence", better="higher", splits=("train", "val", "test"), tolerance=0.05)
def confidence(probabilities):
    """Mean probability of the predicted class."""
    return probabilities.amax(-1)


@clsbench.metric("error_of_ones", label="error of class 1", better="lower", splits=("val", "test"))
class ErrorOfOnes:
    """Share of class 1 that is predicted as something else; no number where there is none of it."""

    @staticmethod
    def sums(predictions, targets):
        ones = targets == 1
        return torch.stack([(ones & (predictions != 1)).sum(), ones.sum()])

    @staticmethod
    def value(sums, num_samples):
        return sums[..., 0] / sums[..., 1]
'''

CONFIG: dict[str, Any] = {
    "name": "stranger",
    "dataset": "halves",
    "model": "thin",
    "loss": ["cubic", "cross_entropy"],
    "optimizer": {"name": "signed"},
    "train": {"epochs": 2, "seeds": 3, "device": "cpu"},
    "tune": {"grid": {"lr": [0.01, 0.05]}, "seeds": 2, "metric": "val_confidence"},
    "expect": ["cubic.test_confidence >= 0.1", "verdict(cubic, cross_entropy, test_confidence) != better"],
}


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    path = tmp_path / "theirs.py"
    path.write_text(PLUGIN)
    load_plugin(path)
    return path


@pytest.mark.parametrize(
    ("kind", "name", "typo", "key"),
    [
        ("loss", "cubic", "cubik", "loss"),
        ("dataset", "halves", "halfs", "dataset"),
        ("model", "thin", "thinn", "model"),
        ("optimizer", "signed", "singed", "optimizer.name"),
    ],
)
def test_it_is_listed_and_suggested(
    kind: str, name: str, typo: str, key: str, invoke: Callable[..., Any], plugin: Path
) -> None:
    """`list` has what a plugin adds, and a misspelling of it is told the right name."""
    listed = json.loads(invoke("list", f"{kind}s" if kind != "loss" else "losses", "--json").stdout)
    assert name in [entry["name"] for entry in listed]
    section, _, inner = key.partition(".")
    text = f"{section}: {{{inner}: {typo}}}" if inner else f"{section}: {typo}"
    with pytest.raises(ConfigError, match=f"did you mean '{name}'"):
        read_text(text, "f", ())


def test_a_metric_is_listed_and_suggested(invoke: Callable[..., Any], plugin: Path) -> None:
    """A metric is in `list`; `expect` and `tune` know it and suggest it."""
    listed = json.loads(invoke("list", "metrics", "--json").stdout)
    assert {"confidence", "error_of_ones"} <= {entry["name"] for entry in listed}
    for text in ("expect: ['cross_entropy.test_confidense > 0']", "tune: {metric: val_confidense}"):
        with pytest.raises(ConfigError, match=r"did you mean '(test|val)_confidence'"):
            read_text(text, "f", ())


def test_all_of_it_runs_to_the_verdicts(
    tmp_path: Path, plugin: Path, invoke: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records, tuning, tables, curves, verdicts and expectations have the stranger's parts and metrics."""
    result = clsbench.run(CONFIG, output=tmp_path / "runs")
    last = [record for record in result.records if record["epoch"] == 2]
    assert {"cubic", "cross_entropy"} == {record["loss"] for record in last}
    assert all(0.5 <= record["test_confidence"] <= 1 for record in last)
    assert all(0 <= record["val_error_of_ones"] <= 1 for record in last)
    assert all(0.5 <= record["train_confidence"] <= 1 for record in last)
    arm = result.arms["cubic"]
    assert 3 == arm["metrics"]["test_confidence"]["n"]
    assert arm["cross"]["confidence"]["mean"] == pytest.approx(arm["metrics"]["test_confidence"]["mean"])
    assert "val_confidence" == result.summary["tuning"]["metric"]
    judged = {row["metric"] for row in result.summary["verdicts"]}
    assert "test_confidence" in judged
    assert "test_error_of_ones" not in judged  # it has no tolerance
    assert [True, True] == [found["met"] for found in result.summary["expectations"]]
    monkeypatch.setenv("COLUMNS", "200")
    shown = invoke("report", "--details", result.directory).stdout
    assert "test confidence" in shown
    assert "class 1" in shown


def test_a_metric_that_gives_one_number_for_all_fails_its_trials(tmp_path: Path, run_cli: Callable[..., Any]) -> None:
    """A function of samples that gives their mean is told what it should give; no wrong number is recorded."""
    (tmp_path / "mean.py").write_text(
        "import clsbench\n\n\n@clsbench.metric('mean', splits=('test',))\ndef mean(predictions):\n"
        "    return predictions.double().mean()\n"
    )
    (tmp_path / "a.yaml").write_text("{name: a, model: linear, loss: hinge, train: {epochs: 1, seeds: 1}}\n")
    answer = run_cli("run", "a.yaml", "--plugin", "mean.py", "-q")
    assert 5 == answer.returncode
    assert "metric 'mean' returned shape (), not one number for each of" in answer.stderr


def test_a_metric_may_have_no_value(tmp_path: Path, plugin: Path) -> None:
    """A metric that is not a number is null in records, and does not make its trial diverge."""
    clsbench.metric("nothing", splits=("val", "test"))(lambda predictions: predictions / 0 * 0)
    config = {**CONFIG, "train": {**CONFIG["train"], "seeds": 1}, "tune": None, "expect": [], "report": "off"}
    result = clsbench.run(config, output=tmp_path)
    assert {"running", "finished"} == {record["status"] for record in result.records}
    assert {None} == {record["val_nothing"] for record in result.records}


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (
            "@clsbench.metric('m')\ndef m(logit): ...",
            "metric 'm' needs 'logit', which is unknown; did you mean 'logits'",
        ),
        ("@clsbench.metric('m')\nclass M: ...", "metric 'm' is a class without sums and value; give it both"),
        ("@clsbench.metric('nll')\ndef nll(logits): ...", "metric 'nll' is registered twice"),
    ],
)
def test_a_metric_that_cannot_be_is_refused_at_once(source: str, told: str, tmp_path: Path) -> None:
    """What is wrong with a metric is told when its plugin is loaded, with the file and the line."""
    (path := tmp_path / "m.py").write_text(f"import clsbench\n\n\n{source}\n")
    with pytest.raises(ConfigError, match=told):
        load_plugin(path)
