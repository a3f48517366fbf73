"""The test set's own error, asked of whole runs: from the trained networks on every test sample."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import clsbench
from clsbench import prediction
from clsbench.experiment import read
from clsbench.runs.directory import RunDirectory
from tests.execution.test_cross import CONFIG, splits_of

Run = Callable[..., clsbench.Result]

FIXED = CONFIG["dataset"]
LOSSES = ["cross_entropy", "mse_softmax", "mse_logits"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def small(dataset: Any = FIXED, loss: Any = LOSSES, **rest: Any) -> clsbench.Result:
        train = {"epochs": 3, "seeds": 3, "device": "cpu", **rest.pop("train", {})}
        report = {"figures": False, "html": False}
        config = {**CONFIG, "dataset": dataset, "loss": loss, "train": train, "report": report, **rest}
        return clsbench.run(config, output=tmp_path)

    return small


def on_each_sample(result: clsbench.Result, test: Any) -> dict[tuple[str, str], Any]:
    """By arm and metric, the mean over three seeds on each test sample, by PyTorch's own functions."""
    y, found = test.y, {}
    for place, loss in enumerate(LOSSES):
        logits = [clsbench.load_model(result.directory, 3 * place + seed)[0](test.x).detach() for seed in range(3)]
        values = {
            "test_accuracy": [(z.argmax(1) == y).double() for z in logits],
            "test_nll": [F.cross_entropy(z.double(), y, reduction="none") for z in logits],
            "test_brier": [(z.double().softmax(1) - F.one_hot(y, 4)).square().sum(1) for z in logits],
        }
        found |= {(loss, metric): torch.stack(each).mean(0).numpy() for metric, each in values.items()}
    return found


def test_the_spread_is_that_of_the_final_networks(run: Run) -> None:
    """For each metric that is a mean over samples: the deviation of the paired differences, and their mean."""
    result = run()
    values = on_each_sample(result, splits_of(CONFIG).test)
    rows = [row for row in result.summary["verdicts"] if row["metric"] != "failures"]
    assert 5 == len(rows)
    for row in rows:
        differences = values[row["a"], row["metric"]] - values[row["b"], row["metric"]]
        assert differences.mean() == pytest.approx(row["difference"], abs=1e-6)
        assert row["test_set"] is not None
        assert (60, pytest.approx(differences.std(ddof=1), rel=1e-4)) == (row["test_set"]["n"], row["test_set"]["std"])


def test_it_depends_on_nothing_else_that_trains(run: Run) -> None:
    """In stacks of another size it has the same bits."""
    assert run().summary["verdicts"] == run(train={"stack": 2}).summary["verdicts"]


def test_seeds_with_test_samples_of_their_own_have_none(run: Run) -> None:
    """There the interval over seeds covers the samples, too."""
    rows = run({**FIXED, "split_seed": "per_seed"}).summary["verdicts"]
    assert {None} == {row["test_set"] for row in rows}


def test_a_test_set_of_its_own_has_it_whatever_the_training_split(run: Run, tmp_path: Path) -> None:
    """With a training split for each seed the test samples are one for all, each by its own normalisation."""
    rng = np.random.default_rng(0)
    lines = [f"{x:.3f},{x + rng.normal():.3f},{'ab'[int(x > 0)]}" for x in rng.normal(size=200)]
    for name, some in (("train", lines[:120]), ("test", lines[120:])):
        (tmp_path / f"{name}.csv").write_text("\n".join(["u,v,class", *some]))
    table = {"name": "csv", "path": str(tmp_path / "train.csv"), "test_path": str(tmp_path / "test.csv")}
    result = run({**table, "target": "class", "split_seed": "per_seed"}, LOSSES[:2])
    for row in result.summary["verdicts"]:
        assert row["test_set"] is not None
        assert 80 == row["test_set"]["n"]
    (accuracy,) = (row for row in result.summary["verdicts"] if row["metric"] == "test_accuracy")
    ours, theirs = (right_on_each(result, arm) for arm in LOSSES[:2])
    assert (ours - theirs).std(ddof=1) == pytest.approx(accuracy["test_set"]["std"])


def right_on_each(result: clsbench.Result, arm: str) -> Any:
    """The share of three seeds that are right on each test sample, by what `report --predictions` writes."""
    rows = [row for row in prediction.test_predictions(RunDirectory(result.directory)) if row["arm"] == arm]
    return np.mean(
        [[row["prediction"] == row["target"] for row in rows if row["seed"] == seed] for seed in range(3)], 0
    )


def test_a_lost_seed_leaves_none(run: Run) -> None:
    """Where a seed of one of the arms diverged, its samples say nothing of the difference over all seeds."""
    lossy = run(loss=["cross_entropy", {"name": "mse_logits", "lr": 1e30}, "mse_softmax"]).summary["verdicts"]
    assert {("cross_entropy", "mse_softmax")} == {(row["a"], row["b"]) for row in lossy if row["test_set"] is not None}


def test_memory_is_bounded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Arms for which there is no room have none; three metrics on 60 samples leave room for two arms."""
    monkeypatch.setattr("clsbench.execution.by_sample.MOST_NUMBERS", 2 * 3 * 60 + 3 * 60 - 1)
    rows = run().summary["verdicts"]
    assert {("cross_entropy", "mse_softmax")} == {(row["a"], row["b"]) for row in rows if row["test_set"] is not None}


def test_verdicts_by_other_rules_keep_it(run: Run) -> None:
    """The samples spread as before, at the level of the new family; with a baseline only its pairs are left."""
    first = run()
    spreads = {(row["a"], row["b"], row["metric"]): _spread(row) for row in first.summary["verdicts"]}
    assert 5 == sum(spread is not None for spread in spreads.values())
    config = read(first.directory / "config.yaml", ["verdict.family=metric", "verdict.baseline=mse_softmax"])
    again = clsbench.run(config, resume=first.directory).summary["verdicts"]
    assert {("cross_entropy", "mse_softmax"), ("mse_softmax", "mse_logits")} == {(row["a"], row["b"]) for row in again}
    assert all(spreads[row["a"], row["b"], row["metric"]] == _spread(row) for row in again)


def _spread(row: Any) -> float | None:
    return None if row["test_set"] is None else row["test_set"]["std"]
