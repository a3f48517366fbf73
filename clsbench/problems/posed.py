"""The problem that a dataset poses, as far as it is known before the data are opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clsbench.problems.base import Problem
from clsbench.registry import catalogue


@dataclass(frozen=True)
class Posed:
    """What is known about a dataset; None for what is unknown until it is opened.

    `shape` is that of one sample: `(features,)`, or `(channels, height, width)` for images.
    `own_test` says that the dataset has its own test set.
    """

    shape: tuple[int, ...] | None = None
    problem: Problem | None = None
    own_test: bool | None = False


def posed_by(dataset: str, options: Mapping[str, Any]) -> Posed:
    """What is known about a dataset with these options.

    Raises:
        ValueError: the options are impossible; the message gives the reason.
    """
    poses = catalogue.get("dataset", dataset).poses
    found: Posed = Posed(own_test=None) if poses is None else poses(**options)
    return found
