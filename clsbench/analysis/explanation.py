"""One sample under every loss: the lecture's table of probabilities, values and gradients."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from clsbench.analysis.terrain import marbles
from clsbench.losses.contract import Loss, build_loss
from clsbench.problems import SingleLabel

ADDED = (0.0, 2.0, 5.0, 10.0, 20.0)  # to the largest wrong logit


@dataclass(frozen=True)
class LossAtPoint:
    """A loss at some logits: its options, its value, and its gradient on each logit."""

    name: str
    options: Mapping[str, Any]
    value: float
    gradient: tuple[float, ...]

    @property
    def norm(self) -> float:
        """The L2 norm of the gradient."""
        return math.hypot(*self.gradient)


@dataclass(frozen=True)
class Explanation:
    """Logits of one sample under every loss that fits them, with default options.

    `margin` is the target's logit minus the largest other one; positive where the prediction is right. `log_odds` is
    log(p / (1 - p)) of the target's softmax p, its `likelihood`. `growing` holds, for each of `ADDED`, the norm of
    each loss's gradient if so much is added to the largest other logit.
    """

    logits: tuple[float, ...]
    target: int
    margin: float
    log_odds: float
    softmax: tuple[float, ...]
    sigmoid: tuple[float, ...]
    losses: tuple[LossAtPoint, ...]
    growing: Mapping[float, Mapping[str, float]]

    @property
    def likelihood(self) -> float:
        return self.softmax[self.target]

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "logits": list(self.logits),
            "target": self.target,
            "softmax": list(self.softmax),
            "sigmoid": list(self.sigmoid),
            "likelihood": self.likelihood,
            "margin": self.margin,
            "log_odds": self.log_odds,
            "losses": {each.name: {"value": each.value, "gradient": list(each.gradient)} for each in self.losses},
            "more_confident": [{"added": added, "gradient_norm": dict(norms)} for added, norms in self.growing.items()],
        }


def explain(logits: Sequence[float], target: int) -> Explanation:
    """Compare the losses at `logits` (one per class, at least two) for class number `target`."""
    z, losses = torch.tensor([list(logits)], dtype=torch.float64), losses_for(len(logits))
    rival = max((number for number in range(len(logits)) if number != target), key=lambda number: logits[number])
    (log_odds,), _ = marbles(z.numpy(), np.array([target]))
    growing = {}
    for added in ADDED:
        moved = [value + added * (number == rival) for number, value in enumerate(logits)]
        growing[added] = {loss.name: at_point(loss, moved, target).norm for loss in losses}
    return Explanation(
        logits=tuple(logits),
        target=target,
        margin=logits[target] - logits[rival],
        log_odds=float(log_odds),
        growing=growing,
        softmax=tuple(z.softmax(-1)[0].tolist()),
        sigmoid=tuple(z.sigmoid()[0].tolist()),
        losses=tuple(at_point(loss, logits, target) for loss in losses),
    )


def losses_for(num_classes: int) -> list[Loss]:
    """Every registered loss that has one output for each class, with default options."""
    problem = SingleLabel(num_classes)
    return [build_loss(spec.name, problem, spec.defaults) for spec in problem.losses_by_class()]


def at_point(loss: Loss, logits: Sequence[float], target: int) -> LossAtPoint:
    """A loss at some logits, in double precision."""
    leaf = torch.tensor([list(logits)], dtype=torch.float64, requires_grad=True)
    value = loss(leaf, torch.tensor([target])).sum()
    (gradient,) = torch.autograd.grad(value, leaf)
    return LossAtPoint(loss.name, loss.options, value.item(), tuple(gradient[0].tolist()))
