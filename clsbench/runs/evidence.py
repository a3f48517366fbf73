"""What each trial really started from and saw: the evidence for promise 1, gathered as it trains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass
class Evidence:
    """By trial number: the hash of every initial parameter, and that of each epoch's order of batches."""

    weights: dict[int, Mapping[str, str]] = field(default_factory=dict)
    batches: dict[int, list[str]] = field(default_factory=dict)

    def started(self, trials: Iterable[int], epoch: int, weights: Mapping[int, Mapping[str, str]]) -> None:
        """Trials start, or go on after an epoch: what some of them saw later is to be seen again."""
        self.weights.update(weights)
        self.batches.update({trial: self.batches.get(trial, [])[:epoch] for trial in trials})

    def saw(self, batches: Mapping[int, str]) -> None:
        for trial, order in batches.items():
            self.batches[trial].append(order)

    def add(self, other: Evidence) -> None:
        self.weights.update(other.weights)
        self.batches.update(other.batches)
