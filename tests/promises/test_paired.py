"""Arms are paired: the same weights and batches at a seed, with the evidence in the summary."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from clsbench.analysis.pairing import PromiseBroken
from tests.promises.curves import MLP, MOONS, TEN, Run


def test_arms_start_from_the_same_weights(run: Run) -> None:
    """Before training, losses with one link measure the same network; every seed has another one."""
    softmax = ["cross_entropy", "mse_softmax", "focal", "cross_entropy_on_softmax"]
    starts = [record for record in run(TEN, loss=softmax, seeds=3).records if record["epoch"] == 0]
    by_seed = {seed: {r["test_nll"] for r in starts if r["seed"] == seed} for seed in range(3)}
    assert [1, 1, 1] == [len(values) for values in by_seed.values()]
    assert 3 == len(set.union(*by_seed.values()))


def test_summary_holds_the_evidence(run: Run) -> None:
    """One entry a comparison, whose hashes depend on seeds, model and data, and not on losses or rates."""

    def entry(**config: Any) -> tuple[list[str], str, str]:
        (found,) = run(**config).summary["pairing"]
        return found["arms"], found["weights"], found["batches"]

    arms, weights, batches = entry(loss=["mse_softmax", "cross_entropy", "bce"])
    assert ["mse_softmax", "cross_entropy", "bce"] == arms
    assert (["hinge"], weights, batches) == entry(loss="hinge", optimizer={"lr": 0.7})
    _, other_weights, other_batches = entry(seeds=[5])
    assert other_weights != weights
    assert other_batches != batches
    assert weights != entry(model={**MLP, "init": {"weights": "normal"}})[1]
    assert batches == entry(model={**MLP, "init": {"weights": "normal"}})[2]
    assert weights == entry(epochs=3)[1] == entry(dataset={**MOONS, "samples": 300})[1]
    assert batches != entry(epochs=3)[2]
    assert batches != entry(dataset={**MOONS, "samples": 300})[2]


def test_each_comparison_has_its_own_evidence(run: Run) -> None:
    """Models and batch sizes are compared apart; another number of outputs still shares the hidden layers."""
    result = run(model=["linear", MLP], loss=["mse_class_index", "cross_entropy"], batch_size=[16, 32])
    paired = result.summary["pairing"]
    assert 4 == len(paired)
    assert [2] * 4 == [len(entry["arms"]) for entry in paired]
    linear, mlp = paired[0]["weights"], paired[2]["weights"]
    assert linear is None  # there are no hidden layers to share
    assert mlp is not None
    assert mlp == paired[3]["weights"]


def test_run_that_breaks_its_promise_fails(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that depend on the loss are noticed in a whole run."""
    calls = itertools.count()

    def another_each_time(purpose: str, seed: int) -> torch.Generator:
        return torch.Generator().manual_seed(next(calls))

    monkeypatch.setattr("clsbench.execution.work.generator_for", another_each_time)
    with pytest.raises(PromiseBroken, match="different initial weights"):
        run(loss=["bce", "hinge"])
