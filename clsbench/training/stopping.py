"""When a trial stops before its last epoch: where a validation metric no longer improves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Stop:
    """A trial stops after `patience` epochs without a better value of `metric`, a validation field of its records.

    `better` is the direction of the metric. A value that is not a number is no better than any.
    """

    metric: str
    better: str
    patience: int


class Waiting:
    """How long each trial of a stack has been without a better value: `best [T, 1]` and `waited [T, 1]`.

    A trial's row depends on its own values alone.
    """

    def __init__(self, stop: Stop, num_trials: int, device: torch.device) -> None:
        self.stop = stop
        self._sign = 1.0 if stop.better == "higher" else -1.0
        self.best = torch.full((num_trials, 1), -math.inf, dtype=torch.float64, device=device)
        self.waited = torch.zeros(num_trials, 1, dtype=torch.float64, device=device)

    def over(self, values: Tensor) -> Tensor:
        """`[T]`: the trials whose patience ends with the values `[T]` of an epoch."""
        score = (self._sign * values.double()).unsqueeze(1)
        improved = score > self.best
        self.best.copy_(torch.where(improved, score, self.best))
        self.waited.add_(1).mul_(~improved)
        return (self.waited >= self.stop.patience).squeeze(1)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """What the next epochs need, by name."""
        return {"stop.best": self.best, "stop.waited": self.waited}
