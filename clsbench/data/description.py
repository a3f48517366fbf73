"""What was read: the size, classes and columns of a dataset, and warnings of what may make a result worthless."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from clsbench.data.dividing import Part, Parts, digests
from clsbench.data.preparation import Ints, Preparation
from clsbench.data.raw import RawData
from clsbench.problems import Problem
from clsbench.results import DataSummary, TargetSummary
from clsbench.text import listed

if TYPE_CHECKING:
    from clsbench.data.raw import Array

MAX_NAMED = 3
WORDS = {"train": "training", "val": "validation", "test": "test"}


def described(raw: RawData, problem: Problem, parts: Parts, name: str, sha256: str) -> DataSummary:
    """The entry of `summary.data` of a dataset; `name` stands for its source if it names none."""
    kinds = [column.kind for column in raw.table]
    counts = _class_counts(problem, parts)
    return {
        "problem": problem.kind,
        "train": len(parts.train),
        "val": len(parts.val),
        "test": len(parts.test),
        "shape": list(raw.features.shape[1:]),
        "classes": None
        if counts is None
        else [
            {"name": each, **{split: int(of[number]) for split, of in counts.items()}}  # type: ignore[typeddict-item]
            for number, each in enumerate(problem.names)
        ],
        "majority": None
        if counts is None or not problem.exclusive
        else float(counts["test"][counts["train"].argmax()] / len(parts.test)),
        "columns": {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)} if kinds else None,
        "targets": None if counts is not None else _values(problem, parts.train),
        "source": raw.source or name,
        "sha256": sha256,
    }


def _class_counts(problem: Problem, parts: Parts) -> dict[str, Ints] | None:
    """By split, the samples of each class or label; None where targets are values."""
    if not problem.labelled:
        return None
    counts = {split: problem.class_counts(part.labels) for split, part in _by_name(parts)}
    return {split: of for split, of in counts.items() if of is not None}


def _values(problem: Problem, train: Part) -> list[TargetSummary]:
    """The training values of each target, and what training standardises them by."""
    values, learned = train.labels, problem.learned
    low, high = values.min(0), values.max(0)
    means, deviations = (learned["shift"], learned["scale"]) if learned else (values.mean(0), values.std(0))
    return [
        {
            "name": name,
            "min": float(low[place]),
            "max": float(high[place]),
            "mean": float(means[place]),
            "std": float(deviations[place]) if low[place] < high[place] else 0.0,
            "standardised": bool(learned),
        }
        for place, name in enumerate(problem.names)
    ]


def findings(raw: RawData, parts: Parts, preparation: Preparation) -> Iterator[tuple[str, str]]:
    """The code of each warning about a dataset, and a sentence."""
    yield from raw.warnings
    yield from _missing_classes(raw, parts)
    yield from _repeated(parts)
    if raw.features.ndim == 4:
        yield from _constant_images(parts)
    if raw.columns:
        yield from _suspicious_columns(raw)
        for split, part in _by_name(parts):
            for column, count in preparation.unseen(part.features, part.rows).items() if split != "train" else ():
                yield (
                    "unseen-category",
                    f"{count} of the {len(part)} {WORDS[split]} samples have a category of column {column!r} that the "
                    "training split does not have; all its inputs are 0 there",
                )


def _by_name(parts: Parts) -> tuple[tuple[str, Part], ...]:
    return (("train", parts.train), ("val", parts.val), ("test", parts.test))


def _missing_classes(raw: RawData, parts: Parts) -> Iterator[tuple[str, str]]:
    names, kind = raw.problem.names, "classes" if raw.problem.exclusive else "labels"
    counts = _class_counts(raw.problem, parts)
    for split, part in _by_name(parts):
        if counts is None or not len(part):
            continue
        absent = np.flatnonzero(counts[split] == 0)
        if len(absent):
            yield (
                "missing-class",
                f"the {WORDS[split]} split has no sample of {len(absent)} of the {len(names)} {kind}: "
                f"{listed((repr(names[place]) for place in absent), MAX_NAMED)}",
            )


def _repeated(parts: Parts) -> Iterator[tuple[str, str]]:
    train = set(digests(parts.train.features, parts.train.rows))
    for split, part in _by_name(parts)[1:]:
        count = sum(digest in train for digest in digests(part.features, part.rows))
        if count:
            found = f"{count} of the {len(part)} {WORDS[split]} samples {'is' if count == 1 else 'are'} identical"
            hint = f"so the {WORDS[split]} metrics flatter; remove the copies, or keep them in one split"
            yield "repeated-samples", f"{found} to training samples, {hint}"


def _constant_images(parts: Parts) -> Iterator[tuple[str, str]]:
    for split, part in _by_name(parts):
        if not len(part):
            continue
        flat = part.features[part.rows].reshape(len(part), -1)
        count = int((flat.min(1) == flat.max(1)).sum())
        if count:
            yield "constant-images", f"{count} of the {len(part)} {WORDS[split]} images have equal pixels everywhere"


def _suspicious_columns(raw: RawData) -> Iterator[tuple[str, str]]:
    x, labels = raw.features, raw.labels
    exclusive = raw.problem.exclusive
    separating = _separating(x, labels) if exclusive else [False] * x.shape[1]
    for place, column in enumerate(raw.table):
        if column.kind != "boolean" and (how := _identifies(x[:, place], category=column.kind == "category")):
            code, what = how
            yield code, f"column {column.name!r} {what}; leave it out if it only identifies the samples"
        elif column.kind == "category" and exclusive:
            pairs = np.unique(np.stack([x[:, place], labels]), axis=1).shape[1]
            if pairs == len(np.unique(x[:, place])):
                yield "separating-column", _separates(column.name)
        elif separating[place]:
            yield "separating-column", _separates(column.name)


def _separates(name: str) -> str:
    return f"column {name!r} alone separates the classes; leave it out if it is made from the label"


def _identifies(values: Array, *, category: bool) -> tuple[str, str] | None:
    """Whether a column numbers the rows, or has another value in each."""
    count = len(values)
    low, high = values.min(), values.max()
    if not high - low >= count - 1 or count < 3:  # NaN too
        return None
    if not category and (np.arange(count) + low == values).all():
        return "row-number", f"counts the rows from {low:g}"
    # Measurements, which are not whole numbers, are seldom equal.
    if (values == np.floor(values)).all() and len(np.unique(values)) == count:
        return "unique-column", "has another value in every row"
    return None


def _separating(x: Array, labels: Ints) -> Sequence[bool]:
    """For each column, whether the ranges of the classes' values do not overlap."""
    present = np.unique(labels)
    low = np.stack([x[labels == number].min(0) for number in present])
    high = np.stack([x[labels == number].max(0) for number in present])
    order = low.argsort(0)
    low, high = np.take_along_axis(low, order, 0), np.take_along_axis(high, order, 0)
    return list(np.all(high[:-1] < low[1:], axis=0))
