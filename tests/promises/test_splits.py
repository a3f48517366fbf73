"""Independent of the splits of others: a trial's records are those of its own split, in tuning too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import clsbench
import clsbench.shown
from clsbench.training.evaluation import GROUP
from tests.promises.curves import CNN, MLP, Config, Run, as_text, assert_part, curves

NOISY = {"name": "moons", "samples": 200, "label_noise": 0.1, "limit": 150}


def test_split_by_the_seed_is_the_split_of_that_number(run: Run) -> None:
    """With `per_seed` a trial's records are those of its own seed as `split_seed`, whatever trains beside it."""
    arms = {"loss": ["mse_softmax", "cross_entropy"], "optimizer": {"lr": [0.1, 1.0]}}
    varied = run({**NOISY, "split_seed": "per_seed"}, seeds=[4, 2, 9], **arms)
    assert 2 == varied.summary["engine"]["stacks"]
    for seed in (4, 9):
        assert_part(run({**NOISY, "split_seed": seed}, seeds=[seed], loss="cross_entropy"), varied)
    assert curves(varied) != curves(run({**NOISY, "split_seed": 4}, seeds=[4, 2, 9], **arms))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dataset", "loss", "rest"),
    [
        (
            {"name": "gaussians", "samples": 150},
            ["cross_entropy"],
            {"model": {**MLP, "batch_norm": True, "dropout": 0.1}},
        ),
        ({"name": "blobs", "label_noise": 0.2}, [{"name": "focal", "class_weight": "balanced"}], {}),
        (
            {"name": "blobs", "label_noise": 0.2},
            [{"name": "cross_entropy", "logit_adjustment": 1.0}],
            {"compile": "on"},
        ),
        ({"name": "regression", "samples": 100, "values": 2}, ["huber"], {}),
        ({"name": "digits", "limit": 300}, ["mse_softmax"], {"model": {"name": "mlp", "hidden": [130, 65]}}),
        ({"name": "digits", "limit": 100}, ["hinge"], {"model": CNN}),
        (
            {"name": "iris", "val_fraction": 0},
            ["bce", {"name": "hinge", "weight": "match"}],
            {"warm_start": {"epochs": 1}},
        ),
        ({"name": "multilabel", "samples": 100}, ["bce"], {"seeds": range(GROUP + 1)}),
    ],
    ids=["posterior", "weights", "shares", "values", "wide", "images", "warm", "groups"],
)
def test_split_does_not_matter_to_the_neighbours(run: Run, dataset: Config, loss: list[Any], rest: Config) -> None:
    """Whatever a trial takes from its split, its records beside those of other splits are those that it has alone."""
    rest = {"seeds": [4, 0, 7], **rest}
    seeds = list(rest.pop("seeds"))
    whole = run({**dataset, "split_seed": "per_seed"}, loss=loss, seeds=seeds, **rest)
    in_a_stack = 1 if rest.get("model") == CNN else len(seeds)
    assert len(loss) * len(seeds) // in_a_stack == whole.summary["engine"]["stacks"]
    for seed in (seeds[0], seeds[-1]):
        assert_part(run({**dataset, "split_seed": seed}, loss=loss, seeds=[seed], **rest), whole)


def test_split_by_the_seed_is_paired_and_said(run: Run) -> None:
    """The arms at one seed saw the same batches, the config keeps the word, and the summary says what was asked."""
    varied = run({**NOISY, "split_seed": "per_seed"}, seeds=2, loss=["mse_softmax", "cross_entropy"])
    (paired,) = varied.summary["pairing"]
    assert 64 == len(paired["batches"])
    assert ["per_seed", "per_seed"] == [arm["split_seed"] for arm in varied.summary["arms"]]
    assert "split_seed: per_seed" in (varied.directory / "config.yaml").read_text(encoding="utf-8")
    scales = [clsbench.load_model(varied.directory, trial)[1].required_preparation().scale for trial in range(4)]
    assert [True, False] == [np.array_equal(scales[0], scales[other]) for other in (2, 1)]


def test_tuning_splits_by_its_own_seeds(tmp_path: Path) -> None:
    """Tuning's seeds have splits of their own where splits vary."""
    config = {"dataset": {**NOISY, "split_seed": "per_seed"}, "model": "linear", "loss": "bce"}
    train = {"epochs": 1, "seeds": 2, "device": "cpu"}
    result = clsbench.run({**config, "train": train, "tune": {"grid": {"lr": [0.1, 1.0]}, "seeds": 2}}, output=tmp_path)
    assert 2 == result.arms["bce"]["metrics"]["test_accuracy"]["n"]


def test_tuning_of_a_seed_is_as_alone(run: Run, tmp_path: Path) -> None:
    """Tuned inside its own split, a seed's trials, of tuning too, are those that it has without the other seeds."""
    tune = {"grid": {"lr": [0.01, 0.1, 1.0]}, "seeds": 2}
    config = {"dataset": {"name": "iris", "split_seed": "per_seed"}, "model": MLP, "tune": tune, "report": "off"}

    def tuned(seeds: list[int], loss: list[str]) -> clsbench.Result:
        train = {"epochs": 2, "seeds": seeds, "device": "cpu"}
        return clsbench.run({**config, "loss": loss, "train": train}, output=tmp_path)

    whole, alone = tuned([4, 2, 9], ["mse_softmax", "cross_entropy"]), tuned([2], ["cross_entropy"])
    assert_part(alone, whole)
    found = [
        [json.loads(line) for line in (each.directory / "tuning.jsonl").read_text().splitlines()]
        for each in (whole, alone)
    ]
    beside = [r for r in found[0] if r["arm"].startswith("cross_entropy") and r["seed"] % 10_000 == 2]
    assert 3 * 2 * 3 == len(found[1])
    assert [as_text(r) for r in beside] == [as_text(r) for r in found[1]]
    choices = [each.summary["tuning"]["arms"][-1]["by_seed"] for each in (whole, alone)]
    assert [choices[0][1]] == choices[1]
