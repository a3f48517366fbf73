"""Tuning, asked of whole runs: equal budget, chosen on validation data alone, then trained afresh."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest

import clsbench
import clsbench.execution.execute
import clsbench.experiment
import clsbench.shown
from clsbench.config.plan import make_plan, tuning_plan
from clsbench.data.raw import RawData
from clsbench.errors import DataError
from clsbench.execution.work import Work
from clsbench.experiment import Result
from clsbench.problems import Posed, SingleLabel

pytestmark = pytest.mark.usefixtures("same_threads")

Run = Callable[..., Result]

MOONS = {"name": "moons", "samples": 300}
MLP = {"name": "mlp", "hidden": [8]}
PERMUTED: list[bool] = []  # how the throwaway dataset below gives its test labels


@pytest.fixture
def run(tmp_path: Path, undrawn: None) -> Run:
    """`run(tune=..., loss=..., epochs=..., ...)`: a small tuned run on the CPU, without its figures."""

    def small(tune: dict[str, Any] | None, loss: Any = "cross_entropy", dataset: Any = MOONS, **rest: Any) -> Result:
        optimizer, model = rest.pop("optimizer", {}), rest.pop("model", MLP)
        train = {"epochs": 3, "seeds": 2, "device": "cpu", **rest}
        config = {"dataset": dataset, "model": model, "loss": loss, "optimizer": optimizer, "train": train}
        return clsbench.run({**config, "tune": tune}, output=tmp_path)

    return small


def tried(result: Result) -> list[dict[str, Any]]:
    lines = (result.directory / "tuning.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def as_text(record: dict[str, Any], *leave_out: str) -> str:
    left = ("trial", "arm", "seconds", *leave_out)
    return json.dumps({key: value for key, value in record.items() if key not in left})


def test_every_arm_has_the_same_budget(run: Run) -> None:
    """Each loss has one trial for every setting and tuning seed, whatever it is."""
    result = run({"grid": {"lr": [0.1, 1.0], "momentum": [0, 0.9]}, "seeds": 3}, loss=["hinge", "bce", "focal"])
    first = [record for record in tried(result) if record["epoch"] == 0]
    assert 3 * 2 * 2 * 3 == len(first) == result.summary["tuning"]["trials"]
    budget = sorted((lr, seed) for lr in (0.1, 1.0) for _ in (0, 0.9) for seed in (10000, 10001, 10002))
    for loss in ("hinge", "bce", "focal"):
        assert budget == sorted((r["lr"], r["seed"]) for r in first if r["loss"] == loss)


def test_chosen_setting_is_the_best_by_hand(run: Run) -> None:
    """The rate whose mean of the metric at the last epoch is best over the tuning seeds is trained afresh."""
    rates = [0.01, 0.1, 1.0, 10.0]
    result = run({"grid": {"lr": rates}, "metric": "val_nll"}, loss=["cross_entropy", "mse_softmax"])
    for arm in result.summary["arms"]:
        last = [r for r in tried(result) if r["epoch"] == 3 and r["loss"] == arm["loss"]]
        means = [fmean(r["val_nll"] for r in last if r["lr"] == rate) for rate in rates]
        best = rates[means.index(min(means))]
        assert best == arm["lr"]
        assert {best} == {record["lr"] for record in result.records if record["arm"] == arm["name"]}
        (found,) = [entry for entry in result.summary["tuning"]["arms"] if entry["name"] == arm["name"]]
        assert {"lr": best} == found["chosen"]
        assert means == [row["mean"] for row in found["sensitivity"]]


def test_chosen_setting_trained_by_hand_gives_the_same_records(run: Run) -> None:
    """After tuning, a run is what the same config with the chosen rate says, byte for byte."""
    tuned = run({"grid": {"lr": [0.05, 0.5]}})
    by_hand = run(None, optimizer={"lr": tuned.summary["arms"][0]["lr"]})
    assert [as_text(r) for r in by_hand.records] == [as_text(r) for r in tuned.records]
    assert by_hand.summary["tuning"] is None
    assert not (by_hand.directory / "tuning.jsonl").exists()


def test_run_again_from_its_own_config_gives_the_same(run: Run, tmp_path: Path) -> None:
    """`config.yaml` keeps the `tune` section: the records and what tuning found come out again."""
    once = run({"grid": {"lr": "log(0.01, 1, 3)"}, "protocol": "shared"}, loss=["bce", "hinge"])
    again = clsbench.run(once.directory / "config.yaml", output=tmp_path / "again")
    assert [as_text(r) for r in tried(once)] == [as_text(r) for r in tried(again)]
    assert [as_text(r) for r in once.records] == [as_text(r) for r in again.records]
    assert once.summary["tuning"]["arms"] == again.summary["tuning"]["arms"]


def test_tuning_records_are_ordered_and_hold_no_test_metric(run: Run) -> None:
    """`tuning.jsonl` is ordered by epoch, then trial; test data was not even looked at."""
    records = tried(run({"grid": {"lr": [0.1, 1.0]}}, loss=["bce", "hinge"]))
    assert records == sorted(records, key=lambda r: (r["epoch"], r["trial"]))
    assert {None} == {value for r in records for key, value in r.items() if key.startswith("test_")}
    assert all(r["val_accuracy"] is not None for r in records)


def _labelled_at_whim(seed: int) -> RawData:
    rng = np.random.default_rng(seed)
    x, x_test = rng.normal(size=(300, 2)), rng.normal(size=(100, 2))
    y, y_test = (x[:, 0] * x[:, 1] > 0).astype(int), (x_test[:, 0] * x_test[:, 1] > 0).astype(int)
    y_test = rng.permutation(y_test) if PERMUTED else y_test
    return RawData(x, y, num_classes=2, test_features=x_test, test_labels=y_test)


def test_test_labels_choose_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With permuted test labels the settings chosen and every validation record are the same bytes."""
    clsbench.dataset("whim", poses=lambda: Posed((2,), SingleLabel(2), own_test=True))(_labelled_at_whim)
    tune = {"grid": {"lr": [0.01, 0.1, 1.0]}, "metric": "val_brier"}
    honest = run(tune, dataset="whim", loss=["cross_entropy", "mse_softmax"])
    monkeypatch.setattr(f"{__name__}.PERMUTED", [True])
    permuted = run(tune, dataset="whim", loss=["cross_entropy", "mse_softmax"])
    tests = [key for key in honest.records[0] if key.startswith("test_")]
    assert [r["test_accuracy"] for r in honest.records] != [r["test_accuracy"] for r in permuted.records]
    assert honest.summary["tuning"]["arms"] == permuted.summary["tuning"]["arms"]
    assert [as_text(r) for r in tried(honest)] == [as_text(r) for r in tried(permuted)]
    assert [as_text(r, *tests) for r in honest.records] == [as_text(r, *tests) for r in permuted.records]


PER_SEED = {"split_seed": "per_seed", "normalize": "none"}


@dataclass
class Seen:
    """Digests of the samples that tuning trained or validated on, and of those tested, with how many they are."""

    tuned: set[bytes] = field(default_factory=set)
    tested: set[bytes] = field(default_factory=set)
    tests: list[int] = field(default_factory=list)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """The samples that each trial trains on, validates on and tests."""
    found, execute = Seen(), clsbench.execution.execute.execute

    def watched(work: Work, *rest: Any) -> Any:
        plan, data = work.plan, work.data
        for splits in {trial.data_key: data[trial.data_key] for trial in plan.trials}.values():
            if plan.sees_test:
                found.tests.append(len(splits.test))
                found.tested |= {row.numpy().tobytes() for row in splits.test.x}
            else:
                found.tuned |= {row.numpy().tobytes() for part in (splits.train, splits.val) for row in part.x}
        return execute(work, *rest)

    monkeypatch.setattr(clsbench.execution.execute, "execute", watched)
    return found


@pytest.mark.parametrize(
    "dataset",
    [
        {"name": "iris"},
        {"name": "digits", "limit": 600},
        {"name": "moons", "samples": 200, "noise": 0.0},  # the same points at every seed
        {"name": "csv", "path": "table.csv"},
        {"name": "moons", "samples": 200},
        {"name": "moons", "samples": 200, "split_seed": 3},
    ],
    ids=lambda dataset: "-".join(map(str, dataset.values())),
)
def test_no_sample_that_is_tested_took_part_in_tuning(
    dataset: dict[str, Any], run: Run, seen: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted by their features: of all that the seeds test, tuning trained and validated on nothing."""
    monkeypatch.chdir(tmp_path)
    lines = [f"{n},{n % 7},{'ab'[n % 2]}" for n in range(150)]
    Path("table.csv").write_text("\n".join(["x,y,kind", *lines]))
    tune = {"grid": {"lr": [0.1, 1.0]}, "seeds": 2, "protocol": "per_arm"}
    result = run(tune, dataset={**PER_SEED, **dataset}, epochs=1, seeds=3)
    assert 0 == len(seen.tuned & seen.tested)
    assert [] != seen.tests
    (sizes,) = result.summary["tuning"]["data"].values()
    assert 0 < len(seen.tuned)
    assert 0 < sizes["val"] < sizes["train"]


def test_what_some_seed_tests_is_held_out_of_tuning(run: Run, seen: Seen) -> None:
    """What remains is split as training and validation are; of generated data, new at each seed, all of it remains."""
    tune = {"grid": {"lr": [0.1, 1.0]}, "seeds": 2, "protocol": "per_arm"}
    fixed = run(tune, dataset={"name": "breast_cancer", **PER_SEED}, epochs=1, seeds=3)
    assert 3 * [114] == seen.tests
    left = 569 - len(seen.tested)
    val = round(left * 0.2 / 0.8)
    assert {"train": left - val, "val": val, "held_out": len(seen.tested)} == fixed.summary["tuning"]["data"][
        "breast_cancer"
    ]
    generated = run(tune, dataset={**MOONS, **PER_SEED}, epochs=1, seeds=3)
    assert {"train": 180, "val": 60, "held_out": 0} == generated.summary["tuning"]["data"]["moons"]


def test_tuning_on_data_that_the_seeds_use_up_is_refused(run: Run) -> None:
    """Where the seeds together test nearly every sample, nothing honest is left to tune all of them at once on."""
    tune, told = {"grid": {"lr": [0.1, 1.0]}, "protocol": "per_arm"}, "tune.protocol=per_arm_per_seed.*use fewer seeds"
    with pytest.raises(DataError, match=f"dataset iris: tuning leaves out what the 30 seeds test.*{told}"):
        run(tune, dataset={"name": "iris", **PER_SEED}, epochs=1, seeds=30)


@pytest.mark.parametrize(("dataset", "classes"), [(MOONS, 2), ({"name": "blobs", "samples": 300, "classes": 4}, 4)])
def test_tuning_finds_the_factor_between_sum_and_mean(run: Run, dataset: dict[str, Any], classes: int) -> None:
    """Squared error by mean over C classes is best at C times the rate of the same error by sum."""
    losses = [{"name": "mse_softmax", "label": how, "reduction": how} for how in ("sum", "mean")]
    tune = {"grid": {"lr": [0.1 * classes**n for n in range(8)]}, "metric": "val_nll"}
    result = run(tune, loss=losses, dataset=dataset, epochs=10)
    by_sum, by_mean = (result.arms[how]["lr"] for how in ("sum", "mean"))
    assert [[], []] == [arm["at_edge"] for arm in result.summary["tuning"]["arms"]]
    assert by_mean == pytest.approx(classes * by_sum)


@pytest.mark.parametrize(("dataset", "classes"), [(MOONS, 2), ({"name": "digits", "limit": 400}, 10)])
def test_sum_and_mean_at_their_rates_are_one_curve(run: Run, dataset: dict[str, Any], classes: int) -> None:
    """Squared error by mean at C times the rate trains as by sum: ten epochs alike to float32 rounding."""
    losses = [
        {"name": "mse_softmax", "label": "sum", "lr": 0.1},
        {"name": "mse_softmax", "label": "mean", "reduction": "mean", "lr": 0.1 * classes},
    ]
    result = run(None, loss=losses, dataset=dataset, epochs=10)
    by_sum, by_mean = ([r for r in result.records if r["arm"] == how] for how in ("sum", "mean"))
    assert 22 == len(by_sum)
    for metric in ("train_nll", "val_nll", "test_nll", "val_brier", "val_accuracy"):
        assert [r[metric] for r in by_mean] == pytest.approx([r[metric] for r in by_sum], rel=1e-4)
    assert [classes * r["train_loss"] for r in by_mean] == pytest.approx([r["train_loss"] for r in by_sum], rel=1e-4)


def test_shared_protocol_gives_all_arms_of_a_comparison_one_setting(run: Run) -> None:
    """One rate for all losses, the best by their mean; each its own where that is asked; a comparison apart."""
    losses = [{"name": "mse_softmax", "weight": 0.01}, "cross_entropy"]
    tune: dict[str, Any] = {"grid": {"lr": [0.01, 0.5, 30.0]}, "metric": "val_nll"}
    apart = run(tune, loss=losses)
    shared = run({**tune, "protocol": "shared"}, loss=losses, batch_size=[32, 16])
    assert [30.0, 0.5] == [arm["lr"] for arm in apart.summary["arms"]]
    for names in (entry["arms"] for entry in shared.summary["pairing"]):
        arms = [arm for arm in shared.summary["tuning"]["arms"] if arm["name"] in names]
        means = [fmean(column) for column in zip(*([r["mean"] for r in a["sensitivity"]] for a in arms), strict=True)]
        best = arms[0]["sensitivity"][means.index(min(means))]["settings"]
        assert [best, best] == [arm["chosen"] for arm in arms]


def test_diverged_setting_loses_and_is_told(run: Run) -> None:
    """A rate at which the logits overflow is not chosen; its lost seeds are counted, without a made-up value."""
    result = run({"grid": {"lr": [1e30, 0.1]}, "seeds": 2}, loss="mse_logits")
    (arm,) = result.summary["tuning"]["arms"]
    lost, kept = arm["sensitivity"]
    assert (None, None, 0, [None, None], 2) == tuple(lost[key] for key in ("mean", "std", "n", "values", "diverged"))
    assert (2, 0) == (kept["n"], kept["diverged"])
    assert {"lr": 0.1} == arm["chosen"]
    assert 0 == result.summary["arms"][0]["diverged"]


def test_seeds_of_tuning_are_its_own() -> None:
    """Tuning counts its seeds from 10000, and the experiment's own are others."""
    experiment = clsbench.experiment.read({"tune": {"seeds": 4}, "train": {"seeds": 10_000}})
    plan, tuning = make_plan(experiment), tuning_plan(experiment)
    assert tuning is not None
    assert {10000, 10001, 10002, 10003} == {trial.seed for trial in tuning.trials}
    assert {trial.seed for trial in plan.trials}.isdisjoint(trial.seed for trial in tuning.trials)


def test_arm_is_named_without_what_was_chosen(run: Run) -> None:
    """The name says what is swept; the setting and the record say the rate that tuning chose."""
    result = run({"grid": {"lr": [0.1, 0.2]}}, optimizer={"momentum": [0, 0.9]})
    assert ["cross_entropy momentum=0", "cross_entropy momentum=0.9"] == list(result.arms)
    for arm in result.summary["arms"]:
        assert f"lr={arm['lr']}" in arm["setting"]


def test_the_chosen_options_of_a_loss_are_trained(run: Run) -> None:
    """Every arm is trained at its loss's own best options, as if they had been in the config; the name stays."""
    options = {"gamma": [0, 4], "label_smoothing": [0, 0.9], "class_weight": [None, "balanced"]}
    tuned = run({"grid": {"lr": [0.01, 1.0], **options}, "seeds": 1}, loss=["focal", "mse_softmax"])
    assert ["focal", "mse_softmax"] == list(tuned.arms)
    chosen = {arm["name"]: arm["chosen"] for arm in tuned.summary["tuning"]["arms"]}
    assert {"lr", *options} == set(chosen["focal"])
    assert {"lr", "class_weight"} == set(chosen["mse_softmax"])
    assert [16, 4] == [len(arm["sensitivity"]) for arm in tuned.summary["tuning"]["arms"]]
    best = max(arm["mean"] for arm in tuned.summary["tuning"]["arms"][0]["sensitivity"])
    row = next(r for r in tuned.summary["tuning"]["arms"][0]["sensitivity"] if r["settings"] == chosen["focal"])
    assert best == row["mean"]
    given = [{"name": name, **settings} for name, settings in chosen.items()]
    plain = run(None, loss=given)
    left_out = ("seconds",)
    assert [as_text(record, *left_out) for record in plain.records] == [
        as_text(record, *left_out) for record in tuned.records
    ]
    shown = json.loads((tuned.directory / "summary.json").read_text())["arms"][0]["setting"]
    assert f"gamma={json.dumps(chosen['focal']['gamma'])}" in shown
