"""`train.warm_start`, asked of whole runs: equal starts, whatever the arm and the company, and really wrong ones."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import clsbench
from clsbench.experiment import Result
from tests import compiled

pytestmark = pytest.mark.usefixtures("same_threads")

Run = Callable[..., Result]

LOSSES = ["mse_softmax", "cross_entropy", "bce", "hinge"]
ROTATED = {"labels": "rotated", "epochs": 4}


def small(output: Path, loss: Any = LOSSES, model: Any = "linear", optimizer: Any = None, **rest: Any) -> Result:
    dataset = rest.pop("dataset", {"name": "blobs", "samples": 333, "classes": 4, "split_seed": 0})
    train = {"epochs": 2, "seeds": [4, 0, 2], "device": "cpu", "warm_start": ROTATED, **rest}
    config = {"dataset": dataset, "model": model, "loss": loss, "optimizer": optimizer or {}, "train": train}
    return clsbench.run({**config, "report": "off"}, output=output)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`run(loss=..., model=..., warm_start=..., ...)`: a small run on the CPU, without its figures."""
    return partial(small, tmp_path)


@pytest.fixture(
    scope="module",
    params=["linear", {"name": "mlp", "hidden": [7], "batch_norm": True, "dropout": 0.2}],
    ids=["linear", "mlp"],
)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Result]:
    """A model, and a run of all losses and seeds with it."""
    return request.param, small(tmp_path_factory.mktemp("whole"), model=request.param)


def lines(result: Result, loss: str) -> dict[int, list[str]]:
    """What every seed of a loss recorded, as text, without what depends on its neighbours by design."""
    found: dict[int, list[str]] = {}
    for record in result.records:
        if record["loss"] == loss:
            kept = {key: value for key, value in record.items() if key not in ("trial", "arm", "seconds")}
            found.setdefault(record["seed"], []).append(json.dumps(kept))
    return found


def starts(result: Result) -> list[dict[str, Any]]:
    return [record for record in result.records if record["epoch"] == 0]


def test_arms_start_from_the_same_trained_weights(run: Run) -> None:
    """At epoch 0 every softmax arm of a seed has one accuracy and one NLL; the run's own pairing check passes."""
    result = run(loss=["mse_softmax", "cross_entropy", "focal"], optimizer={"lr": [0.01, 1.0]})
    by_seed: dict[int, set[tuple[float, ...]]] = {}
    for record in starts(result):
        by_seed.setdefault(record["seed"], set()).add((record["train_accuracy"], record["test_nll"]))
    assert [1, 1, 1] == [len(found) for found in by_seed.values()]
    assert 3 == len(set.union(*by_seed.values()))
    (pairing,) = result.summary["pairing"]
    assert pairing["weights"] != run(warm_start=None).summary["pairing"][0]["weights"]


def test_rotated_start_is_confidently_wrong(run: Run) -> None:
    """It gets nearly every sample wrong, at under a tenth of chance's likelihood; on the right labels nearly none."""
    for record in starts(run(loss="cross_entropy", warm_start={})):
        assert 0.05 > record["train_accuracy"]
        assert math.log(4 * 10) < record["train_nll"]
    for record in starts(run(loss="cross_entropy", warm_start={"labels": True, "epochs": 4})):
        assert 0.95 < record["train_accuracy"]


def test_rotated_labels_are_the_next_class(tmp_path: Path, run: Run) -> None:
    """Trained on labels rotated by one, the network predicts the class after the true one."""
    result = run(loss="cross_entropy", seeds=[0], warm_start={**ROTATED, "epochs": 20}, optimizer={"lr": 1e-12})
    from clsbench.data.splits import split
    from clsbench.data.toy import blobs

    data = split(blobs(0, samples=333, classes=4), test_fraction=0.2)
    model, _ = clsbench.load_model(result.directory, 0)
    after = (data.test.y + 1) % 4
    assert 0.95 < (model(data.test.x).argmax(-1) == after).double().mean().item()


def test_warm_start_is_plain_training_at_another_order(run: Run) -> None:
    """On the right labels it ends where plain SGD by cross-entropy would, but for the order of the batches."""
    warm = starts(run(loss="cross_entropy", warm_start={"labels": True, "epochs": 4, "lr": 0.1}))
    plain = [r for r in run(loss="cross_entropy", warm_start=None, epochs=4).records if r["epoch"] == 4]
    for ours, theirs in zip(warm, plain, strict=True):
        assert theirs["val_nll"] == pytest.approx(ours["val_nll"], rel=0.05)
        assert theirs["val_nll"] != ours["val_nll"]


@pytest.mark.parametrize(
    "changes",
    [{"stack": 1}, {"stack": 2}, {"seeds": [2]}, {"loss": ["hinge"]}, {"loss": ["hinge", "focal"], "seeds": [2, 9]}],
)
def test_warm_start_is_the_same_in_any_company(run: Run, whole: tuple[Any, Result], changes: dict[str, Any]) -> None:
    """A trial's records are the same bytes in another stack, with other seeds, beside other losses."""
    model, together = whole
    theirs, ours = lines(together, "hinge"), lines(run(model=model, **changes), "hinge")
    shared = theirs.keys() & ours.keys()
    assert 2 in shared
    assert {seed: theirs[seed] for seed in shared} == {seed: ours[seed] for seed in shared}


@pytest.mark.slow
@pytest.mark.compiler
def test_compiled_warm_start_is_the_same_in_any_company(run: Run) -> None:
    """Compiled too: alone as in company."""
    how = {**compiled.PARTS, **compiled.TRAIN, "epochs": 1, "warm_start": compiled.WARM_START}
    together = run(**how)
    assert "compiled" == together.summary["engine"]["mode"]
    assert lines(run(**how, seeds=[2]), "focal")[2] == lines(together, "focal")[2]


def test_convolutions_are_started_too(run: Run, tmp_path: Path) -> None:
    """A model that is trained one trial at a time has its warm start as well."""
    config = {
        "dataset": {"name": "digits", "limit": 200},
        "model": {"name": "cnn", "channels": [4], "hidden": 8},
        "loss": ["mse_softmax", "cross_entropy"],
        "train": {"epochs": 1, "seeds": 2, "device": "cpu", "threads": 1, "warm_start": {"epochs": 10, "lr": 0.3}},
        "report": "off",
    }
    first, second, *others = starts(clsbench.run(config, output=tmp_path))
    assert [first["train_nll"], second["train_nll"]] == [record["train_nll"] for record in others]
    assert 0.1 > first["train_accuracy"]
    assert math.log(10) < first["train_nll"]


def test_diverging_in_the_warm_start_is_diverging_at_epoch_0(run: Run) -> None:
    """Such a trial has one record, without numbers and without a step; the run goes on to its end."""
    model = {"name": "linear", "init": {"weights": "normal", "scale": [1.0, 1e38]}}
    result = run(loss="cross_entropy", model=model)
    kept, lost = result.arms["cross_entropy scale=1.0"], result.arms["cross_entropy scale=1e+38"]
    assert (0, 3) == (kept["diverged"], lost["diverged"])
    records = [record for record in result.records if record["arm"] == lost["name"]]
    assert [(0, 0, "diverged", None)] * 3 == [(r["epoch"], r["step"], r["status"], r["train_nll"]) for r in records]


def test_matched_weights_are_matched_at_the_warm_start(run: Run) -> None:
    """`weight: match` makes the pulls equal where training begins, which is after the warm start."""
    losses = ["mse_softmax", {"name": "cross_entropy", "weight": "match"}]
    first, second = (
        [r["logit_grad_norm"] for r in starts(run(losses)) if r["loss"] == n] for n in ("mse_softmax", "cross_entropy")
    )
    assert first == pytest.approx(second, rel=2e-7)


def test_tuning_starts_from_the_same_kind_of_weights(tmp_path: Path) -> None:
    """What tuning tries, too, begins after a warm start: a rate must serve for the start that it is chosen for."""
    config = {
        "dataset": {"name": "blobs", "samples": 200},
        "model": "linear",
        "loss": "cross_entropy",
        "train": {"epochs": 1, "seeds": 1, "device": "cpu", "warm_start": ROTATED},
        "tune": {"grid": {"lr": [0.1, 1.0]}, "seeds": 1},
        "report": "off",
    }
    result = clsbench.run(config, output=tmp_path)
    tried = [json.loads(line) for line in (result.directory / "tuning.jsonl").read_text().splitlines()]
    assert [True, True] == [record["train_accuracy"] < 0.1 for record in tried if record["epoch"] == 0]


def test_report_and_check_say_how_trials_start(
    invoke: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A curve that begins at 0% accuracy needs an explanation."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    config = tmp_path / "warm.yaml"
    config.write_text(
        "dataset: blobs\ntrain: {epochs: 1, seeds: 1, warm_start: {epochs: 2}}\nreport: {figures: false, html: false}"
    )
    told = "every trial starts from 2 epochs of cross-entropy on rotated labels, lr=1.0"
    assert told in invoke("check", config).stdout
    assert told in invoke("run", config, "-q", "--details").stdout
