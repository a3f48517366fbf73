"""What problem a dataset poses, and how frequent its classes are, from the `data` of a summary. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from clsbench.problems import Problem, kind_of
from clsbench.results import ClassCounts, Compared

SKEWED_FROM = 2.0  # the training samples of the most frequent class over those of the least frequent


def classes_of(summary: Compared, dataset: str) -> tuple[ClassCounts, ...]:
    """Each class of a dataset, by its label, with its samples by split.

    It is empty where they are not known, and where a sample may have several or none.
    """
    found = (summary.get("data") or {}).get(dataset)
    return tuple(found["classes"] or ()) if found and kind_of(found).exclusive else ()


def problem_of(summary: Compared, dataset: str) -> type[Problem]:
    """The kind of problem that a dataset poses, by its label; a run that does not say it is of single labels."""
    return kind_of((summary.get("data") or {}).get(dataset, {}))


def is_skewed(classes: Sequence[ClassCounts]) -> bool:
    """Whether some classes are so much more frequent than others that accuracy hides the others."""
    counts = [each["train"] for each in classes if each["train"]]
    return bool(counts) and max(counts) >= SKEWED_FROM * min(counts)


def majority(classes: Sequence[ClassCounts]) -> ClassCounts | None:
    """The most frequent class of the training split, the first of equal ones; None where classes are not known."""
    return max(classes, key=lambda each: each["train"], default=None)


def majority_accuracy(classes: Sequence[ClassCounts], split: Literal["val", "test"]) -> float | None:
    """The accuracy on a split of always answering the majority; None where it has no samples."""
    most, total = majority(classes), sum(each[split] for each in classes)
    return most[split] / total if most is not None and total else None
