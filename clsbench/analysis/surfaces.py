"""The lecture's figure: a loss over two logits of three, and the path that gradient descent takes on it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from clsbench.analysis.explanation import LossAtPoint, at_point, losses_for
from clsbench.losses.contract import Loss
from clsbench.registry import catalogue, suggestion

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

CLASSES = 3
COUNTED = 2000  # steps of a descent that are taken one by one; what is left is integrated
MOST_STEPS = 1e15
STEADY = 1e-2  # a gradient that changes by less in a step makes a path that may be integrated
Point = tuple[tuple[float, ...], list[LossAtPoint]]  # logits, and every loss there
EXACT = {"rtol": 1e-8, "atol": 1e-10}


@dataclass(frozen=True)
class Plane:
    """Logits (y0, y1, third) with y0 and y1 from `low` to `high`; `target` is the true class."""

    low: float = -10.0
    high: float = 10.0
    third: float = -1000.0
    target: int = 0

    def logits(self, y0: float, y1: float) -> tuple[float, float, float]:
        return y0, y1, self.third


@dataclass(frozen=True)
class Surface:
    """A loss over a plane: `heights` and `norms` (of the gradient on all logits) are `[rows, columns]`.

    Columns go from the least y0 to the greatest, rows from the greatest y1 to the least, as in a picture.
    """

    loss: str
    heights: Floats
    norms: Floats


@dataclass(frozen=True)
class Path:
    """Gradient descent on the logits of one sample until its prediction is right.

    `steps` is None where that never happens: `steady` says whether the logits then hardly move. `counted` of the steps
    were taken, and the rest is the time of the gradient flow. `points` are logits (y0, y1) on the way.
    """

    loss: str
    steps: float | None
    counted: int
    steady: bool
    points: tuple[tuple[float, float], ...]


def named_losses(names: Sequence[str]) -> list[Loss]:
    """The losses of these names or aliases, with default options, for three classes.

    Raises:
        ValueError: there is no such loss, or it has not one output for each class.
    """
    fitting = {loss.name: loss for loss in losses_for(CLASSES)}
    found = []
    for name in names:
        canonical = catalogue.get("loss", name).name
        if canonical not in fitting:
            raise ValueError(
                f"loss {name!r} has no surface over the logits of three classes; {suggestion('', fitting)}"
            )
        found.append(fitting[canonical])
    return found


def surface(loss: Loss, plane: Plane, rows: int, columns: int) -> Surface:
    """Height and gradient norm of a loss on a grid, edges included, in double precision."""
    y0 = torch.linspace(plane.low, plane.high, columns, dtype=torch.float64)
    y1 = torch.linspace(plane.high, plane.low, rows, dtype=torch.float64)
    z = torch.stack([*torch.meshgrid(y0, y1, indexing="xy"), torch.full((rows, columns), plane.third).double()], -1)
    values, gradients = _evaluated(loss, z.flatten(0, 1), plane.target)
    norms = gradients.norm(dim=-1)
    return Surface(loss.name, values.view(rows, columns).numpy(), norms.view(rows, columns).numpy())


def points_of(losses: Sequence[Loss], plane: Plane, per_side: int) -> Iterator[Point]:
    """The losses at every point of a grid, `per_side` squared of them."""
    places = torch.linspace(plane.low, plane.high, per_side, dtype=torch.float64).tolist()
    return (point_of(losses, plane, y0, y1) for y1 in places for y0 in places)


def point_of(losses: Sequence[Loss], plane: Plane, y0: float, y1: float) -> Point:
    """The losses at one point."""
    logits = plane.logits(y0, y1)
    return logits, [at_point(loss, logits, plane.target) for loss in losses]


def descent(loss: Loss, plane: Plane, start: tuple[float, float], lr: float) -> Path:
    """Gradient descent from (y0, y1, third), all three logits free, until the prediction is right.

    Up to `COUNTED` steps are taken. If the gradient is then steady, the rest is integrated: the flow dz/dn = -lr
    gradient, by an adaptive solver, n being the number of steps.
    """
    target, z = plane.target, torch.tensor([plane.logits(*start)], dtype=torch.float64)
    points: list[tuple[float, float]] = [start]
    before: Tensor | None = None
    for step in range(COUNTED + 1):
        if _is_right(loss, z, target):
            return Path(loss.name, step, step, True, tuple(points))
        _, gradient = _evaluated(loss, z, target)
        if step == COUNTED or not gradient.isfinite().all():
            break
        before, z = gradient, z - lr * gradient
        points.append((z[0, 0].item(), z[0, 1].item()))
    is_steady = before is not None and bool((gradient - before).norm() <= STEADY * gradient.norm())
    if not is_steady or not gradient.any():
        return Path(loss.name, None, step, is_steady, tuple(points))
    return _integrated(loss, target, z, lr, points)


def _integrated(loss: Loss, target: int, z: Tensor, lr: float, points: list[tuple[float, float]]) -> Path:
    import numpy as np
    from scipy.integrate import solve_ivp

    def flow(steps: float, logits: Floats) -> Floats:
        _, gradient = _evaluated(loss, torch.from_numpy(logits)[None], target)
        velocity: Floats = -lr * gradient[0].numpy()
        return velocity

    def arrives(steps: float, logits: Floats) -> float:
        return float(logits[target] - np.delete(logits, target).max())

    arrives.terminal = True  # type: ignore[attr-defined]
    solved = solve_ivp(flow, (0.0, MOST_STEPS), z[0].numpy(), method="LSODA", events=arrives, **EXACT)
    arrived = solved.status == 1
    way = [(float(y0), float(y1)) for y0, y1 in solved.y[:2].T]
    total = COUNTED + float(solved.t_events[0][0]) if arrived else None
    return Path(loss.name, total, COUNTED, True, (*points, *way))


def _evaluated(loss: Loss, z: Tensor, target: int) -> tuple[Tensor, Tensor]:
    """The loss `[N]` of logits `[N, K]` and its gradients `[N, K]`."""
    leaf = z.clone().requires_grad_()
    values = loss.of_samples(leaf, torch.full(z.shape[:1], target))
    (gradients,) = torch.autograd.grad(values.sum(), leaf)
    return values.detach(), gradients


def _is_right(loss: Loss, z: Tensor, target: int) -> bool:
    return bool(loss.predictions(z)[0] == target)
