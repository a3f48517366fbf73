"""One sample under every loss: the lecture's table of probabilities, values and gradients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from clsbench.losses.contract import Loss, build_loss
from clsbench.problems import SingleLabel
from clsbench.registry import catalogue


@dataclass(frozen=True)
class LossAtPoint:
    """A loss at some logits: its options, its value, and its gradient on each logit."""

    name: str
    options: Mapping[str, Any]
    value: float
    gradient: tuple[float, ...]


@dataclass(frozen=True)
class Explanation:
    """Logits of one sample under every loss that fits them, with default options.

    `margin` is the target's logit minus the largest other one; positive where the prediction is right.
    """

    logits: tuple[float, ...]
    target: int
    margin: float
    softmax: tuple[float, ...]
    sigmoid: tuple[float, ...]
    losses: tuple[LossAtPoint, ...]


def explain(logits: Sequence[float], target: int) -> Explanation:
    """Compare the losses at `logits` (one per class, at least two) for class number `target`."""
    z = torch.tensor([list(logits)], dtype=torch.float64)
    return Explanation(
        logits=tuple(logits),
        target=target,
        margin=logits[target] - max(value for number, value in enumerate(logits) if number != target),
        softmax=tuple(z.softmax(-1)[0].tolist()),
        sigmoid=tuple(z.sigmoid()[0].tolist()),
        losses=tuple(at_point(loss, logits, target) for loss in losses_for(len(logits))),
    )


def losses_for(num_classes: int) -> list[Loss]:
    """Every registered loss that has one output for each class, with default options."""
    problem = SingleLabel(num_classes)
    built = [
        build_loss(spec.name, problem, {name: option.default for name, option in spec.options.items()})
        for spec in catalogue.all("loss")
        if not any(option.required for option in spec.options.values())
    ]
    return [loss for loss in built if loss.num_outputs == num_classes]


def at_point(loss: Loss, logits: Sequence[float], target: int) -> LossAtPoint:
    """A loss at some logits, in double precision."""
    leaf = torch.tensor([list(logits)], dtype=torch.float64, requires_grad=True)
    value = loss(leaf, torch.tensor([target])).sum()
    (gradient,) = torch.autograd.grad(value, leaf)
    return LossAtPoint(loss.name, loss.options, value.item(), tuple(gradient[0].tolist()))
