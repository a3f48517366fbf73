"""What acts 2 and 3 show, without what computes it."""

from __future__ import annotations

from dataclasses import dataclass

LOSSES = ("cross_entropy", "mse_softmax")
RATES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)  # learning rates of act 3
SHOWN = RATES.index(1.0)


@dataclass(frozen=True)
class Side:
    """One loss at one epoch: the margins of the training samples shown, under one learning rate, and the validation
    accuracy of every learning rate; None where a trial diverged."""

    loss: str
    margins: tuple[float, ...]
    accuracies: tuple[float | None, ...]


@dataclass(frozen=True)
class Moment:
    """Both losses after an epoch; epoch 0 is before training."""

    epoch: int
    sides: tuple[Side, ...]
