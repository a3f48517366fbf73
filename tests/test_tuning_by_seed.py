"""Tuning inside each seed's own split, asked of whole runs: what it sees, what it chooses, what it keeps."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch

import clsbench
from clsbench.analysis.tuning import chosen_settings
from clsbench.config.plan import make_plan, with_chosen
from clsbench.config.reader import read_mapping
from clsbench.execution import units
from clsbench.execution.work import Work
from clsbench.experiment import Result
from clsbench.report.tidy import latex, tidy
from clsbench.result import trained_arms, trained_plan
from faulting.runs import cut_run
from tests.promises.curves import as_text

pytestmark = pytest.mark.usefixtures("same_threads")

TUNE: dict[str, Any] = {"grid": {"lr": [0.003, 0.7, 1.0, 1.4]}, "seeds": 2}
IRIS = {"name": "iris", "split_seed": "per_seed"}


def config(tune: Any, seeds: Any = 3, loss: Any = "cross_entropy", dataset: Any = IRIS, **rest: Any) -> dict[str, Any]:
    train = {"epochs": 2, "seeds": seeds, "device": "cpu", "threads": 1, **rest}
    model = {"name": "mlp", "hidden": [8]}
    asked = {"name": "by_seed", "dataset": dataset, "model": model, "loss": loss, "train": train, "tune": tune}
    return {**asked, "report": "off"}


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Result:
    """Six seeds of two losses, whose best rates differ between the seeds."""
    asked = config(TUNE, seeds=6, loss=["cross_entropy", "mse_softmax"])
    return clsbench.run(asked, output=tmp_path_factory.mktemp("tuned"))


def tried(result: Result) -> list[dict[str, Any]]:
    lines = (result.directory / "tuning.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@dataclass
class Seen:
    """By seed of the experiment, the numbers of the samples that were given to its tuning, and those it tested."""

    tuned: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    tested: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """The tensors that every training is given, trial by trial, of samples that are their own number."""
    found, train = Seen(), units.train

    def numbers(part: Any, places: Any, trial: int) -> set[int]:
        samples = part[0] if places is None else part[0][int(places[trial])]
        return set(samples[..., 0].int().tolist())

    def watched(stack: Any, settings: Any, loss: Any, data: Any, *rest: Any) -> Iterator[Any]:
        for trial, each in enumerate(settings):
            own = each.seed % 10_000
            if each.seed == own:
                found.tested[own] |= numbers(data.test, data.places, trial)
            else:
                assert data.test is None
                for part in (data.train, data.val):
                    found.tuned[own] |= numbers(part, data.places, trial)
        return train(stack, settings, loss, data, *rest)

    monkeypatch.setattr(units, "train", watched)
    return found


@pytest.mark.parametrize("seeds", [3, [5, 0, 40, 7]])
def test_no_sample_that_a_seed_tests_is_given_to_its_tuning(seeds: Any, seen: Seen, tmp_path: Path) -> None:
    """Each seed is tuned on all that its split leaves for training and validation, and on nothing else."""
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["x,y,kind", *(f"{n},{n % 7},{'ab'[n % 2]}" for n in range(150))]))
    dataset = {"name": "csv", "path": str(path), "split_seed": "per_seed", "normalize": "none"}
    result = clsbench.run(config(TUNE, seeds, dataset=dataset), output=tmp_path)
    own = [*range(3)] if seeds == 3 else seeds
    assert set(own) == set(seen.tuned) == set(seen.tested)
    for seed in own:
        assert 30 == len(seen.tested[seed])
        assert set(range(150)) - seen.tested[seed] == seen.tuned[seed]
    assert set() != seen.tuned[own[0]] & seen.tested[own[1]]
    assert {"csv": {"train": 90, "val": 30, "held_out": 0}} == result.summary["tuning"]["data"]


def test_twenty_seeds_that_test_every_sample_are_tuned(tmp_path: Path) -> None:
    """Where the seeds together test all of the data, each still has its own training and validation samples."""
    result = clsbench.run(config({"grid": {"lr": [0.1, 1.0]}}, seeds=20), output=tmp_path)
    assert "per_arm_per_seed" == result.summary["tuning"]["protocol"]
    assert 2 * 20 * 3 == result.summary["tuning"]["trials"]
    assert 20 == result.arms["cross_entropy"]["metrics"]["test_accuracy"]["n"]


def test_each_seed_is_trained_at_the_setting_that_is_best_inside_its_split(tuned: Result) -> None:
    """The choice of each seed, by hand from the records of its tuning, is kept, trained and told."""
    last = [r for r in tried(tuned) if r["epoch"] == 2]
    for arm in tuned.summary["tuning"]["arms"]:
        assert arm["chosen"] is None
        assert [*range(6)] == [each["seed"] for each in arm["by_seed"]]
        for each in arm["by_seed"]:
            own = [r for r in last if r["loss"] == arm["name"] and r["seed"] % 10_000 == each["seed"]]
            by_lr = {lr: [r for r in own if r["lr"] == lr] for lr in TUNE["grid"]["lr"]}
            assert {2} == {len(rows) for rows in by_lr.values()}
            cost = {
                lr: (-sum(round(30 * r["val_accuracy"]) for r in rows), fmean(r["val_nll"] for r in rows))
                for lr, rows in by_lr.items()
            }
            assert {"lr": min(cost, key=lambda lr: cost[lr])} == each["chosen"]
            trained = {r["lr"] for r in tuned.records if r["arm"] == arm["name"] and r["seed"] == each["seed"]}
            assert {each["chosen"]["lr"]} == trained
    rates = {each["chosen"]["lr"] for each in tuned.summary["tuning"]["arms"][0]["by_seed"]}
    assert 1 < len(rates)
    assert tuned.arms["cross_entropy"]["lr"] is None
    assert f"lr={min(rates)} to {max(rates)} by seed" in str(tuned.arms["cross_entropy"]["setting"])


def test_a_seed_trained_by_hand_at_its_setting_gives_the_same_records(tuned: Result, tmp_path: Path) -> None:
    """A tuned seed is what the same config says at its rate and split, byte for byte."""
    for each in tuned.summary["tuning"]["arms"][0]["by_seed"][:3]:
        seed = each["seed"]
        asked = config(None, seeds=[seed], dataset={**IRIS, "split_seed": seed})
        by_hand = clsbench.run({**asked, "optimizer": each["chosen"]}, output=tmp_path)
        rows = [r for r in tuned.records if (r["arm"], r["seed"]) == ("cross_entropy", seed)]
        assert [as_text(r) for r in by_hand.records] == [as_text(r) for r in rows]


def test_a_run_that_stopped_while_tuning_goes_on_as_if_it_had_not(tuned: Result, tmp_path: Path) -> None:
    """Resumed, it chooses and trains what it would have."""
    cut = cut_run(config(TUNE, seeds=6, loss=["cross_entropy", "mse_softmax"]), tmp_path, 3, jobs=1)
    resumed = clsbench.run(resume=cut)
    assert [as_text(r) for r in tried(tuned)] == [as_text(r) for r in tried(resumed)]
    assert tuned.summary["tuning"]["arms"] == resumed.summary["tuning"]["arms"]
    assert [as_text(r) for r in tuned.records] == [as_text(r) for r in resumed.records]


def test_another_process_is_told_the_setting_of_each_seed(tuned: Result) -> None:
    """A worker that builds the work from its recipe trains each seed at its own setting; so does a run read back."""
    experiment = read_mapping(config(TUNE, seeds=6, loss=["cross_entropy", "mse_softmax"]))
    plan = with_chosen(make_plan(experiment), chosen_settings(tuned.summary["tuning"], range(6)))
    there = Work.of_recipe(Work(experiment, plan, {}, torch.device("cpu")).recipe()).plan
    assert [trial.arm.settings for trial in plan.trials] == [trial.arm.settings for trial in there.trials]
    assert [trial.arm.lr for trial in trained_plan(tuned).trials] == [trial.arm.lr for trial in there.trials]
    known = {(r["arm"], r["seed"]): r["lr"] for r in tuned.records}
    assert list(known.values()) == [trial.arm.lr for trial in there.trials]


def test_options_of_a_loss_are_tuned_by_seed(tmp_path: Path) -> None:
    """Seeds of one arm may train with other options of its loss; the arm keeps its name."""
    tune = {"grid": {"gamma": [0, 6], "class_weight": [None, "balanced"]}, "seeds": 1, "protocol": "per_arm_per_seed"}
    result = clsbench.run(config(tune, seeds=4, loss="focal", dataset="iris"), output=tmp_path)
    choices = [each["chosen"] for each in result.summary["tuning"]["arms"][0]["by_seed"]]
    assert choices == [
        {"gamma": trial.arm.loss.options["gamma"], "class_weight": trial.arm.loss.class_weight}
        for trial in trained_plan(result).trials
    ]
    assert {"focal"} == {r["arm"] for r in result.records} == set(result.arms)


def test_tables_have_a_row_for_each_seed_and_setting(tuned: Result) -> None:
    """What a seed measured and chose is in its rows; a setting that differs between seeds is no number of the arm."""
    found = tidy(tuned.summary, trained_arms(tuned))
    assert 2 * 6 * 4 == len(found["tuning"])
    for arm in tuned.summary["tuning"]["arms"]:
        for each in arm["by_seed"]:
            (row,) = (
                row
                for row in found["tuning"]
                if row["chosen"] and (row["arm"], row["seed"]) == (arm["name"], each["seed"])
            )
            assert (each["chosen"]["lr"], 2, 0) == (row["lr"], row["n"], row["diverged"])
            assert pytest.approx(each["mean"]) == row["mean"]
    assert {None} == {row["optimizer.lr"] for row in found["arms"] if row["arm"] == "cross_entropy"}
    rates = [each["chosen"]["lr"] for each in tuned.summary["tuning"]["arms"][0]["by_seed"]]
    assert f"cross\\_entropy & {min(rates):g} to {max(rates):g} &" in latex(tuned.summary)["tuning"]


def test_report_says_what_each_seed_was_tuned_on(tuned: Result, invoke: Callable[..., Any]) -> None:
    """Not that no test data were used, since other seeds test some of it, but that each seed left out its own."""
    text = " ".join(invoke("report", str(tuned.directory), "--details").stdout.split())
    assert "each loss at its own best setting at each seed" in text
    assert "validation accuracy by lr, mean over 6 seeds x 2 tuning seeds" in text
    cost = "Tuning cost 96 trials (2 arms x 4 settings x 6 seeds x 2 tuning seeds, from 10000)"
    assert cost in text
    assert "each seed was tuned inside its own split, without its test data." in text
    assert "no test data were used" not in text
    assert "*N chosen at N seeds" in text
