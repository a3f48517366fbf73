"""Losses over two logits: their values are the losses' own, and descent on them is gradient descent."""

from __future__ import annotations

import math

import pytest
import torch

from clsbench.analysis.surfaces import Plane, descent, named_losses, surface

LECTURE = Plane()


def test_a_surface_is_a_picture_of_the_losss_values_and_gradients() -> None:
    """Left to right y0 grows, top to bottom y1 falls; the norm is that of the gradient on all three logits."""
    (loss,) = named_losses(["mse_logits"])
    plane = Plane(low=-2, high=2, third=3, target=1)
    found = surface(loss, plane, 3, 5)
    assert (3, 5) == found.heights.shape
    # at (y0, y1) = (-1, 2): (-1)^2 + (2 - 1)^2 + 3^2, and twice the root of it
    assert 11.0 == found.heights[0, 1]
    assert pytest.approx(2 * math.sqrt(11)) == found.norms[0, 1]


def test_descent_counts_the_steps_of_gradient_descent() -> None:
    """From the lecture's wrong corner cross-entropy is right after as many steps as a plain loop of PyTorch's takes."""
    z, steps = torch.tensor([[-10.0, 10.0, -1000.0]], dtype=torch.float64), 0
    while z.argmax() != 0:
        z.requires_grad_()
        (gradient,) = torch.autograd.grad(torch.nn.functional.cross_entropy(z, torch.tensor([0])), z)
        z, steps = (z - gradient).detach(), steps + 1
    (loss,) = named_losses(["cross_entropy"])
    path = descent(loss, LECTURE, (-10.0, 10.0), lr=1.0)
    assert (steps, steps) == (path.steps, path.counted)
    assert pytest.approx((z[0, 0].item(), z[0, 1].item())) == path.points[-1]


def test_a_plateau_is_integrated() -> None:
    """Squared error needs the steps of the closed form: the integral of 1 / (4 p (1 - p)^2 2) over the margin."""
    (loss,) = named_losses(["mse_softmax"])
    path = descent(loss, LECTURE, (-10.0, 10.0), lr=1.0)
    p = torch.sigmoid(torch.linspace(-20, 0, 200_001, dtype=torch.float64))
    expected = torch.trapezoid(1 / (8 * p * (1 - p) ** 2), dx=20 / 200_000).item()
    assert pytest.approx(expected, rel=1e-4) == path.steps
    assert path.counted < expected / 1000


def test_integrating_agrees_with_counting() -> None:
    """Where both can be done they give the same number of steps, up to what a step is too long."""
    (loss,) = named_losses(["mse_softmax"])
    slow = descent(loss, LECTURE, (-3.5, 3.5), lr=0.01)
    fast = descent(loss, LECTURE, (-3.5, 3.5), lr=0.1)
    assert fast.counted == fast.steps
    assert slow.counted != slow.steps
    assert slow.steps is not None
    assert fast.steps is not None
    assert pytest.approx(10 * fast.steps, rel=0.01) == slow.steps


@pytest.mark.parametrize(
    ("name", "start", "lr", "steady"),
    [("mse_softmax", (-800.0, 800.0), 1.0, True), ("mse_logits", (-10.0, 10.0), 1.0, False)],
)
def test_a_descent_that_never_arrives_says_why(name: str, start: tuple[float, float], lr: float, steady: bool) -> None:
    """Where the gradient is zero in double precision, and where every step jumps over the valley."""
    (loss,) = named_losses([name])
    path = descent(loss, LECTURE, start, lr)
    assert (None, steady) == (path.steps, path.steady)


def test_only_losses_of_three_logits_have_a_surface() -> None:
    """Aliases are known; one output for all classes, and an unknown name, are refused."""
    assert ["cross_entropy"] == [loss.name for loss in named_losses(["CrossEntropyLoss"])]
    with pytest.raises(ValueError, match="'mse_class_index' has no surface over the logits of three classes"):
        named_losses(["mse_class_index"])
    with pytest.raises(LookupError, match="did you mean 'focal'"):
        named_losses(["focall"])
