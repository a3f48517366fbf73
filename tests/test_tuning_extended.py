"""Grids that grow beyond an edge, asked of whole runs: equal budget, and the same end however the run was made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import clsbench
from clsbench.config.reader import read_mapping
from clsbench.errors import RunError
from clsbench.execution import units
from clsbench.execution.events import GridExtended
from clsbench.execution.work import Work
from clsbench.experiment import Result
from clsbench.metrics.measures import bounds
from clsbench.report.tidy import tidy
from clsbench.result import trained_arms
from clsbench.results.consistency import require_consistent
from faulting.runs import cut_run
from tests.promises.curves import as_text

pytestmark = pytest.mark.usefixtures("same_threads")

Config = dict[str, Any]
LOSSES = ["cross_entropy", "mse_logits"]
PROTOCOLS = ["per_arm", "shared", "per_arm_per_seed"]


def config(protocol: str = "per_arm", lr: Any = (0.001, 0.01), extend: bool = True, **more: Any) -> Config:
    """Rates so small that the best is at the edge; the largest that are tried make squared error on logits diverge."""
    tune = {"grid": {"lr": list(lr)}, "seeds": 2, "protocol": protocol, "extend": extend}
    train = {"epochs": 2, "seeds": [0, 1, 2], "device": "cpu", "threads": 1}
    dataset = {"name": "iris", "split_seed": 0 if protocol == "shared" else "per_seed"}
    model = {"name": "mlp", "hidden": [8]}
    asked = {"name": "extended", "dataset": dataset, "model": model, "loss": LOSSES, "train": train, "tune": tune}
    return {**asked, "report": "off", **more}


def tried(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (result.directory / "tuning.jsonl").read_text().splitlines()]


def settings(result: Result, arm: str) -> list[dict[str, Any]]:
    (found,) = (each for each in result.summary["tuning"]["arms"] if each["name"] == arm)
    return [row["settings"] for row in found["sensitivity"]]


@pytest.fixture(scope="module", params=PROTOCOLS)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Config, Result]:
    """A run of each protocol that was not interrupted."""
    asked = config(request.param)
    return asked, clsbench.run(asked, output=tmp_path_factory.mktemp("whole"), jobs=1)


def test_every_arm_tries_the_same_values(whole: tuple[Config, Result]) -> None:
    """Whichever of them asked for more: equal trials for each loss, at the same rates and seeds."""
    _, result = whole
    first = [record for record in tried(result) if record["epoch"] == 0]
    of_each = [sorted((r["lr"], r["seed"]) for r in first if r["loss"] == loss) for loss in LOSSES]
    assert of_each[0] == of_each[1]
    assert len(first) == result.summary["tuning"]["trials"]
    assert {0.001, 0.01} < {r["lr"] for r in first}
    assert [r["trial"] for r in first] == list(range(len(first)))


def test_it_ends_inside_or_with_its_budget(whole: tuple[Config, Result]) -> None:
    """No arm's best lies on an edge unless twice the settings are tried; what is chosen is among them."""
    _, result = whole
    for arm in result.summary["tuning"]["arms"]:
        for each in arm["by_seed"] or [arm]:
            rates = [0.001, 0.01, *each["extended"]["lr"]]
            assert each["chosen"]["lr"] in rates
            assert len(rates) == len(set(rates)) <= 4
            assert (each["chosen"]["lr"] in (min(rates), max(rates))) == (each["at_edge"] == ["lr"])
            assert 4 == len(rates) or not each["at_edge"]


def test_an_extended_grid_is_the_grid_written_out(whole: tuple[Config, Result], tmp_path: Path) -> None:
    """The same values given at once are the same trials, choices and records, byte for byte."""
    asked, result = whole
    extended = [arm["extended"]["lr"] for arm in result.summary["tuning"]["arms"]]
    rates = [0.001, 0.01, *dict.fromkeys(rate for rates in extended for rate in rates)]
    at_once = clsbench.run(config(asked["tune"]["protocol"], rates, extend=False), output=tmp_path)
    known = {as_text(record) for record in tried(at_once)}
    assert {as_text(record) for record in tried(result)} <= known
    if not any(arm["by_seed"] for arm in result.summary["tuning"]["arms"]):  # there each seed has a grid of its own
        assert len(known) == len(tried(result))
        for arm, other in zip(result.summary["tuning"]["arms"], at_once.summary["tuning"]["arms"], strict=True):
            assert arm["chosen"] == other["chosen"]
            assert arm["sensitivity"] == other["sensitivity"]
        assert [as_text(r) for r in at_once.records] == [as_text(r) for r in result.records]


@pytest.mark.parametrize("epochs", [2, 5, 6, 8, 10, 11, 13, 14])
def test_a_run_that_was_cut_ends_alike(whole: tuple[Config, Result], epochs: int, often: None, tmp_path: Path) -> None:
    """In the grid, in an extension or after them: the same records, choices and weights, and nothing is tried twice."""
    asked, result = whole
    cut = cut_run(asked, tmp_path, epochs, jobs=1)
    resumed = clsbench.run(resume=cut, jobs=1)
    assert [as_text(r) for r in tried(result)] == [as_text(r) for r in tried(resumed)]
    assert result.summary["tuning"]["arms"] == resumed.summary["tuning"]["arms"]
    assert [as_text(r) for r in result.records] == [as_text(r) for r in resumed.records]
    assert result.summary["pairing"] == resumed.summary["pairing"]


@pytest.mark.parametrize("lost", [1, 6])
def test_lost_records_of_tuning_are_made_again(whole: tuple[Config, Result], lost: int, tmp_path: Path) -> None:
    """Of the last epochs, which are those of the grid too: what these led to is not known before they are."""
    asked, result = whole
    path = clsbench.run(asked, output=tmp_path, jobs=1).directory
    (path / "summary.json").unlink()
    content = (path / "tuning.jsonl").read_bytes()
    (path / "tuning.jsonl").write_bytes(content[: len(content) * (9 - lost) // 9])
    resumed = clsbench.run(resume=path, jobs=1)
    assert [as_text(r) for r in tried(result)] == [as_text(r) for r in tried(resumed)]
    assert result.summary["tuning"]["arms"] == resumed.summary["tuning"]["arms"]
    assert [as_text(r) for r in result.records] == [as_text(r) for r in resumed.records]


def test_another_process_builds_the_same_trials(whole: tuple[Config, Result], tmp_path: Path) -> None:
    """A worker that has the recipe of an extended plan trains the same settings under the same numbers."""
    asked, _ = whole
    plans: list[Any] = []
    clsbench.run(
        asked,
        output=tmp_path,
        watch=lambda plan, event: plans.append(plan) if isinstance(event, GridExtended) else None,
    )
    assert [] != plans
    recipe = Work(read_mapping(asked), plans[-1], {}, torch.device("cpu")).recipe()
    there = Work.of_recipe(recipe).plan
    of_both = [
        [(trial.number, trial.arm.name, trial.arm.settings, trial.seed, trial.data_key) for trial in plan.trials]
        for plan in (plans[-1], there)
    ]
    assert of_both[0] == of_both[1]
    assert plans[-1].since == there.since


def test_a_run_read_back_is_whole(whole: tuple[Config, Result]) -> None:
    """Its summary is not refused, and its tables have a row for each setting that was tried, and no other."""
    _, result = whole
    again = clsbench.load(result.directory)
    assert result.summary == again.summary
    rows = tidy(again.summary, trained_arms(again))["tuning"]
    firsts = [record for record in tried(result) if record["epoch"] == 0]
    settings = {(r["loss"], r["lr"], r["seed"] % 10_000 if rows[0]["seed"] is not None else None) for r in firsts}
    assert settings == {(row["arm"], row["lr"], row["seed"]) for row in rows}
    assert len(settings) == len(rows)


def test_a_summary_whose_settings_are_not_its_grids_is_damaged(whole: tuple[Config, Result]) -> None:
    """Each setting that was tried is of the grid or of what extended it."""
    _, result = whole
    damaged = json.loads(json.dumps(result.summary))
    for each in (damaged["tuning"]["arms"][0], *(damaged["tuning"]["arms"][0]["by_seed"] or ())):
        each["extended"] = {}
    with pytest.raises(RunError, match=r"tuning.arms.0..sensitivity does not have the settings of the grid"):
        require_consistent("summary.json", damaged, bounds())


def test_a_seed_extends_by_its_own_split_alone(tmp_path: Path) -> None:
    """What other seeds find changes neither the values that a seed tries nor its choice: they may test its samples."""
    together = clsbench.run(config("per_arm_per_seed"), output=tmp_path)
    for place, seed in enumerate((0, 1, 2)):
        train = {**config()["train"], "seeds": [seed]}
        alone = clsbench.run(config("per_arm_per_seed", train=train), output=tmp_path)
        for arm, own in zip(together.summary["tuning"]["arms"], alone.summary["tuning"]["arms"], strict=True):
            assert arm["by_seed"][place] == own["by_seed"][0]


def test_comparisons_extend_apart(tmp_path: Path) -> None:
    """A comparison whose best is inside its grid tries nothing more because of another."""
    scales = {"name": "mlp", "hidden": [8], "init": {"weights": "normal", "scale": [0.1, 1.0]}}
    both = clsbench.run(config(model=scales), output=tmp_path)
    for scale in (0.1, 1.0):
        alone = clsbench.run(config(model={**scales, "init": {"weights": "normal", "scale": scale}}), output=tmp_path)
        for loss in LOSSES:
            assert settings(alone, loss) == settings(both, f"{loss} scale={scale}")


def test_a_run_stopped_in_an_extension_says_so(often: None, tmp_path: Path) -> None:
    """The report tells how far it came beyond what was planned."""
    cut = cut_run(config(), tmp_path, 8, jobs=1)
    with pytest.raises(RunError, match=r"it was stopped while tuning, with \d+ beyond the 16 epochs of its trials"):
        clsbench.load(cut)


@pytest.mark.parametrize("extend", [True, False])
def test_a_trial_that_failed_is_tried_again_with_what_followed(
    extend: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither settings nor networks that its failure led to are kept: resumed, the run ends as one without it."""
    train = units.train

    def failing(stack: Any, trials: Any, *rest: Any) -> Any:
        if any(trial.lr == 0.01 and trial.seed == 10001 for trial in trials):
            raise ValueError("a fault of this test")
        return train(stack, trials, *rest)

    with monkeypatch.context() as faulty:
        faulty.setattr(units, "train", failing)
        failed = clsbench.run(config(extend=extend), output=tmp_path / "failed", jobs=1)
    assert "failed" == failed.summary["status"]
    resumed = clsbench.run(resume=failed.directory, jobs=1)
    once = clsbench.run(config(extend=extend), output=tmp_path / "once", jobs=1)
    assert failed.records.column("lr") != once.records.column("lr")
    assert [as_text(r) for r in once.records] == [as_text(r) for r in resumed.records]
    assert [as_text(r) for r in tried(once)] == [as_text(r) for r in tried(resumed)]
    assert once.summary["tuning"]["arms"] == resumed.summary["tuning"]["arms"]
    assert "finished" == resumed.summary["status"]
