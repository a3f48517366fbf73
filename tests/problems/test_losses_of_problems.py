"""Losses on multi-hot and soft targets and on values, against PyTorch; which loss a problem takes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from clsbench.losses.contract import Loss, build_loss
from clsbench.problems import KINDS, MultiLabel, Probability, Problem, Regression, SingleLabel
from clsbench.registry import LossSpec, catalogue

THREE = ("a", "b", "c")
MULTI, SHARES, APART, VALUES = MultiLabel(THREE), Probability(THREE, shares=True), Probability(THREE), Regression(THREE)
TARGETS: dict[Problem, Tensor] = {
    MULTI: torch.randint(2, (50, 3), generator=torch.Generator().manual_seed(0)).double(),
    SHARES: torch.rand(50, 3, generator=torch.Generator().manual_seed(0)).double().softmax(-1),
    APART: torch.rand(50, 3, generator=torch.Generator().manual_seed(0)).double(),
    VALUES: 3 * torch.randn(50, 3, generator=torch.Generator().manual_seed(0)).double(),
}
LOGITS = 2 * torch.randn(50, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
FITTING = [
    (problem, spec)
    for problem in TARGETS
    for spec in catalogue.losses()
    if problem.kind in spec.problems and (spec.link != "softmax" or problem is not APART)
]
fitting = pytest.mark.parametrize(("problem", "spec"), FITTING, ids=lambda each: getattr(each, "name", str(each)))


def bound(name: str, problem: Problem, **options: Any) -> Loss:
    return build_loss(name, problem, catalogue.get("loss", name).defaults | options)


@pytest.mark.parametrize("problem", [MULTI, SHARES, APART], ids=str)
@pytest.mark.parametrize("pos_weight", [None, 3.0])
def test_bce_is_pytorchs(problem: Problem, pos_weight: float | None) -> None:
    """Binary cross-entropy of multi-hot and soft targets equals PyTorch's, summed over the outputs."""
    weight = None if pos_weight is None else torch.tensor(pos_weight)
    expected = F.binary_cross_entropy_with_logits(LOGITS, TARGETS[problem], reduction="none", pos_weight=weight)
    assert_close(expected.sum(-1), bound("bce", problem, pos_weight=pos_weight)(LOGITS, TARGETS[problem]))


def test_smoothed_labels_lean_to_a_half() -> None:
    """Each label is a two-class problem of its own: smoothing by e makes 1 - e / 2 of a 1 and e / 2 of a 0."""
    smooth = 0.8 * TARGETS[MULTI] + 0.1
    expected = F.binary_cross_entropy_with_logits(LOGITS, smooth, reduction="none").sum(-1)
    assert_close(expected, bound("bce", MULTI, label_smoothing=0.2)(LOGITS, TARGETS[MULTI]))


@pytest.mark.parametrize("problem", [MULTI, SHARES, APART], ids=str)
def test_squared_error_of_sigmoids_is_pytorchs(problem: Problem) -> None:
    """It is the squared distance of the sigmoids from multi-hot and soft targets."""
    expected = F.mse_loss(LOGITS.sigmoid(), TARGETS[problem], reduction="none").sum(-1)
    assert_close(expected, bound("mse_sigmoid", problem)(LOGITS, TARGETS[problem]))


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_soft_cross_entropy_is_pytorchs(label_smoothing: float) -> None:
    """Of soft targets, cross-entropy and squared error of softmax equal PyTorch's."""
    y = TARGETS[SHARES]
    expected = F.cross_entropy(LOGITS, y, reduction="none", label_smoothing=label_smoothing)
    assert_close(expected, bound("cross_entropy", SHARES, label_smoothing=label_smoothing)(LOGITS, y))
    assert_close((LOGITS.softmax(-1) - y).square().sum(-1), bound("mse_softmax", SHARES)(LOGITS, y))


@pytest.mark.parametrize("name", ["cross_entropy", "mse_softmax", "bce", "mse_sigmoid"])
def test_certain_targets_are_classes(name: str) -> None:
    """A one-hot target as numbers has the loss and the gradient of its class."""
    classes = TARGETS[SHARES].argmax(-1)
    soft = F.one_hot(classes, 3).double()
    one, other = LOGITS.clone().requires_grad_(), LOGITS.clone().requires_grad_()
    of_class, of_numbers = bound(name, SingleLabel(3))(one, classes), bound(name, SHARES)(other, soft)
    assert_close(of_class, of_numbers)
    assert_close(torch.autograd.grad(of_class.sum(), one), torch.autograd.grad(of_numbers.sum(), other))


def test_losses_on_values_are_pytorchs() -> None:
    """Squared, absolute and Huber loss equal PyTorch's, summed over the values of a sample."""
    y = TARGETS[VALUES]
    assert_close(F.mse_loss(LOGITS, y, reduction="none").sum(-1), bound("mse", VALUES)(LOGITS, y))
    assert_close(F.l1_loss(LOGITS, y, reduction="none").sum(-1), bound("mae", VALUES)(LOGITS, y))
    for delta in (0.3, 1.0, 100.0):
        expected = F.huber_loss(LOGITS, y, reduction="none", delta=delta).sum(-1)
        assert_close(expected, bound("huber", VALUES, delta=delta)(LOGITS, y))


@fitting
def test_gradients_are_those_of_finite_differences(problem: Problem, spec: LossSpec) -> None:
    """Every loss on every kind of targets that it takes has the gradient of its values."""
    loss, y = bound(spec.name, problem), TARGETS[problem][:5]
    assert torch.autograd.gradcheck(lambda z: loss(z, y), LOGITS[:5].clone().requires_grad_())


@fitting
def test_samples_have_their_own_loss(problem: Problem, spec: LossSpec) -> None:
    """A stack of trials, targets that the trials share, and a sample alone give a sample the same loss."""
    loss, y = bound(spec.name, problem), TARGETS[problem]
    stacked = torch.stack([LOGITS, -LOGITS])
    assert_close(torch.stack([loss(LOGITS, y), loss(-LOGITS, y)]), loss.of_samples(stacked, y))
    assert_close(loss(LOGITS, y)[3:4], loss(LOGITS[3:4], y[3:4]))


@pytest.mark.parametrize(
    ("problem", "name", "reason"),
    [
        (MULTI, "cross_entropy", "this is multi_label; use one of bce, mse_sigmoid"),
        (VALUES, "bce", "this is regression; use one of mse, mae, huber"),
        (
            SingleLabel(3),
            "mse",
            "it is for regression, and this is single_label; use one of cross_entropy, mse_softmax",
        ),
        (SHARES, "hinge", "this is probability; use one of cross_entropy, mse_softmax, bce, mse_sigmoid"),
        (APART, "cross_entropy", "probabilities of a sample do not; use one of bce, mse_sigmoid"),
    ],
)
def test_a_loss_that_does_not_fit_is_refused(problem: Problem, name: str, reason: str) -> None:
    """The reason names the problem, and the losses that fit it."""
    with pytest.raises(ValueError, match=reason):
        bound(name, problem)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_problems_are_kept_as_plain_facts(kind: type[Problem]) -> None:
    """What a run keeps of a problem gives an equal one."""
    for example in kind.examples():
        assert example.facts == kind.from_facts(example.facts).facts


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_only_labels_can_be_rotated(kind: type[Problem]) -> None:
    """Rotated labels are all wrong; where targets are no labels, the reason names the problem."""
    for example in kind.examples():
        targets = example.example_targets(6)
        if kind.labelled:
            assert (example.rotated(targets) != targets).all()
        else:
            with pytest.raises(ValueError, match=f"a {kind.kind} problem has no labels"):
                example.rotated(targets)
