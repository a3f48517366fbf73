"""Class weights and what else suits classes that are not equally frequent, against PyTorch and scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor
from torch.testing import assert_close
from torchvision.ops import sigmoid_focal_loss

import clsbench
import clsbench.losses
from clsbench.losses.contract import Loss, build_loss
from clsbench.losses.weights import class_weights
from clsbench.problems import SingleLabel
from clsbench.registry import catalogue

COUNTS = torch.tensor([70, 20, 10])
WEIGHTS = {"0": 0.5, "2": 3.0}


def bound(name: str, num_classes: int = 3, class_weight: Any = None, **options: Any) -> Loss:
    defaults = {option.name: option.default for option in catalogue.get("loss", name).options.values()}
    counts = COUNTS if num_classes == 3 else COUNTS[:num_classes]
    return build_loss(name, SingleLabel(num_classes), defaults | options, class_weight, counts)


def samples(num_outputs: int, num_classes: int = 3, number: int = 50) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(number, num_outputs, generator=generator)
    return logits, torch.randint(num_classes, (number,), generator=generator)


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=6))
def test_balanced_is_scikit_learns(counts: list[int]) -> None:
    """`balanced` is scikit-learn's n / (C n_c), and the mean weight of the training samples is 1."""
    labels = np.repeat(np.arange(len(counts)), counts)
    theirs = compute_class_weight("balanced", classes=np.arange(len(counts)), y=labels)
    ours = class_weights("balanced", [str(n) for n in range(len(counts))], counts)
    assert pytest.approx(theirs) == ours
    assert pytest.approx(1) == np.mean(np.array(ours)[labels])


def test_classes_without_samples_or_names_weigh_one() -> None:
    """A class that training lacks changes no weight of the others, and one that is not named weighs 1."""
    assert [1.0, 1.0, 1.0] == class_weights("balanced", ["a", "b", "c"], [5, 0, 5])
    assert [0.5, 1.0, 3.0] == class_weights(WEIGHTS, ["0", "1", "2"], [1, 1, 1])


@pytest.mark.parametrize("name", [spec.name for spec in catalogue.losses() if "single_label" in spec.problems])
def test_every_loss_is_weighted_by_the_class_of_its_sample(name: str) -> None:
    """In training, for several trials, and sample by sample, the loss is multiplied by the weight of its class."""
    plain, weighted = bound(name), bound(name, class_weight=WEIGHTS)
    logits, targets = samples(plain.num_outputs)
    expected = torch.tensor([0.5, 1.0, 3.0])[targets] * plain(logits, targets)
    assert_close(expected, weighted(logits, targets))
    assert_close(expected.expand(2, -1), weighted(logits.expand(2, -1, -1), targets.expand(2, -1)))
    assert_close(expected, weighted.of_samples(logits, targets))


def test_weighted_cross_entropy_is_pytorchs() -> None:
    """Sample by sample it is `torch.nn.CrossEntropyLoss(weight)`; the mean is over samples, not over their weights."""
    logits, targets = samples(3)
    loss, weight = bound("cross_entropy", class_weight="balanced"), 100 / (3 * COUNTS)
    assert_close(F.cross_entropy(logits, targets, weight, reduction="none"), loss(logits, targets))
    theirs = torch.nn.CrossEntropyLoss(weight)(logits, targets)
    assert_close(theirs * weight[targets].sum() / len(targets), loss(logits, targets).mean())


def test_a_users_loss_is_weighted_sample_by_sample() -> None:
    """A loss of one's own is weighted where it gives a number for each sample, and refused where it gives one."""
    clsbench.loss("theirs")(lambda logits, targets: F.cross_entropy(logits, targets, reduction="none"))
    clsbench.loss("mean_of_theirs")(lambda logits, targets: F.cross_entropy(logits, targets))
    logits, targets = samples(3)
    expected = bound("cross_entropy", class_weight=WEIGHTS)(logits, targets)
    assert_close(expected, bound("theirs", class_weight=WEIGHTS)(logits, targets))
    with pytest.raises(ValueError, match="returned one number for a batch, which class_weight cannot weigh"):
        bound("mean_of_theirs", class_weight=WEIGHTS)(logits, targets)


def test_a_users_loss_may_take_the_shares_of_the_classes() -> None:
    """A third parameter `class_shares` gets the share of each class in the training split."""
    seen = []

    @clsbench.loss("of_shares")
    def of_shares(logits: Tensor, targets: Tensor, class_shares: Tensor | None = None) -> Tensor:
        seen.append(class_shares)
        return F.cross_entropy(logits, targets, reduction="none")

    bound("of_shares")(*samples(3))
    assert_close(COUNTS / 100, seen[-1])


@pytest.mark.parametrize("tau", [0.5, 1.0])
def test_logit_adjustment_is_that_of_the_paper(tau: float) -> None:
    """Cross-entropy of z + tau log(share), Menon et al. 2021; a class that training lacks keeps it finite."""
    logits, targets = samples(3)
    loss = bound("cross_entropy", logit_adjustment=tau, label_smoothing=0.1)
    shifted = logits + tau * (COUNTS / 100).log()
    assert_close(F.cross_entropy(shifted, targets, reduction="none", label_smoothing=0.1), loss(logits, targets))
    lacking = build_loss("cross_entropy", SingleLabel(3), dict(loss.options), None, torch.tensor([9, 1, 0]))
    assert lacking(logits, targets).isfinite().all()


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
@pytest.mark.parametrize("pos_weight", [None, 4.0])
def test_bce_is_pytorchs(pos_weight: float | None, label_smoothing: float) -> None:
    """With smoothed labels (1 - e) y + e / C and a weight of the positive terms, for C outputs and for one."""
    weight = None if pos_weight is None else torch.tensor(pos_weight)
    options = {"pos_weight": pos_weight, "label_smoothing": label_smoothing}
    logits, targets = samples(3)
    y = (1 - label_smoothing) * F.one_hot(targets, 3) + label_smoothing / 3
    theirs = F.binary_cross_entropy_with_logits(logits, y, pos_weight=weight, reduction="none").sum(-1)
    assert_close(theirs, bound("bce", **options)(logits, targets))
    logits, targets = samples(1, 2)
    y = (1 - label_smoothing) * targets.float() + label_smoothing / 2
    theirs = F.binary_cross_entropy_with_logits(logits[:, 0], y, pos_weight=weight, reduction="none")
    assert_close(theirs, bound("bce", 2, outputs=1, **options)(logits, targets))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_alpha_is_torchvisions(gamma: float) -> None:
    """Of two classes it is torchvision's focal loss of the difference of the logits, class 1 weighing alpha."""
    logits, targets = samples(2, 2)
    theirs = sigmoid_focal_loss(logits[:, 1] - logits[:, 0], targets.float(), alpha=0.3, gamma=gamma)
    assert_close(theirs, bound("focal", 2, alpha=0.3, gamma=gamma)(logits, targets))
    with pytest.raises(ValueError, match="alpha is for two classes, and there are 3; use class_weight"):
        bound("focal", 3, alpha=0.3)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_smoothed_focal_sums_over_the_smoothed_label(gamma: float) -> None:
    """It is the sum of (1 - e) y + e / C times each class's focal term; gamma 0 is smoothed cross-entropy."""
    logits, targets = samples(3)
    p = logits.double().softmax(-1)
    y = 0.8 * F.one_hot(targets, 3) + 0.2 / 3
    expected = -(y * (1 - p) ** gamma * p.log()).sum(-1)
    found = bound("focal", gamma=gamma, label_smoothing=0.2)(logits.double(), targets)
    assert_close(expected, found)
    if gamma == 0:
        assert_close(F.cross_entropy(logits.double(), targets, reduction="none", label_smoothing=0.2), found)
    logits, targets = samples(2, 2)
    p, y = logits.double().softmax(-1), 0.8 * F.one_hot(targets, 2) + 0.1
    expected = -(torch.tensor([0.7, 0.3]) * y * (1 - p) ** gamma * p.log()).sum(-1)
    assert_close(expected, bound("focal", 2, gamma=gamma, alpha=0.3, label_smoothing=0.2)(logits.double(), targets))


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_smoothed_focal_has_a_gradient_where_it_is_sure(gamma: float) -> None:
    """At logits so far apart that a probability rounds to 1, value and gradient are finite."""
    logits = torch.tensor([[80.0, 0.0, -80.0], [0.0, 0.0, 0.0]], requires_grad=True)
    value = bound("focal", gamma=gamma, label_smoothing=0.1)(logits, torch.tensor([0, 1]))
    (gradient,) = torch.autograd.grad(value.sum(), logits)
    assert value.isfinite().all()
    assert gradient.isfinite().all()
