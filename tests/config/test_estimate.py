"""What a plan takes, before and after data are opened: in proportion to what is asked, and near what a run leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import clsbench
from clsbench.config.estimate import PROCESS, Estimate, estimate
from clsbench.config.memory import STACK_BYTES
from clsbench.config.plan import plans
from clsbench.config.reader import read_mapping
from clsbench.execution.opening import load_data
from clsbench.experiment import read_data


def estimated(**asked: Any) -> Estimate:
    config = {"dataset": "moons", "loss": ["cross_entropy", "bce"], "train": {"seeds": 4}, **asked}
    return estimate(plans(read_mapping(config)))


def test_epochs_and_seeds_cost_time_and_disk() -> None:
    """Twice the epochs take about twice the time; twice the seeds less, for a step serves a stack; so does tuning."""
    once = estimated(train={"seeds": 4, "epochs": 10}, report="off")
    longer = estimated(train={"seeds": 4, "epochs": 20}, report="off")
    assert once.seconds < longer.seconds < 2 * once.seconds  # building a stack costs the same
    assert once.disk < longer.disk < 2 * once.disk
    wider = estimated(train={"seeds": 8, "epochs": 10}, report="off")
    assert once.seconds < wider.seconds < 2 * once.seconds
    assert pytest.approx(2 * once.disk) == wider.disk
    tuned = estimated(train={"seeds": 4, "epochs": 10}, tune={"grid": {"lr": [0.1, 1.0]}, "seeds": 2}, report="off")
    assert 1.5 * once.seconds < tuned.seconds < 2.5 * once.seconds
    assert () == tuned.unknown


def test_splits_that_trials_do_not_share_take_memory() -> None:
    """Each trial of another split holds its own samples; of large data, a stack only as many as fit into it.

    Generated data are kept for each seed besides, a set that is only split anew once.
    """
    large = {"name": "moons", "samples": 100_000}
    shared, own = (estimated(dataset={**large, "split_seed": seed}, model="linear") for seed in (0, "per_seed"))
    size, seeds = 4 * 2 * 100_000, 4
    assert (seeds + seeds - 1) * size == own.memory - shared.memory
    images = {"name": "mnist", "split_seed": "per_seed"}
    found = estimated(dataset=images, model="linear", train={"seeds": 40})
    assert 70_000 * 784 * 4 < found.memory - PROCESS < STACK_BYTES + 2 * 70_000 * 784 * 4


def test_what_is_not_known_is_named(tmp_path: Path) -> None:
    """A table that nobody opened, and a model whose arithmetic its parameters do not tell, have no part in it."""
    found = estimated(dataset=["moons", {"name": "csv", "path": str(tmp_path / "own.csv"), "target": "y"}])
    assert ("csv",) == found.unknown
    assert found.seconds == estimated().seconds
    images = estimated(dataset="digits", model=["cnn", "linear"])
    assert ("cnn",) == images.unknown


def test_what_was_opened_is_known(tmp_path: Path) -> None:
    """A table takes what generated data of its size take, in tuning too, and each split of it as much."""
    rows = [f"{n % 7},{n % 11},{'ab'[n % 2]}" for n in range(500)]
    (tmp_path / "own.csv").write_text("\n".join(["x,y,class", *rows]))
    asked = {
        "loss": ["cross_entropy", "bce"],
        "train": {"seeds": 4},
        "tune": {"grid": {"lr": [0.1, 1.0]}, "protocol": "per_arm"},
    }
    table = {"name": "csv", "path": str(tmp_path / "own.csv")}
    closed, (*tuning, plan) = (plans(read_mapping({"dataset": table, **asked})) for _ in range(2))
    assert ("csv",) == estimate(closed).unknown
    opened, _, _ = read_data(plan)
    found, like = estimate([*tuning, opened]), estimated(**asked, dataset={"name": "moons", "samples": 500})
    assert (like.seconds, like.disk, ()) == (found.seconds, found.disk, found.unknown)


def test_disk_is_about_what_a_run_leaves(tmp_path: Path) -> None:
    """Records and weights, to a factor of two."""
    config: dict[str, Any] = {
        "name": "disk",
        "dataset": "digits",
        "model": {"name": "mlp", "hidden": [200]},
        "train": {"epochs": 5, "seeds": 3, "device": "cpu"},
        "report": "off",
    }
    result = clsbench.run(config, output=tmp_path)
    left = sum(file.stat().st_size for file in result.directory.rglob("*") if file.is_file())
    assert 0.5 < left / estimate(plans(read_mapping(config))).disk < 2


@pytest.mark.parametrize("name", ["iris", "wine", "breast_cancer", "digits", "diabetes"])
def test_the_number_of_samples_is_that_of_the_data(name: str) -> None:
    """What is said before data are opened is true when they are."""
    loss = "mse" if name == "diabetes" else "cross_entropy"
    plan = plans(read_mapping({"dataset": name, "model": "linear", "loss": loss, "train": {"seeds": 1}}))[-1]
    (splits,) = load_data(plan.trials, torch.device("cpu")).values()
    val = 0 if splits.val is None else len(splits.val)
    assert plan.arms[0].dataset.posed.samples == len(splits.train) + val + len(splits.test)
