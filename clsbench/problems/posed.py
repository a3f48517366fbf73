"""The problem that a dataset poses, as far as it is known before the data are opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from clsbench.problems.base import Problem
from clsbench.problems.kinds import KINDS, taken_as
from clsbench.registry import catalogue


@dataclass(frozen=True)
class Posed:
    """What is known about a dataset; None for what is unknown until it is opened.

    `shape` is that of one sample: `(features,)`, or `(channels, height, width)` for images.
    `own_test` says that the dataset has its own test set, `has_posterior` that the true probabilities of its classes
    are known. `kind` is known wherever the problem is, and where it is `asked` for. `samples` is their number, where no
    option says it, without the `test_samples` of an own test set. Of opened data `sizes` counts the
    training, validation and test samples, and `class_counts` the training samples of each class.
    """

    shape: tuple[int, ...] | None = None
    problem: Problem | None = None
    own_test: bool | None = False
    has_posterior: bool | None = None
    asked: type[Problem] | None = None
    samples: int | None = None
    test_samples: int | None = None
    sizes: tuple[int, int, int] | None = None
    class_counts: tuple[float, ...] | None = None

    @property
    def kind(self) -> type[Problem] | None:
        return self.asked if self.problem is None else type(self.problem)

    def taken_for(self, kind: str) -> Posed:
        """The same data taken for another kind of problem."""
        asked = KINDS[kind]
        return replace(self, asked=asked, problem=None if self.problem is None else taken_as(self.problem, asked))

    @property
    def possible(self) -> tuple[Problem, ...]:
        """The problem, or small ones that it may be like."""
        if self.problem is not None:
            return (self.problem,)
        return () if self.asked is None else self.asked.examples()


def posed_by(dataset: str, options: Mapping[str, Any]) -> Posed:
    """What is known about a dataset with these options.

    Raises:
        ValueError: the options are impossible; the message gives the reason.
    """
    poses = catalogue.get("dataset", dataset).poses
    found: Posed = Posed(own_test=None) if poses is None else poses(**options)
    return found
