"""Metrics against true probabilities and against the order of classes: by NumPy, scikit-learn, and in whole runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error, root_mean_squared_error

import clsbench
from clsbench.config.reader import read_mapping
from clsbench.data.playground import gaussians
from clsbench.data.raw import RawData, as_kind, as_raw
from clsbench.data.splits import split
from clsbench.data.toy import grades
from clsbench.errors import ConfigError, DataError
from clsbench.losses.contract import build_loss
from clsbench.problems import Probability, Problem, SingleLabel, problem_from
from clsbench.registry import catalogue
from clsbench.results import value_of
from clsbench.training.evaluation import Totals
from clsbench.training.measure import prediction_metrics
from clsbench.training.quantities import Ruler

CONFIGS = Path(__file__).parents[2] / "configs"


def measured(loss: str, problem: Problem, logits: torch.Tensor, targets: torch.Tensor, **known: Any) -> Any:
    """The test metrics of one network, by name; what has no value is left out."""
    bound = build_loss(loss, problem, catalogue.get("loss", loss).defaults)
    totals = Totals(Ruler(bound, torch.device("cpu")), prediction_metrics(problem, "test"))
    totals.add(logits[None], targets, known.get("posterior"))
    return {name: value[0] for name, value in totals.values(len(targets)).items()}


@pytest.mark.parametrize("num_samples", [1, 700, 2600])
def test_posterior_error_is_that_of_scikit_learn(num_samples: int) -> None:
    """The root mean square over samples and classes, for splits that are measured in one part or in several."""
    torch.manual_seed(0)
    logits, true = torch.randn(num_samples, 3), torch.randn(num_samples, 3).double().softmax(-1)
    found = measured("cross_entropy", SingleLabel(3), logits, torch.arange(num_samples) % 3, posterior=true)
    theirs = root_mean_squared_error(true.flatten(), logits.double().softmax(-1).flatten())
    assert pytest.approx(theirs, abs=1e-6) == found["test_posterior_rmse"].item()


@pytest.mark.parametrize("names", [("yes",), ("a", "b", "c")])
def test_posterior_error_of_events_is_that_of_scikit_learn(names: tuple[str, ...]) -> None:
    """Of probabilities each of their own, which need not sum to 1."""
    torch.manual_seed(0)
    logits, true = torch.randn(700, len(names)), torch.rand(700, len(names)).double()
    found = measured("mse_sigmoid", Probability(names), logits, true.round().float(), posterior=true)
    theirs = root_mean_squared_error(true.flatten(), logits.double().sigmoid().flatten())
    assert pytest.approx(theirs, abs=1e-6) == found["test_posterior_rmse"].item()


def test_posterior_error_needs_a_posterior_and_probabilities() -> None:
    """It is null for data whose posterior is not known, and for a loss without probabilities."""
    logits, targets = torch.randn(9, 3), torch.arange(9) % 3
    true = torch.full((9, 3), 1 / 3, dtype=torch.float64)
    assert "test_posterior_rmse" not in measured("cross_entropy", SingleLabel(3), logits, targets)
    assert "test_posterior_rmse" not in measured("hinge", SingleLabel(3), logits, targets, posterior=true)


@pytest.mark.parametrize("num_classes", [3, 40])
def test_distance_in_classes_is_that_of_scikit_learn(num_classes: int) -> None:
    """The mean absolute error of class numbers, for one output for each class and for one that is the number."""
    torch.manual_seed(0)
    problem, targets = SingleLabel(num_classes, ordered=True), torch.randint(num_classes, (500,))
    logits = torch.randn(500, num_classes)
    found = measured("hinge", problem, logits, targets)["test_class_mae"].item()
    assert pytest.approx(mean_absolute_error(targets, logits.argmax(-1))) == found
    number = num_classes * torch.rand(500, 1)
    found = measured("mse_class_index", problem, number, targets)["test_class_mae"].item()
    nearest = number[:, 0].round().clamp(max=num_classes - 1)
    assert pytest.approx(mean_absolute_error(targets, nearest)) == found


@pytest.mark.parametrize("problem", [SingleLabel(3), SingleLabel(2, ordered=True)])
def test_classes_without_an_order_have_no_distance(problem: SingleLabel) -> None:
    """It is null; so it is for two classes, where it would be the error rate."""
    logits, targets = torch.randn(6, problem.num_classes), torch.arange(6) % problem.num_classes
    assert "test_class_mae" not in measured("hinge", problem, logits, targets)


def test_a_dataset_says_that_its_classes_are_ordered(tmp_path: Path) -> None:
    """School years are; the classes of a table are if they are listed, and what a run keeps of a problem says it."""
    table = tmp_path / "t.csv"
    table.write_text("x,y\n" + "".join(f"{n},{'abc'[n % 3]}\n" for n in range(30)))
    csv = clsbench.registry.catalogue.get("dataset", "csv").factory
    assert as_raw(grades(0)).problem.ordered
    assert not as_raw(csv(0, path=str(table))).problem.ordered
    listed = as_raw(csv(0, path=str(table), classes=["c", "a", "b"])).problem
    assert listed.ordered
    assert listed == problem_from(listed.facts)


def test_every_split_has_the_posterior_of_its_samples() -> None:
    """Row by row, of the raw features, however the splits are normalised, and label noise changes nothing."""
    raw = as_raw(gaussians(0, samples=200))
    data = split(raw, test_fraction=0.2, normalize="none", label_noise=0.3, dtype=torch.float64)
    assert raw.posterior is not None
    for part in (data.train, data.val, data.test):
        assert part is not None
        np.testing.assert_allclose(raw.posterior(part.x.numpy()), part.posterior)
    scaled = split(raw, test_fraction=0.2)
    assert data.test.posterior is not None
    assert torch.equal(data.test.posterior, scaled.test.posterior)


@pytest.mark.parametrize("classes", [2, 3])
def test_classes_taken_for_probabilities_keep_their_posterior(classes: int) -> None:
    """Of two classes, that of the second alone; of classes taken for values, none."""
    raw = as_raw(gaussians(0, samples=100, classes=classes))
    assert raw.posterior is not None
    columns = slice(1, None) if classes == 2 else slice(None)
    found = as_kind(raw, "probability").posterior_of(raw.features)
    np.testing.assert_array_equal(raw.posterior(raw.features)[:, columns], found)
    assert as_kind(raw, "regression").posterior_of(raw.features) is None


def test_a_posterior_that_is_none_is_refused() -> None:
    """Probabilities of one of the classes that do not sum to 1, of a dataset of one's own."""
    raw = RawData(np.eye(20), np.arange(20) % 2, num_classes=2, posterior=lambda x: np.full((len(x), 2), 0.7))
    with pytest.raises(DataError, match=r"the posterior is not \[\d+, 2\] probabilities that sum to 1"):
        split(as_raw(raw), test_fraction=0.2)


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        ("val_class_mae", "val_class_mae is for classes that have an order; use val_accuracy"),
        ("val_posterior_rmse", "val_posterior_rmse is for data whose true probabilities are known; use val_nll"),
    ],
)
def test_tuning_is_refused_by_what_data_do_not_know(tmp_path: Path, metric: str, reason: str) -> None:
    """Before the first trial, at the latest when the data are open."""
    config = {"dataset": "iris", "loss": "cross_entropy", "tune": {"metric": metric}, "train": {"device": "cpu"}}
    with pytest.raises(ConfigError, match=reason):
        clsbench.run(config, output=tmp_path)
    ordered = {"dataset": {"name": "grades", "samples": 60}, "tune": {"metric": "val_class_mae"}}
    assert "val_class_mae" == read_mapping(ordered).tune.metric


def test_probabilities_come_nearer_to_the_truth(tmp_path: Path) -> None:
    """With more data, by cross-entropy and by squared error; and those of an overconfident network by temperature."""
    overrides = ["train.device=cpu", "train.seeds=3", "report=off"]
    result = clsbench.run(CONFIGS / "known_posterior.yaml", overrides, output=tmp_path)
    assert [True] * 4 == [each["met"] for each in result.summary["expectations"]]
    finals = [record for record in result.records if record["epoch"] == 30]
    known = {record["loss"] for record in finals if value_of(record, "test_posterior_rmse") is not None}
    assert {"cross_entropy", "mse_softmax"} == known
