"""The initial weights, batches and data of each trial: the evidence for promise 1, collected during training."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from clsbench.errors import RunError


@dataclass
class Evidence:
    """By trial number: the hash of every initial parameter, that of each epoch's order of batches, and the data's."""

    weights: dict[int, Mapping[str, str]] = field(default_factory=dict)
    batches: dict[int, list[str]] = field(default_factory=dict)
    data: dict[int, str] = field(default_factory=dict)

    def started(
        self, trials: Sequence[int], epoch: int, weights: Mapping[int, Mapping[str, str]], data: Mapping[int, str]
    ) -> None:
        """Trials start, or go on after an epoch: the batches of later epochs are forgotten.

        Raises:
            RunError: the data of a trial have changed since it began.
        """
        for trial in trials:
            if self.data.get(trial, data[trial]) != data[trial]:
                raise RunError(f"the data of trial {trial} have changed since it began; start a new run")
        self.data.update(data)
        self.weights.update({trial: _once(of) for trial, of in weights.items()})
        self.batches.update({trial: self.batches.get(trial, [])[:epoch] for trial in trials})

    def add_batches(self, batches: Mapping[int, str]) -> None:
        for trial, order in batches.items():
            self.batches[trial].append(sys.intern(order))

    def moved(self, numbers: Mapping[int, int]) -> Evidence:
        """The same for the trials in `numbers`, under the numbers that it gives them."""
        known = [(old, new) for old, new in numbers.items() if old in self.weights]
        return Evidence(
            {new: self.weights[old] for old, new in known},
            {new: self.batches[old] for old, new in known},
            {new: self.data[old] for old, new in known},
        )

    def add(self, other: Evidence) -> None:
        self.weights.update(other.weights)
        self.batches.update(other.batches)
        self.data.update(other.data)


def _once(hashes: Mapping[str, str]) -> dict[str, str]:
    """The same, each text in memory once: paired trials have equal ones."""
    return {sys.intern(name): sys.intern(found) for name, found in hashes.items()}
