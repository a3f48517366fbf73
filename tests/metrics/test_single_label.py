"""The ruler, against scikit-learn and plain Python; and why a loss does or does not move its logits."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss
from torch import Tensor, nn
from torch.testing import assert_close

import clsbench.losses  # noqa: F401 - registers them
from clsbench.losses.contract import Loss, build_loss
from clsbench.models import layers
from clsbench.problems import SingleLabel
from clsbench.registry import LinkName, catalogue
from clsbench.training.evaluation import CHUNK, Totals, evaluate
from clsbench.training.measure import OBJECTIVE, gradient_diagnostics, prediction_metrics
from clsbench.training.quantities import Quantities, Ruler
from clsbench.training.stack import Stack

CPU = torch.device("cpu")


def bound(name: str, num_classes: int, **options: Any) -> Loss:
    defaults = {option.name: option.default for option in catalogue.get("loss", name).options.values()}
    return build_loss(name, SingleLabel(num_classes), defaults | options)


def echo(num_outputs: int) -> Stack:
    """A stack of one trial whose logits are its inputs."""
    layer = layers.Linear(num_outputs, num_outputs)
    with torch.no_grad():
        layer.weight.copy_(torch.eye(num_outputs))
        layer.bias.zero_()
    return Stack([nn.Sequential(layer)], stacked=True, device=torch.device("cpu"))


def measured(loss: Loss, logits: Tensor, targets: Tensor) -> dict[str, float]:
    taken = prediction_metrics(loss.problem, "test")
    found = evaluate(echo(loss.num_outputs), Ruler(loss, CPU), logits, targets, taken)
    return {name.removeprefix("test_"): value.item() for name, value in found.items() if value.numel() == 1}


def some(num_outputs: int, num_classes: int, size: int = 2345) -> tuple[Tensor, Tensor]:
    """More samples than a chunk, and not a whole number of chunks."""
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(size, num_outputs, generator=generator)
    return logits, torch.randint(num_classes, (size,), generator=generator)


def by_contract(link: LinkName, logits: Tensor) -> Tensor:
    """Probabilities in double precision: softmax; s / sum s; (1 - s, s)."""
    z = logits.double()
    if link == "softmax":
        return z.exp() / z.exp().sum(-1, keepdim=True)
    s = 1 / (1 + (-z).exp())
    return torch.cat([1 - s, s], -1) if s.shape[-1] == 1 else s / s.sum(-1, keepdim=True)


LINKS: list[tuple[LinkName, str, dict[str, Any], int, int]] = [
    ("softmax", "cross_entropy", {}, 2, 2),
    ("softmax", "cross_entropy_on_softmax", {}, 5, 5),
    ("sigmoid", "bce", {}, 5, 5),
    ("sigmoid", "mse_sigmoid", {"outputs": 1}, 1, 2),
]
links = pytest.mark.parametrize(("link", "name", "options", "num_outputs", "num_classes"), LINKS)


@links
def test_metrics_are_scikit_learns(link: LinkName, name: str, options: Any, num_outputs: int, num_classes: int) -> None:
    """Accuracy, NLL and Brier score equal scikit-learn's on the contract's probabilities, over several chunks."""
    logits, targets = some(num_outputs, num_classes)
    p = by_contract(link, logits)
    assert_close(p.float(), SingleLabel(num_classes).log_probabilities(link, logits).exp())  # type: ignore[union-attr]
    found = measured(bound(name, num_classes, **options), logits, targets)
    labels = range(num_classes)
    assert pytest.approx(accuracy_score(targets, p.argmax(-1))) == found["accuracy"]
    assert pytest.approx(log_loss(targets, p, labels=labels), rel=1e-5) == found["nll"]
    brier = brier_score_loss(targets, p, labels=labels, scale_by_half=False)
    assert pytest.approx(brier, rel=1e-5) == found["brier"]


@links
def test_labels_may_be_shared(link: LinkName, name: str, options: Any, num_outputs: int, num_classes: int) -> None:
    """Labels that are given once for all trials count for each, in every measure."""
    loss = bound(name, num_classes, **options)
    logits, targets = some(num_outputs, num_classes, size=100)
    of_trials = torch.stack([logits, -logits, 3 * logits])
    ruler = Ruler(loss, CPU)
    unordered = [each for each in prediction_metrics(loss.problem, "val") if each.name != "val_class_mae"]
    taken = [each for each in unordered if each.ranked is None]
    beside = (torch.full((100, num_classes), 1 / num_classes), torch.ones(3))
    for measure in (*taken, OBJECTIVE, *gradient_diagnostics(loss.problem)):
        own = measure.sums(Quantities(ruler, of_trials, targets.expand(3, -1), *beside))
        shared = measure.sums(Quantities(ruler, of_trials, targets, *beside))
        assert own is not None
        assert shared is not None
        assert own.tolist() == shared.tolist()


@pytest.mark.parametrize("num_classes", [2, 3, 40])
def test_the_first_of_equal_classes_is_predicted(num_classes: int) -> None:
    """Of classes with equal logits the first is predicted."""
    logits = torch.randint(3, (500, num_classes), generator=torch.Generator().manual_seed(0)).float()
    expected = [row.index(max(row)) for row in logits.tolist()]
    assert expected == SingleLabel(num_classes).predictions("softmax", logits).tolist()


def ece_in_plain_python(confidences: list[float], right: list[bool]) -> float:
    """The bins are (0, 1/15], (1/15, 2/15], ..., (14/15, 1]."""
    error = 0.0
    for number in range(15):
        inside = [(c, r) for c, r in zip(confidences, right, strict=True) if number / 15 < c <= (number + 1) / 15]
        if inside:
            confidence, accuracy = (sum(values) / len(inside) for values in zip(*inside, strict=True))
            error += len(inside) / len(confidences) * abs(confidence - accuracy)
    return error


@given(
    rows=st.lists(st.tuples(*[st.floats(-20, 20, width=32)] * 3, st.integers(0, 2)), min_size=1, max_size=40),
)
def test_ece_is_that_of_fifteen_equal_bins(rows: list[tuple[float, float, float, int]]) -> None:
    """The calibration error equals a plain-Python one over 15 equal-width bins of the top label's confidence."""
    logits, targets = torch.tensor([row[:3] for row in rows]), torch.tensor([row[3] for row in rows])
    confidences, top = logits.double().softmax(-1).max(-1)
    ranked = logits.double().softmax(-1).sort(-1).values
    assume((ranked[:, 2] - ranked[:, 1] > 1e-6).all())  # rounding decides neither the top label nor the bin
    assume(((confidences * 15 - (confidences * 15).round()).abs() > 1e-4)[confidences < 0.999].all())
    expected = ece_in_plain_python(confidences.clamp(max=1).tolist(), (top == targets).tolist())
    assert pytest.approx(expected, abs=1e-6) == measured(bound("cross_entropy", 3), logits, targets)["ece"]


def test_ece_of_the_sure() -> None:
    """Full confidence falls into the last bin; the error is then the share of mistakes."""
    logits = torch.tensor([[50.0, 0.0]] * 4)
    assert pytest.approx(0.25) == measured(bound("cross_entropy", 2), logits, torch.tensor([0, 0, 0, 1]))["ece"]


@pytest.mark.parametrize("name", ["mse_logits", "hinge", "mse_class_index"])
def test_identity_has_no_probabilities(name: str) -> None:
    """Raw logits have what predictions give and nothing that needs probabilities, in training measures too."""
    loss = bound(name, 3)
    logits, targets = some(loss.num_outputs, 3, size=30)
    assert {"accuracy", "balanced_accuracy", "macro_f1"} == set(measured(loss, logits, targets))
    known = Quantities(Ruler(loss, CPU), logits[None], targets[None])
    taken = prediction_metrics(loss.problem, "train")
    assert ["train_accuracy"] == [measure.name for measure in taken if measure.sums(known) is not None]


def test_regression_predicts_the_nearest_class_number() -> None:
    """The one output is rounded, and a number beyond the classes becomes the last one."""
    outputs = torch.tensor([[-7.0], [0.4], [0.6], [2.4], [2.6], [1e30]])
    assert [0, 0, 1, 2, 3, 3] == SingleLabel(4).predictions("identity", outputs).tolist()


@given(z=st.floats(-50, 50))
def test_one_sigmoid_predicts_its_likelier_class(z: float) -> None:
    """With one output the prediction is class 1 where its probability is above a half."""
    assume(z == 0 or abs(z) > 1e-9)  # nearer to zero the probability rounds to a half
    output = torch.tensor([[z]], dtype=torch.float64)
    assert (1 / (1 + math.exp(-z)) > 0.5) == SingleLabel(2).predictions("sigmoid", output).item()


@given(st.lists(st.floats(-30, 30), min_size=4, max_size=4))
def test_log_probabilities_are_probabilities(logits: list[float]) -> None:
    """Under every link that has them they sum to one, and the highest is the prediction's."""
    for link, z in (("softmax", logits), ("sigmoid", logits), ("sigmoid", logits[:1])):
        outputs = torch.tensor([z], dtype=torch.float64)
        log_p = SingleLabel(max(len(z), 2)).log_probabilities(link, outputs)  # type: ignore[arg-type]
        assert log_p is not None
        assert pytest.approx(1) == log_p.exp().sum().item()
        predicted = SingleLabel(log_p.shape[-1]).predictions(link, outputs)  # type: ignore[arg-type]
        assert pytest.approx(log_p.max().item()) == log_p[0, predicted].item()


# Diagnostics.


def diagnosed(name: str, logits: list[list[float]], targets: list[int]) -> tuple[float, float]:
    loss = bound(name, len(logits[0]))
    stack, x, y = echo(loss.num_outputs), torch.tensor(logits), torch.tensor(targets)
    found = evaluate(stack, Ruler(loss, CPU), x, y, gradient_diagnostics(loss.problem))
    return found["logit_grad_norm"].item(), found["stuck_share"].item()


def test_confidently_wrong_is_stuck_under_squared_error_alone() -> None:
    """Squared error on softmax hardly pulls a confidently wrong sample; cross-entropy pulls it as hard as it can."""
    logits, targets = [[12.0, 0.0], [0.0, 12.0], [12.0, 0.0], [0.0, 1.0]], [1, 0, 0, 0]
    norm, stuck = diagnosed("mse_softmax", logits[:2], targets[:2])
    assert norm < 1e-4
    assert 1.0 == stuck
    assert pytest.approx((math.sqrt(2), 0.0), rel=1e-4) == diagnosed("cross_entropy", logits[:2], targets[:2])
    # Of the others, one is right, hence not stuck, and one is wrong and well pulled.
    assert 0.5 == diagnosed("mse_softmax", logits, targets)[1]
    assert 0.0 == diagnosed("cross_entropy", logits, targets)[1]


def test_gradient_norm_is_the_mean_over_samples() -> None:
    """Cross-entropy's is the mean of |p - y|."""
    logits, targets = some(3, 3)
    y = torch.nn.functional.one_hot(targets, 3)
    expected = (logits.double().softmax(-1) - y).norm(dim=-1).mean().item()
    assert pytest.approx((expected, 0.0), rel=1e-5) == diagnosed("cross_entropy", logits.tolist(), targets.tolist())
    assert 0 < diagnosed("mse_softmax", (4 * logits).tolist(), targets.tolist())[1]


def test_stuck_is_below_a_hundredth_of_the_pull_at_zero() -> None:
    """The threshold for a sample is 1% of the gradient norm at logits of zero for its target."""

    def norm(z: float) -> float:
        """Of 2 s^2, squared error on softmax of (z, 0) with target 1: its slope on either logit, times root 2."""
        s = 1 / (1 + math.exp(-z))
        return 4 * math.sqrt(2) * s * s * (1 - s)

    def share(z: float) -> float:
        return diagnosed("mse_softmax", [[z, 0.0]], [1])[1]

    low, high = 2.0, 10.0
    while high - low > 1e-6:
        middle = (low + high) / 2
        low, high = (middle, high) if norm(middle) > 0.01 * norm(0) else (low, middle)
    assert pytest.approx(norm(1.0), rel=1e-5) == diagnosed("mse_softmax", [[1.0, 0.0]], [1])[0]
    assert (0.0, 1.0) == (share(low - 1e-3), share(low + 1e-3))


@given(sizes=st.lists(st.integers(1, 2 * CHUNK), min_size=1, max_size=6))
def test_training_measures_do_not_depend_on_the_pieces(sizes: list[int]) -> None:
    """Accuracy and NLL are means over all samples, with the same bits whatever batches they came in."""
    logits, targets = some(3, 3, size=sum(sizes))
    loss = bound("cross_entropy", 3)
    ruler, taken = Ruler(loss, CPU), prediction_metrics(loss.problem, "train")
    whole, pieces = Totals(ruler, taken), Totals(ruler, taken)
    whole.add(logits.expand(2, -1, -1), targets.expand(2, -1))
    for part, labels in zip(logits.split(sizes), targets.split(sizes), strict=True):
        pieces.add(part.expand(2, -1, -1), labels.expand(2, -1))
    found = whole.values(len(targets))
    expected = nn.functional.cross_entropy(logits.double(), targets).item()
    assert [pytest.approx(expected)] * 2 == found["train_nll"].tolist()
    assert [pytest.approx(accuracy_score(targets, logits.argmax(-1)))] * 2 == found["train_accuracy"].tolist()
    assert {n: v.tolist() for n, v in found.items()} == {n: v.tolist() for n, v in pieces.values(len(targets)).items()}
