"""The losses against PyTorch, closed forms and finite differences; what all share is asked of every one registered."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import hinge_loss
from torch import Tensor
from torch.testing import assert_close

import clsbench.losses  # noqa: F401 - registers them
from clsbench.losses.contract import Loss, build_loss
from clsbench.problems import KINDS, Problem, SingleLabel
from clsbench.registry import LossSpec, Registry, catalogue

VARIANTS: list[tuple[str, int, dict[str, Any]]] = [
    *((component.name, 3, {}) for component in catalogue.all("loss")),
    *((component.name, 2, {}) for component in catalogue.all("loss")),
    ("cross_entropy", 3, {"label_smoothing": 0.1}),
    ("cross_entropy", 3, {"temperature": 2.0}),
    ("focal", 10, {"gamma": 0.5}),
    ("focal", 3, {"gamma": 1.5}),
    ("focal", 2, {"alpha": 0.3}),
    ("focal", 3, {"label_smoothing": 0.1}),
    ("mse_softmax", 3, {"reduction": "mean"}),
    ("bce", 2, {"outputs": 1}),
    ("bce", 3, {"reduction": "half"}),
    ("bce", 3, {"pos_weight": 4.0, "label_smoothing": 0.1}),
    ("mse_sigmoid", 2, {"outputs": 1}),
    ("mse_logits", 10, {"k": 5.0, "M": 15.0, "reduction": "mean"}),
]
every_loss = pytest.mark.parametrize(("name", "num_classes", "options"), VARIANTS, ids=str)
REDUCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sum": lambda terms: terms.sum(-1),
    "mean": lambda terms: terms.mean(-1),
    "half": lambda terms: terms.sum(-1) / 2,
}
reductions = pytest.mark.parametrize("reduction", REDUCTIONS)


def bound(name: str, num_classes: int = 3, **options: Any) -> Loss:
    """The loss with its defaults, as a config that names it alone has them."""
    defaults = {option.name: option.default for option in catalogue.get("loss", name).options.values()}
    return build_loss(name, problem_for(name, num_classes), defaults | options)


def problem_for(name: str, num_targets: int) -> Problem:
    """Of a loss that takes no classes, one of the first kind that it takes."""
    kind, *_ = catalogue.get("loss", name).problems
    return KINDS[kind].of(tuple(map(str, range(num_targets))))


def samples(
    loss: Loss, *leading: int, seed: int = 0, scale: float = 3.0, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(*leading, loss.num_outputs, generator=generator, dtype=dtype) * scale
    if loss.problem.exclusive:
        return logits, torch.randint(len(loss.problem.names), leading, generator=generator)
    return logits, torch.randn(*leading, *loss.problem.target_shape, generator=generator, dtype=dtype)


def gradient(loss: Loss, logits: Tensor, targets: Tensor) -> Tensor:
    leaf = logits.clone().requires_grad_()
    (found,) = torch.autograd.grad(loss(leaf, targets).sum(), leaf)
    return found


def one_hot(targets: Tensor, num_classes: int) -> Tensor:
    return F.one_hot(targets, num_classes).double()


# Values, against PyTorch and formulas.


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1, 0.9])
def test_cross_entropy_is_pytorchs(label_smoothing: float) -> None:
    """Cross-entropy equals `torch.nn.functional.cross_entropy`, label smoothing included."""
    loss = bound("cross_entropy", 10, label_smoothing=label_smoothing)
    logits, targets = samples(loss, 50)
    expected = F.cross_entropy(logits, targets, reduction="none", label_smoothing=label_smoothing)
    assert_close(loss(logits, targets), expected)


@reductions
@pytest.mark.parametrize(("num_classes", "outputs"), [(2, 1), (2, None), (5, None)])
def test_bce_is_pytorchs(num_classes: int, outputs: int | None, reduction: str) -> None:
    """BCE equals PyTorch's with logits against the one-hot label, or against the class number for one output."""
    loss = bound("bce", num_classes, outputs=outputs, reduction=reduction)
    logits, targets = samples(loss, 50)
    answers = targets[:, None].double() if outputs else one_hot(targets, num_classes)
    terms = F.binary_cross_entropy_with_logits(logits, answers, reduction="none")
    assert_close(loss(logits, targets), REDUCTIONS[reduction](terms))


@reductions
@pytest.mark.parametrize(
    ("name", "link"), [("mse_softmax", lambda z: z.softmax(-1)), ("mse_sigmoid", torch.sigmoid), ("mse_logits", Tensor)]
)
def test_squared_errors_are_pytorchs(name: str, link: Callable[[Tensor], Tensor], reduction: str) -> None:
    """Each squared error equals PyTorch's `mse_loss` of the link's outputs and the one-hot label."""
    loss = bound(name, 4, reduction=reduction)
    logits, targets = samples(loss, 50)
    outputs = logits if link is Tensor else link(logits)
    terms = F.mse_loss(outputs, one_hot(targets, 4), reduction="none")
    assert_close(loss(logits, targets), REDUCTIONS[reduction](terms))


def test_mse_sigmoid_of_one_output_asks_for_class_one() -> None:
    """With one output the loss is (s - 1)^2 for class 1 and s^2 for class 0."""
    logits = torch.tensor([[0.5], [0.5], [-3.0]], dtype=torch.float64)
    s = torch.sigmoid(logits[:, 0])
    expected = torch.stack([(s[0] - 1) ** 2, s[1] ** 2, s[2] ** 2])
    assert_close(bound("mse_sigmoid", 2, outputs=1)(logits, torch.tensor([1, 0, 0])), expected)


def test_mse_logits_weighs_the_true_class_as_hui_and_belkin_do() -> None:
    """Their loss is 1/C (k (z_t - M)^2 + sum over the others of z_i^2)."""
    loss = bound("mse_logits", 4, k=5.0, M=15.0, reduction="mean")
    logits, targets = samples(loss, 50)
    true, y = logits.gather(-1, targets[:, None])[:, 0], one_hot(targets, 4)
    expected = (5 * (true - 15) ** 2 + (logits.square() * (1 - y)).sum(-1)) / 4
    assert_close(loss(logits, targets), expected)


def test_mse_class_index_is_regression_on_the_class_number() -> None:
    """The loss is the squared distance of the one output from the class number."""
    loss = bound("mse_class_index", 5)
    logits = torch.tensor([[0.0], [2.5], [-1.0]])
    assert [0.0, 2.25, 25.0] == loss(logits, torch.tensor([0, 4, 4])).tolist()


def test_hinge_is_crammer_and_singers() -> None:
    """The margin is to the best of the other classes; with two classes it is PyTorch's `multi_margin_loss`."""
    loss = bound("hinge", 5)
    logits, targets = samples(loss, 50)
    for z, t, value in zip(logits.tolist(), targets.tolist(), loss(logits, targets).tolist(), strict=True):
        rival = max(z[:t] + z[t + 1 :])
        assert pytest.approx(max(0.0, 1 + rival - z[t])) == value
    logits, targets = samples(bound("hinge", 2), 50)
    expected = 2 * F.multi_margin_loss(logits, targets, reduction="none")  # PyTorch's is a mean over classes
    assert_close(bound("hinge", 2)(logits, targets), expected)


@pytest.mark.parametrize("num_classes", [2, 5, 40])
def test_one_vs_rest_hinge_sums_support_vector_machines(num_classes: int) -> None:
    """The mean loss is the sum of scikit-learn's hinge losses of each class, at +1, against all others, at -1."""
    loss = bound("hinge_ovr", num_classes)
    logits, targets = samples(loss, 200, scale=1.0)
    sides = 2 * one_hot(targets, num_classes) - 1
    theirs = sum(hinge_loss(y, z) for y, z in zip(sides.mT.tolist(), logits.mT.tolist(), strict=True))
    assert pytest.approx(theirs) == loss(logits, targets).mean().item()
    assert_close(-sides * (sides * logits < 1), gradient(loss, logits, targets))


@pytest.mark.parametrize("num_classes", [2, 5, 40])
def test_squentropy_adds_the_mean_square_of_the_wrong_classes(num_classes: int) -> None:
    """It is PyTorch's cross-entropy plus the mean of z_i^2 over i != t; a wrong class adds 2 z_i / (C - 1) of slope."""
    loss = bound("squentropy", num_classes)
    logits, targets = samples(loss, 50)
    y = one_hot(targets, num_classes)
    wrong = logits[y == 0].view(50, -1)
    assert_close(F.cross_entropy(logits, targets, reduction="none") + wrong.square().mean(-1), loss(logits, targets))
    expected = logits.softmax(-1) - y + 2 * logits * (1 - y) / (num_classes - 1)
    assert_close(expected, gradient(loss, logits, targets))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_temperature_divides_the_logits_that_training_sees(temperature: float) -> None:
    """The loss is PyTorch's of z / T, the gradient (softmax(z / T) - y) / T, and probabilities stay softmax(z)."""
    loss = bound("cross_entropy", 5, temperature=temperature, label_smoothing=0.1)
    logits, targets = samples(loss, 50)
    theirs = F.cross_entropy(logits / temperature, targets, reduction="none", label_smoothing=0.1)
    assert_close(theirs, loss(logits, targets))
    y = 0.9 * one_hot(targets, 5) + 0.02
    assert_close(((logits / temperature).softmax(-1) - y) / temperature, gradient(loss, logits, targets))
    assert_close(logits.log_softmax(-1), loss.log_probabilities(logits))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 1.5, 2.0, 3.0])
def test_focal_loss_looks_away_from_what_is_right(gamma: float) -> None:
    """The focal loss is -(1 - p_t)^gamma log p_t, which at gamma 0 is cross-entropy."""
    loss = bound("focal", 4, gamma=gamma)
    logits, targets = samples(loss, 50)
    p = logits.softmax(-1).gather(-1, targets[:, None])[:, 0]
    assert_close(loss(logits, targets), -((1 - p) ** gamma) * p.log())
    if gamma == 0:
        assert_close(loss(logits, targets), F.cross_entropy(logits, targets, reduction="none"))


def test_cross_entropy_on_softmax_is_the_common_mistake() -> None:
    """It is what PyTorch's cross-entropy says when it is given probabilities."""
    loss = bound("cross_entropy_on_softmax", 10)
    logits, targets = samples(loss, 50)
    assert_close(loss(logits, targets), F.cross_entropy(logits.softmax(-1), targets, reduction="none"))


@given(st.lists(st.floats(-1e4, 1e4, width=32), min_size=10, max_size=10), st.integers(0, 9))
def test_cross_entropy_on_softmax_has_a_floor(logits: list[float], target: int) -> None:
    """Of ten classes it never falls below log(1 + 9/e) = 1.461, and a confident right answer reaches it."""
    loss = bound("cross_entropy_on_softmax", 10)
    floor = math.log(1 + 9 / math.e)
    assert pytest.approx(1.461, abs=5e-4) == floor
    assert floor <= loss(torch.tensor([logits]), torch.tensor([target])).item() + 1e-6
    sure = 100 * one_hot(torch.tensor([target]), 10)
    assert pytest.approx(floor) == loss(sure, torch.tensor([target])).item()


# The lecture's closed forms.


def test_softmax_of_the_lectures_logits() -> None:
    """Softmax of (2, 3, 5, 0) is (0.04, 0.11, 0.84, 0.01), and cross-entropy is minus the log of each."""
    losses = bound("cross_entropy", 4)(torch.tensor([[2.0, 3.0, 5.0, 0.0]]).expand(4, 4), torch.arange(4))
    assert [0.04, 0.11, 0.84, 0.01] == [round(p, 2) for p in losses.neg().exp().tolist()]


@given(z0=st.floats(-30, 30), z1=st.floats(-30, 30), target=st.integers(0, 1))
def test_sigmoid_of_the_difference_is_softmax_of_two(z0: float, z1: float, target: int) -> None:
    """BCE on the one output z1 - z0 is cross-entropy on (z0, z1)."""
    targets = torch.tensor([target])
    by_softmax = bound("cross_entropy", 2)(torch.tensor([[z0, z1]], dtype=torch.float64), targets)
    by_sigmoid = bound("bce", 2, outputs=1)(torch.tensor([[z1 - z0]], dtype=torch.float64), targets)
    assert_close(by_sigmoid, by_softmax)


def test_gradient_of_cross_entropy_is_prediction_minus_label() -> None:
    """On the logits it is p - y."""
    loss = bound("cross_entropy", 5)
    logits, targets = samples(loss, 50)
    assert_close(gradient(loss, logits, targets), logits.softmax(-1) - one_hot(targets, 5))


def test_gradient_of_mse_softmax_has_the_jacobian_of_softmax() -> None:
    """It is 2 J (p - y) with J = diag(p) - p p', which vanishes on a confidently wrong prediction."""
    loss = bound("mse_softmax", 3)
    logits, targets = samples(loss, 50)
    p = logits.softmax(-1)
    jacobian = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    expected = 2 * (jacobian @ (p - one_hot(targets, 3))[:, :, None])[:, :, 0]
    assert_close(gradient(loss, logits, targets), expected)
    wrong = torch.tensor([[20.0, 0.0, 0.0]], dtype=torch.float64)
    assert gradient(loss, wrong, torch.tensor([1])).abs().max() < 1e-7


@pytest.mark.parametrize("outputs", [1, None])
def test_gradients_on_sigmoids(outputs: int | None) -> None:
    """BCE's is s - y and squared error's 2 (s - y) s (1 - s), also at logits of exactly zero."""
    bce, mse = bound("bce", 2, outputs=outputs), bound("mse_sigmoid", 2, outputs=outputs)
    logits, targets = samples(bce, 50)
    logits[:10] = 0.0
    y = targets[:, None].double() if outputs else one_hot(targets, 2)
    s = torch.sigmoid(logits)
    assert_close(gradient(bce, logits, targets), s - y)
    assert_close(gradient(mse, logits, targets), 2 * (s - y) * s * (1 - s))


# What every loss owes, those of tomorrow too.


@every_loss
def test_gradient_is_the_slope(name: str, num_classes: int, options: dict[str, Any]) -> None:
    """The gradient on the logits equals central differences in double precision."""
    loss, h = bound(name, num_classes, **options), 1e-6
    logits, targets = samples(loss, 20, scale=2.0)
    slopes = [
        (loss(logits + h * e, targets) - loss(logits - h * e, targets)) / (2 * h) for e in torch.eye(loss.num_outputs)
    ]
    assert_close(gradient(loss, logits, targets), torch.stack(slopes, -1), atol=1e-6, rtol=1e-6)


@every_loss
def test_extreme_logits_stay_finite(name: str, num_classes: int, options: dict[str, Any]) -> None:
    """At logits of +-1e4, and at zero, in single precision, values and gradients are finite for every target."""
    loss = bound(name, num_classes, **options)
    corners = torch.cartesian_prod(*[torch.tensor([-1e4, 0.0, 1e4])] * min(loss.num_outputs, 3)).view(
        -1, min(loss.num_outputs, 3)
    )
    corners = F.pad(corners, (0, loss.num_outputs - corners.shape[1]))
    classes = [torch.full((len(corners),), target) for target in range(num_classes)]
    for targets in classes if loss.problem.exclusive else [loss.problem.example_targets(len(corners))]:
        assert loss(corners, targets).isfinite().all()
        assert gradient(loss, corners, targets).isfinite().all()


@every_loss
def test_trials_do_not_see_one_another(name: str, num_classes: int, options: dict[str, Any]) -> None:
    """A stack `[T, B, K]` has the values and gradients of its trials alone, to the last bit."""
    loss = bound(name, num_classes, **options)
    for batch_size in (1, 2, 7, 8, 33):
        logits, targets = samples(loss, 5, batch_size, seed=batch_size, dtype=torch.float32)
        values, gradients = loss(logits, targets), gradient(loss, logits, targets)
        assert (5, batch_size) == values.shape
        for trial in range(5):
            assert torch.equal(loss(logits[trial], targets[trial]), values[trial])
            assert torch.equal(gradient(loss, logits[trial], targets[trial]), gradients[trial])


@every_loss
@settings(max_examples=20)
@given(order=st.permutations(range(16)))
def test_samples_do_not_see_one_another(name: str, num_classes: int, options: dict[str, Any], order: list[int]) -> None:
    """Samples in another order have their losses and gradients in that order, to the last bit.

    They fill whole vectors of the processor: a rest is computed by another formula, which rounds differently.
    """
    loss = bound(name, num_classes, **options)
    logits, targets = samples(loss, 16, dtype=torch.float32)
    assert torch.equal(loss(logits[order], targets[order]), loss(logits, targets)[order])
    assert torch.equal(gradient(loss, logits[order], targets[order]), gradient(loss, logits, targets)[order])


@every_loss
@pytest.mark.parametrize("batch_size", [1, 2, 9, 33])
def test_a_sample_in_its_place_does_not_see_the_others(
    name: str, num_classes: int, options: dict[str, Any], batch_size: int
) -> None:
    """Whatever the batch's size and its other samples are, a sample keeps its loss and gradient to the last bit."""
    loss = bound(name, num_classes, **options)
    logits, targets = samples(loss, batch_size, seed=1, dtype=torch.float32)
    values, gradients = loss(logits, targets), gradient(loss, logits, targets)
    for place in range(batch_size):
        others, their_targets = samples(loss, batch_size, seed=2 + place, dtype=torch.float32)
        others[place], their_targets[place] = logits[place], targets[place]
        assert torch.equal(values[place], loss(others, their_targets)[place])
        assert torch.equal(gradients[place], gradient(loss, others, their_targets)[place])


@every_loss
def test_a_loss_can_be_learned_from(name: str, num_classes: int, options: dict[str, Any]) -> None:
    """Gradient steps on the logits themselves end in right predictions, of values within the length of a step."""
    loss = bound(name, num_classes, **options)
    logits, targets = samples(loss, 30, scale=0.1)
    for _ in range(100):
        logits = logits - 0.2 * gradient(loss, logits, targets)
    if loss.problem.exclusive:
        assert torch.equal(targets, loss.predictions(logits))
    else:
        assert (logits - targets).abs().max() <= 0.2


# Binding and registering.


@pytest.mark.parametrize("name", ["bce", "mse_sigmoid"])
def test_one_output_is_for_two_classes(name: str) -> None:
    """`outputs: 1` with three classes is refused, with the reason."""
    with pytest.raises(ValueError, match="for two classes, and there are 3"):
        bound(name, 3, outputs=1)


@pytest.mark.parametrize("alias", ["CrossEntropyLoss", "categorical_crossentropy", "BCEWithLogitsLoss"])
def test_aliases_are_the_same_loss(alias: str) -> None:
    """A loss goes by its canonical name, whatever name was asked for."""
    assert {"BCEWithLogitsLoss": "bce"}.get(alias, "cross_entropy") == bound(alias).name


@pytest.mark.parametrize("again", [("mine", ()), ("other", ("mine",)), ("also", ()), ("other", ("also",))])
def test_a_name_registered_twice_raises(again: tuple[str, tuple[str, ...]]) -> None:
    """Neither a name nor an alias can be taken again, and the first registration stays."""
    registry, (name, aliases) = Registry(), again
    first = LossSpec("mine", F.cross_entropy, aliases=("also",))
    registry.add(first)
    with pytest.raises(ValueError, match="registered twice"):
        registry.add(LossSpec(name, F.nll_loss, aliases))
    assert (first,) == registry.all("loss")


def of_ones_own(function: Callable[..., Tensor]) -> Loss:
    return Loss("mine", function, "softmax", num_outputs=3, problem=SingleLabel(3), options={}, stacked=False)


def test_a_number_for_the_batch_stands_for_each_sample() -> None:
    """A user's function may return one number, which is then every sample's, trial by trial."""
    mine = of_ones_own(F.cross_entropy)
    logits, targets = samples(mine, 4, 6)
    expected = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none").view(4, 6).mean(-1)
    assert_close(mine(logits, targets), expected[:, None].expand(4, 6))
    assert_close(mine(logits[1], targets[1]), expected[1].expand(6))
    # So that the mean that training takes, and the sum that diagnostics take, have the gradients one expects.
    assert_close(gradient(mine, logits[1], targets[1]), gradient(bound("cross_entropy"), logits[1], targets[1]))


def test_a_loss_of_the_wrong_shape_is_refused() -> None:
    """A user's function that returns a value per class is told what was expected."""
    mine = of_ones_own(lambda logits, targets: logits)
    with pytest.raises(ValueError, match=r"'mine' returned shape \(6, 3\), not \(6,\)"):
        mine(*samples(mine, 6))
