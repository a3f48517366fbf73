"""Trials that stop where a validation metric no longer improves."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import clsbench
from clsbench.training import between
from clsbench.training.evaluation import fitted_temperatures
from clsbench.training.settings import StackData, TrialSettings
from clsbench.training.stack import Stack
from clsbench.training.stopping import Stop, Waiting
from tests.training.test_loop import data as clouds
from tests.training.test_loop import rows, stack_of, trained

CPU = torch.device("cpu")
data = pytest.fixture(clouds.__wrapped__)  # type: ignore[attr-defined]

WINE: dict[str, Any] = {
    "name": "stop",
    "dataset": "wine",
    "model": {"name": "mlp", "hidden": [8]},
    "loss": ["cross_entropy", "mse_softmax"],
    "optimizer": {"lr": 0.5},
    "train": {"epochs": 30, "batch_size": 16, "seeds": 3, "device": "cpu", "threads": 1},
    "stop": {"metric": "val_nll", "patience": 2},
    "report": "off",
}


def stopped_at(values: list[float], sign: float, patience: int) -> int | None:
    """The place at which one patient for so long would stop, None for never."""
    best, waited = -math.inf, 0
    for place, value in enumerate(values):
        waited = 0 if sign * value > best else waited + 1
        best = max(best, sign * value) if not math.isnan(value) else best
        if waited >= patience:
            return place
    return None


@given(
    st.lists(st.tuples(*[st.sampled_from([0.0, 1.0, 2.0, 3.0, math.nan, math.inf])] * 3), min_size=1, max_size=9),
    st.sampled_from(["higher", "lower"]),
    st.integers(1, 4),
)
def test_patience_ends_after_so_many_epochs_without_a_better_value(
    epochs: list[tuple[float, ...]], better: str, patience: int
) -> None:
    """Trial by trial, whatever the others do; no number is no better than any."""
    waiting = Waiting(Stop("val_nll", better, patience), 3, CPU)
    over = torch.stack([waiting.over(torch.tensor(values)) for values in epochs])
    for trial, values in enumerate(zip(*epochs, strict=True)):
        expected = stopped_at(list(values), 1.0 if better == "higher" else -1.0, patience)
        found = over[:, trial].nonzero().flatten().tolist()
        assert expected == (found[0] if found else None)


def test_a_trial_that_stops_is_frozen_with_the_weights_of_its_last_epoch(data: StackData) -> None:
    """Its rows are those of a longer training, cut; the last is finished, and has the temperature's metrics."""
    trials = [TrialSettings(seed=seed, lr=lr) for seed, lr in enumerate([0.01, 3.0, 3.0])]
    full_stack, stack = stack_of(trials), stack_of(trials)
    full = trained(full_stack, trials, data, epochs=12)
    results = trained(stack, trials, data, epochs=12, stop=Stop("val_nll", "lower", 3))
    lasts = []
    for trial in range(3):
        whole, found = rows(full, trial), rows(results, trial)
        last = stopped_at([row["val_nll"] for row in whole], -1.0, 3) or 12
        lasts.append(last)
        assert last + 1 == len(found)
        assert ["running"] * last + ["finished"] == [row["status"] for row in found]
        assert [None] * last == [row["test_nll_ts"] for row in found[:-1]]
        assert found[-1]["test_nll_ts"] is not None
        same = {key for key in found[-1] if not key.endswith("_ts")} - {"status"}
        assert [{key: row[key] for key in same} for row in whole[: last + 1]] == [
            {key: row[key] for key in same} for row in found
        ]
    assert 12 == lasts[0]
    assert min(lasts[1:]) < 12
    early = lasts.index(min(lasts))
    upto = stack_of(trials)
    trained(upto, trials, data, epochs=min(lasts))
    for name, value in upto.trial_state(early).items():
        assert torch.equal(value, stack.trial_state(early)[name]), name


def test_temperatures_are_fitted_only_where_a_trial_ends(data: StackData, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that have stopped improve no more, and are not fitted again in each of the epochs that others go on."""
    fitted: list[int] = []

    def counted(stack: Stack, *rest: Any) -> torch.Tensor | None:
        fitted.append(stack.num_trials)
        return fitted_temperatures(stack, *rest)

    monkeypatch.setattr(between, "fitted_temperatures", counted)
    trials = [TrialSettings(seed=seed, lr=lr) for seed, lr in enumerate([0.01, 3.0, 3.0])]
    results = trained(stack_of(trials), trials, data, epochs=12, stop=Stop("val_nll", "lower", 3))
    lasts = {len(rows(results, trial)) - 1 for trial in range(3)}
    assert min(lasts) < 11
    assert len(lasts) == len(fitted)


def test_training_ends_when_every_trial_has_stopped(data: StackData) -> None:
    """No epoch is trained for nobody."""
    trials = [TrialSettings(seed=seed, lr=0.0) for seed in range(2)]
    results = trained(stack_of(trials), trials, data, epochs=12, stop=Stop("val_accuracy", "higher", 2))
    assert [0, 1, 2] == [result.epoch for result in results]
    assert ["finished", "finished"] == [row["status"] for row in results[-1].rows if row]


def test_trials_of_a_run_stop_one_by_one(tmp_path: Path) -> None:
    """Each at its own epoch, whatever stands in its stack; the summary has the last one, expectations every seed's."""
    expected = ["cross_entropy.test_nll@val_best > 0", "cross_entropy.test_nll > 0"]
    result = clsbench.run({**WINE, "expect": expected}, output=tmp_path)
    alone = clsbench.run({**WINE, "train": {**WINE["train"], "stack": 1}}, output=tmp_path)
    assert [{**row, "seconds": 0} for row in result.records] == [{**row, "seconds": 0} for row in alone.records]
    lasts = {row["trial"]: row for row in result.records if row["status"] == "finished"}
    assert 6 == len(lasts)
    assert len({row["epoch"] for row in lasts.values()}) > 1
    values = [lasts[trial]["test_nll"] for trial in range(3)]
    assert values == result.arms["cross_entropy"]["metrics"]["test_nll"]["values"]
    assert [True, True] == [each["met"] for each in result.summary["expectations"]]
    assert pytest.approx(sum(values) / 3) == result.summary["expectations"][1]["left"]
