"""What the shipped configs promise in their headings, asked of whole runs."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import clsbench
from clsbench.results import value_of

CONFIGS = Path(__file__).parents[1] / "configs"


def finals(tmp_path: Path, config: str, metric: str, *overrides: str) -> dict[str, Any]:
    """The mean over seeds of a metric at the last epoch, by arm."""
    result = clsbench.run(CONFIGS / config, ["train.device=cpu", "report=off", *overrides], output=tmp_path)
    return {name: arm["metrics"][metric]["mean"] for name, arm in result.arms.items()}


def test_a_confident_start_stops_squared_error_alone(tmp_path: Path) -> None:
    """From a gentle start both losses end within a point over 0.95; from a confident one MSE ends 20 points behind."""
    result = clsbench.run(CONFIGS / "quickstart.yaml", ["train.device=cpu", "report=off"], output=tmp_path)
    ends = {name: arm["metrics"]["test_accuracy"]["mean"] for name, arm in result.arms.items()}
    stuck = {name: arm["metrics"]["stuck_share"]["mean"] for name, arm in result.arms.items()}
    gentle = [ends["mse_softmax model=gentle"], ends["cross_entropy model=gentle"]]
    assert 0.95 < min(gentle)
    assert max(gentle) - min(gentle) <= 0.01
    assert ends["cross_entropy model=confident"] - ends["mse_softmax model=confident"] >= 0.2
    assert stuck["mse_softmax model=confident"] > 0.2
    assert 0.0 == stuck["cross_entropy model=confident"]


def test_no_rate_of_five_decades_saves_squared_error_from_a_confident_start(tmp_path: Path) -> None:
    """Each loss tuned over 0.1 to 10,000: 20 points apart, and so the verdict; from the gentle start within a point."""
    overrides = ["train.device=cpu", "report=off", 'tune={grid: {lr: "log(0.1, 10000, 6)"}}']
    result = clsbench.run(CONFIGS / "quickstart.yaml", overrides, output=tmp_path)
    ends = {name: arm["metrics"]["test_accuracy"]["mean"] for name, arm in result.arms.items()}
    assert ends["cross_entropy model=confident"] - ends["mse_softmax model=confident"] >= 0.2
    assert pytest.approx(ends["cross_entropy model=gentle"], abs=0.01) == ends["mse_softmax model=gentle"]
    said = {(row["a"], row["metric"]): row["verdict"] for row in result.summary["verdicts"]}
    assert "worse" == said["mse_softmax model=confident", "test_accuracy"]
    assert "worse" != said["mse_softmax model=gentle", "test_accuracy"]


def test_class_numbers_serve_where_classes_have_an_order(tmp_path: Path) -> None:
    """Regression on class numbers ends within 3 points of one-hot labels on grades, and over 10 behind on blobs."""
    ends = finals(tmp_path, "classification_as_regression.yaml", "test_accuracy")
    assert pytest.approx(ends["one-hot dataset=grades"], abs=0.03) == ends["class number dataset=grades"]
    assert ends["one-hot dataset=blobs"] - ends["class number dataset=blobs"] >= 0.1


def test_saturated_sigmoids_do_not_learn_by_squared_error(tmp_path: Path) -> None:
    """From a confident wrong start it stays under a tenth, half of its samples stuck; cross-entropy comes to 0.7."""
    overrides = ["train.device=cpu", "train.seeds=2", "report=off"]
    result = clsbench.run(CONFIGS / "sigmoid_paralysis.yaml", overrides, output=tmp_path)
    assert [True] * 5 == [each["met"] for each in result.summary["expectations"]]


@pytest.mark.parametrize("config", sorted(CONFIGS.glob("problems/*.yaml")), ids=lambda path: path.stem)
def test_each_row_of_the_lectures_table_is_as_its_config_expects(config: Path, tmp_path: Path) -> None:
    """Each kind of problem with its last activation and loss: its expectations hold, and it has a verdict."""
    summary = clsbench.run(config, ["report=off"], output=tmp_path).summary
    assert {each["text"]: True for each in summary["expectations"]} == {
        each["text"]: each["met"] for each in summary["expectations"]
    }
    assert any(row["verdict"] in ("better", "worse") for row in summary["verdicts"])


def test_descent_of_cross_entropy_is_ascent_of_the_likelihood(tmp_path: Path) -> None:
    """Its loss is the NLL of the training set, which every step lowers, and no other loss brings it as low."""
    overrides = ["train.device=cpu", "train.seeds=2", "report=off"]
    result = clsbench.run(CONFIGS / "likelihood.yaml", overrides, output=tmp_path)
    assert [True] * 3 == [each["met"] for each in result.summary["expectations"]]
    for seed in (0, 1):
        rows = [r for r in result.records if (r["arm"], r["seed"]) == ("cross_entropy", seed)]
        likelihood = [value_of(row, "train_nll") for row in rows]
        assert likelihood == pytest.approx([value_of(row, "train_loss") for row in rows], rel=1e-9)
        # Epoch 0 and the only step of epoch 1 see the same weights.
        assert all(later < earlier for earlier, later in pairwise(map(float, likelihood[1:])))


@pytest.mark.slow
def test_softmax_regression_on_mnist(tmp_path: Path, mnist_dir: Path) -> None:
    """Softmax regression reaches the classic 92% on the real test set, in three epochs already."""
    ends = finals(
        tmp_path,
        "mnist_linear.yaml",
        "test_accuracy",
        f"dataset.data_dir={mnist_dir}",
        "train.epochs=3",
        "train.seeds=1",
    )
    assert pytest.approx(0.92, abs=0.01) == ends["cross_entropy"]
