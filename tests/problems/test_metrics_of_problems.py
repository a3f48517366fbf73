"""The rulers of many labels, values and probabilities, against scikit-learn, on the contract's predictions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn import metrics as theirs
from torch import Tensor, nn

from clsbench.losses.contract import Loss, build_loss
from clsbench.metrics.measures import measured
from clsbench.models import layers
from clsbench.problems import KINDS, MultiLabel, Probability, Problem, Regression
from clsbench.registry import catalogue
from clsbench.training.evaluation import Totals, evaluate
from clsbench.training.measure import gradient_diagnostics, prediction_metrics
from clsbench.training.quantities import Ruler
from clsbench.training.stack import Stack

CPU = torch.device("cpu")
SIZE = 2345  # more than a chunk, and not a whole number of chunks
LABELS = MultiLabel(("a", "b", "c"))


def bound(name: str, problem: Problem) -> Loss:
    return build_loss(name, problem, catalogue.get("loss", name).defaults)


def found(loss: Loss, logits: Tensor, targets: Tensor) -> dict[str, float]:
    """Every test metric of a network whose logits are its inputs."""
    layer = layers.Linear(loss.num_outputs, loss.num_outputs)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(loss.num_outputs))
        layer.bias.zero_()
    stack = Stack([nn.Sequential(layer)], stacked=True, device=CPU)
    taken = [*prediction_metrics(loss.problem, "test"), *gradient_diagnostics(loss.problem)]
    values = evaluate(stack, Ruler(loss, CPU), logits, targets, taken)
    return {name.removeprefix("test_"): value.item() for name, value in values.items()}


def drawn(num_outputs: int, seed: int = 0) -> tuple[Tensor, torch.Generator]:
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.randn(SIZE, num_outputs, generator=generator), generator


def test_labels_are_measured_as_scikit_learn_does() -> None:
    """F1, subset accuracy, average precision, Hamming loss, NLL and Brier score of many labels, to 1e-6."""
    logits, generator = drawn(3)
    targets = (logits + 3 * torch.randn(SIZE, 3, generator=generator) > 1).float()
    y, z = targets.numpy().astype(int), logits.double().numpy()
    p, predicted = 1 / (1 + np.exp(-z)), (z > 0).astype(int)
    expected = {
        "micro_f1": theirs.f1_score(y, predicted, average="micro"),
        "macro_f1": theirs.f1_score(y, predicted, average="macro"),
        "subset_accuracy": theirs.accuracy_score(y, predicted),
        "average_precision": theirs.average_precision_score(y, p, average="macro"),
        "hamming": theirs.hamming_loss(y, predicted),
        "nll": sum(theirs.log_loss(y[:, i], p[:, i]) for i in range(3)),
        "brier": sum(theirs.brier_score_loss(y[:, i], p[:, i]) for i in range(3)),
    }
    values = found(bound("bce", LABELS), logits, targets)
    assert pytest.approx(expected, abs=1e-6) == {name: values[name] for name in expected}
    assert values.keys() == {*expected, "logit_grad_norm", "stuck_share"}


@pytest.mark.parametrize("num_values", [1, 3])
@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_values_are_measured_on_their_own_scale(num_values: int, shift: float) -> None:
    """RMSE, MAE and R2 equal scikit-learn's on the data's own numbers, however far they are from zero."""
    logits, generator = drawn(num_values)
    y = shift + 7 * (logits + torch.randn(SIZE, num_values, generator=generator)).double().numpy()
    problem = Regression(tuple(map(str, range(num_values)))).fitted(y)
    predicted = np.array(problem.shift) + np.array(problem.scale) * logits.double().numpy()
    expected = {
        "rmse": theirs.root_mean_squared_error(y, predicted),
        "mae": theirs.mean_absolute_error(y, predicted),
        "r2": theirs.r2_score(y, predicted),
    }
    values = found(bound("mse", problem), logits, torch.from_numpy(problem.encoded(y)))
    assert pytest.approx(expected, abs=1e-6, rel=1e-6) == {name: values[name] for name in expected}


def test_values_that_never_vary_have_no_r2() -> None:
    """R2 is not finite, hence null, whatever the value is; one that varies by a thousandth has scikit-learn's."""
    loss, logits = bound("mse", Regression(("a",)).fitted(np.eye(3)[:, :1])), drawn(1)[0][:333]
    for constant in torch.randn(50, generator=torch.Generator().manual_seed(1)):
        assert not math.isfinite(found(loss, logits, constant.expand(333, 1))["r2"])
    varied = 1 + logits.sign() / 1000
    expected = theirs.r2_score(varied.double().numpy(), logits.double().numpy())
    assert pytest.approx(expected, rel=1e-6) == found(loss, logits, varied)["r2"]


@pytest.mark.parametrize("name", ["bce", "mse_sigmoid", "cross_entropy", "mse_softmax"])
def test_soft_targets_are_measured_by_their_probabilities(name: str) -> None:
    """NLL is cross-entropy against the soft target; Brier score and RMSE are scikit-learn's squared errors."""
    logits, generator = drawn(3)
    targets = torch.rand(SIZE, 3, generator=generator).softmax(-1)
    loss = bound(name, Probability(("a", "b", "c"), shares=True))
    z, y = logits.double(), targets.double()
    log_p = z.log_softmax(-1) if loss.link == "softmax" else z.sigmoid().log() - z.sigmoid().sum(-1, keepdim=True).log()
    expected = {
        "nll": -(y * log_p).sum(-1).mean().item(),
        "brier": 3 * theirs.mean_squared_error(y, log_p.exp()),
        "rmse": theirs.root_mean_squared_error(y, log_p.exp()),
    }
    values = found(loss, logits, targets)
    assert pytest.approx(expected, abs=1e-6) == {name: values[name] for name in expected}


def test_probabilities_are_calibrated_if_their_targets_are_as_large() -> None:
    """The calibration error is the weighted distance of each bin's mean target from its mean probability."""
    logits, generator = drawn(1)
    targets = torch.rand(SIZE, 1, generator=generator)
    problem = Probability(("chance",))
    p, y = logits.double().sigmoid().numpy()[:, 0], targets.double().numpy()[:, 0]
    bins = np.clip(np.ceil(p * 15), 1, 15)
    gaps = sum(abs((p - y)[bins == each].sum()) for each in range(1, 16)) / SIZE
    values = found(bound("bce", problem), logits, targets)
    assert pytest.approx(gaps, abs=1e-6) == values["ece"]
    assert found(bound("bce", problem), logits, logits.sigmoid())["ece"] < 1e-6


def test_a_sample_is_stuck_if_a_label_is_wrong_and_nothing_moves_it() -> None:
    """Squared error on sigmoids is stuck where a confident label is wrong; cross-entropy is not; values never are."""
    logits = torch.tensor([[9.0, -9.0, -9.0], [9.0, -9.0, 9.0], [0.1, -9.0, -9.0]])
    targets = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    assert pytest.approx(1 / 3) == found(bound("mse_sigmoid", LABELS), logits, targets)["stuck_share"]
    assert 0 == found(bound("bce", LABELS), logits, targets)["stuck_share"]
    assert "stuck_share" not in found(
        bound("mse", Regression(("a",)).fitted(np.eye(3)[:, :1])), logits[:, :1], targets[:, :1]
    )


def test_confident_mistakes_keep_a_finite_likelihood() -> None:
    """NLL is exact far beyond where a probability rounds to 1."""
    logits, targets = torch.tensor([[200.0, -200.0, 0.0]]), torch.tensor([[0.0, 1.0, 1.0]])
    assert pytest.approx(400 + math.log(2)) == found(bound("bce", LABELS), logits, targets)["nll"]


def test_labels_that_a_split_lacks_have_no_average_precision() -> None:
    """They do not count in the mean, and F1 is 0 where no label is there and none is predicted."""
    logits, nothing = torch.tensor([[1.0, -1.0, -1.0], [-1.0, -1.0, -1.0]]), torch.zeros(2, 3)
    some = nothing.clone()
    some[0, 0] = 1
    assert 1 == found(bound("bce", LABELS), logits, some)["average_precision"]
    assert math.isnan(found(bound("bce", LABELS), logits, nothing)["average_precision"])
    assert 0 == found(bound("bce", LABELS), -logits.abs(), nothing)["micro_f1"]


@pytest.mark.parametrize(("kind", "name"), [("multi_label", "bce"), ("regression", "huber"), ("probability", "bce")])
def test_batches_of_any_size_add_up(kind: str, name: str) -> None:
    """Targets that trials share or have of their own, in batches or at once, give the same bits."""
    problem = KINDS[kind].of(("a", "b")).fitted(np.array([[1.0, 2.0], [3.0, 5.0]]))
    loss = bound(name, problem)
    logits, targets = drawn(2)[0], problem.example_targets(SIZE)
    trials, true = torch.stack([logits, -logits]), logits.double().sigmoid()
    taken = prediction_metrics(problem, "val")

    def summed(size: int, y: Tensor) -> dict[str, list[float]]:
        totals = Totals(Ruler(loss, CPU), taken)
        for start in range(0, SIZE, size):
            rows = slice(start, start + size)
            totals.add(trials[:, rows], y[..., rows, :], true[rows])
        return {each: value.tolist() for each, value in totals.values(SIZE).items()}

    whole = summed(SIZE, targets)
    assert whole == summed(77, targets) == summed(500, targets.expand(2, -1, -1))
    assert whole.keys() == {name for name in measured(problem) if name.startswith("val_")}
