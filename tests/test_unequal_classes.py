"""A rare class, from its data to the verdict: weights, metrics by class, expectations, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import clsbench
from clsbench.config.plan import plans
from clsbench.config.reader import read_mapping
from clsbench.errors import ConfigError
from clsbench.execution.opening import load_data
from clsbench.execution.work import Work
from clsbench.result import Result

CPU = torch.device("cpu")
WEIGHTED = {"name": "cross_entropy", "label": "weighted", "class_weight": "balanced"}


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of two columns in which one sample of 33 is fraud, and its values are a little higher."""
    rng = np.random.default_rng(0)
    rows = [(*(rng.normal(size=2) + 1.2 * (n < 30)).round(4), "yes" if n < 30 else "no") for n in range(1000)]
    path = tmp_path_factory.mktemp("data") / "rare.csv"
    path.write_text("a,b,fraud\n" + "".join(f"{a},{b},{fraud}\n" for a, b, fraud in rows))
    return path


def config(table: Path, **changes: Any) -> dict[str, Any]:
    return {
        "name": "rare",
        "dataset": {"name": "csv", "path": str(table), "target": "fraud", "split_seed": 0},  # 6 of fraud are tested
        "model": {"name": "mlp", "hidden": [8]},
        "loss": ["cross_entropy", WEIGHTED],
        "train": {"epochs": 5, "seeds": 3, "device": "cpu", "compile": "off"},
        "report": "off",
        **changes,
    }


@pytest.fixture(scope="module")
def result(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    expect = [
        "weighted.test_recall[yes] >= 0.5",
        "cross_entropy.val_recall[no]@0 >= 0",
        "verdict(weighted, cross_entropy, test_balanced_accuracy) == better",
    ]
    return clsbench.run(config(table, expect=expect), output=tmp_path_factory.mktemp("runs"))


def test_weights_raise_balanced_accuracy(result: Result) -> None:
    """Balanced weights raise test balanced accuracy by ten points or more, as a verdict says."""
    means = {name: arm["metrics"]["test_balanced_accuracy"]["mean"] for name, arm in result.arms.items()}
    assert means["weighted"] - means["cross_entropy"] >= 0.1
    assert [True, True, True] == [found["met"] for found in result.summary["expectations"]]


def test_metrics_by_class_agree_with_the_confusion(result: Result) -> None:
    """Records, summary and confusion, by the names of the classes, say the same of every trained network."""
    last = [record for record in result.records if record["arm"] == "weighted" and record["epoch"] == 5]
    arm = result.arms["weighted"]
    confusion = arm["confusion"]
    assert confusion is not None
    assert {"no": 3 * 194, "yes": 3 * 6} == {name: sum(row.values()) for name, row in confusion.items()}
    for name in ("no", "yes"):
        statistic = arm["metrics"][f"test_recall[{name}]"]
        assert [record["test_recall"][name] for record in last] == statistic["values"]  # type: ignore[typeddict-item]
        assert pytest.approx(confusion[name][name] / sum(confusion[name].values())) == statistic["mean"]


def test_a_table_of_records_has_a_column_for_each_class(
    result: Result, tmp_path: Path, invoke: Callable[..., Any]
) -> None:
    """In CSV a metric by class has as many columns as there are classes."""
    assert 0 == invoke("report", result.directory, "--csv", tmp_path / "a.csv").exit_code
    header = (tmp_path / "a.csv").read_text().splitlines()[0].split(",")
    assert {"test_recall[no]", "test_recall[yes]", "val_precision[yes]", "test_auroc"} < set(header)
    assert "test_recall" not in header


def test_no_bit_depends_on_the_stack(result: Result, table: Path, tmp_path: Path) -> None:
    """A weighted trial has the same records alone, in a stack of its own, as beside others."""
    alone = config(table, loss=[WEIGHTED], train={**config(table)["train"], "seeds": [1], "stack": 1})
    found = clsbench.run(alone, output=tmp_path).records
    expected = [each for each in result.records if each["arm"] == "weighted" and each["seed"] == 1]
    assert [_bits(record) for record in expected] == [_bits(record) for record in found]


def _bits(record: Any) -> dict[str, str]:
    return {key: repr(value) for key, value in record.items() if key not in ("trial", "seconds")}


def test_weights_are_those_of_each_split(table: Path) -> None:
    """Each trial has the weights of its own training split, in every process that builds its stack again."""
    dataset = {**config(table)["dataset"], "split_seed": "per_seed", "label_noise": 0.2}
    plan = plans(read_mapping(config(table, dataset=dataset, loss=[WEIGHTED])))[-1]
    work = Work(plan.experiment, plan, load_data(plan.trials, CPU), CPU)
    ((stack,), (again,)) = work.stacks, Work.of_recipe(work.recipe()).stacks
    assert stack.loss.class_weight is not None
    assert again.loss.class_weight is not None
    weights = stack.loss.class_weight.squeeze(1).tolist()
    assert weights == again.loss.class_weight.squeeze(1).tolist()
    counts = [torch.bincount(stack.splits_of(trial).train.y) for trial in stack.trials]
    assert [pytest.approx((600 / (2 * each)).tolist()) for each in counts] == weights
    assert 3 == len(set(map(tuple, weights)))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"loss": {**WEIGHTED, "class_weight": {"yess": 3}}},
            "class_weight of cross_entropy: no class is called 'yess'; did you mean 'yes'?",
        ),
        (
            {"loss": {**WEIGHTED, "class_weight": {1: 3}}},
            "class_weight of cross_entropy: no class is called '1'; one of no, yes",
        ),
        (
            {"expect": ["weighted.test_recall[yess] >= 0.5"]},
            "expect: weighted.test_recall[yess] >= 0.5: no class is called 'yess'; did you mean 'yes'?",
        ),
    ],
)
def test_an_unknown_class_is_refused_when_the_data_are_open(
    table: Path, tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    """Which names there are is known then: the nearest is suggested, and nothing is trained."""
    with pytest.raises(ConfigError) as caught:
        clsbench.run(config(table, **change), output=tmp_path)
    assert [said] == list(caught.value.mistakes)
    assert [] == list(tmp_path.iterdir())
