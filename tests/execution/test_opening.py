"""Opening datasets: how often one is read, and what is held of its splits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import clsbench
from clsbench.config.plan import make_plan, tuning_plan
from clsbench.config.reader import read_mapping
from clsbench.data.raw import RawData
from clsbench.errors import ClsbenchError, ConfigError, DataError
from clsbench.execution.opening import load_data, posed_of

CPU = torch.device("cpu")


@pytest.mark.parametrize(("drawn", "times"), [(False, 1), (True, 5)])
def test_data_whose_seed_draws_nothing_are_read_once(drawn: bool, times: int) -> None:
    """However many splits are trained on, and others held out: here two of tuning and three of the experiment."""
    read: list[int] = []

    @clsbench.dataset("counted", drawn=drawn)
    def counted(seed: int) -> Any:
        """Points on a line, of two classes."""
        read.append(seed)
        return np.arange(300.0)[:, None] + (1000 * seed if drawn else 0), np.arange(300) % 2

    config = {"dataset": {"name": "counted", "split_seed": "per_seed", "test_fraction": 0.1}, "train": {"seeds": 3}}
    tune = {"grid": {"lr": [0.1, 1.0]}, "seeds": 2, "protocol": "per_arm"}
    plan = tuning_plan(read_mapping({**config, "tune": tune}))
    assert plan is not None
    data = load_data(plan.trials, CPU, plan.spared)
    assert 2 == len({splits.hash for splits in data.values()})
    assert times == len(read)


HEADER = "x,price,id,few,word,red,blue,share,rest"
ROWS = [
    f"{n * 7 % 11},{n * 1.25 + 0.5},{n * n},{n % 3},{'ab'[n % 2]},{n % 2},{int(n % 3 == 0)},{n % 5 / 5},{1 - n % 5 / 5}"
    for n in range(60)
]


@pytest.mark.parametrize(
    ("target", "losses", "problem", "error", "said"),
    [
        (
            "price",
            "cross_entropy",
            "auto",
            DataError,
            ["60 rows hold 60 different values of 'price'", "loss=mse", "ranges"],
        ),
        ("price", ["mse_softmax", "bce"], "auto", DataError, ["regression, and mse_softmax and bce are not for that"]),
        ("price", ["mse", "cross_entropy"], "auto", ConfigError, ["cross_entropy does not fit csv"]),
        ("price", "cross_entropy", "regression", ConfigError, ["cross_entropy does not fit csv"]),
        ("id", "cross_entropy", "auto", DataError, ["60 different values of 'id'", "problem=single_label takes each"]),
        ("few", "mse", "auto", DataError, ["60 rows hold 3 classes ('0', '1' and '2')", "problem=regression takes"]),
        ("word", "mse", "auto", DataError, ["60 rows hold 2 classes ('a' and 'b')", "loss=cross_entropy"]),
        (["red", "blue"], "hinge", "auto", DataError, ["60 rows hold 0 or 1 in the 2 columns 'red' and 'blue'"]),
        (["share", "rest"], "hinge", "auto", DataError, ["shares that sum to 1 in the 2 columns 'share' and 'rest'"]),
        (["share", "red"], "hinge", "auto", DataError, ["numbers in the 2 columns 'share' and 'red'", "loss=mse"]),
    ],
)
def test_targets_that_no_loss_is_for_are_a_fault_of_the_data(
    target: Any, losses: Any, problem: str, error: type[ClsbenchError], said: list[str], tmp_path: Path
) -> None:
    """Where the kind was found in them; beside a loss that fits, or where the kind is asked for, of the config."""
    path = tmp_path / "table.csv"
    path.write_text("\n".join([HEADER, *ROWS]) + "\n")
    data = {"name": "csv", "path": str(path), "target": target, "columns": ["x"], "problem": problem}

    def opened() -> None:
        load_data(make_plan(read_mapping({"dataset": data, "loss": losses, "train": {"seeds": 1}})).trials, CPU)

    with pytest.raises(ClsbenchError) as refused:
        opened()
    assert (error, []) == (refused.type, [part for part in said if part not in str(refused.value)]), refused.value


def test_a_test_set_that_comes_along_is_known_once_data_are_opened() -> None:
    """A dataset that did not say so before has one split for all tests; every seed has its own training samples."""
    features, labels = np.arange(200.0)[:, None], np.arange(200) % 2

    @clsbench.dataset("brings-a-test-set", drawn=False)
    def brings(seed: int) -> RawData:
        """Points on a line, of two classes, and others to test on."""
        return RawData(features, labels, 2, test_features=features[:40] + 0.5, test_labels=labels[:40])

    config = {"dataset": "brings-a-test-set", "model": "linear", "loss": "bce", "train": {"seeds": 2}}
    plan = make_plan(read_mapping(config))
    assert frozenset() == plan.own_tests
    data = load_data(plan.trials, CPU)
    opened = replace(plan, posed={key: posed_of(splits) for key, splits in data.items()})
    assert {"bce"} == opened.own_tests
    first, second = data.values()
    assert first.hashes["test"] != first.hashes["train"] != second.hashes["train"]
