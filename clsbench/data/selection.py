"""What an experiment leaves out of a dataset: classes, and training samples so that classes are unequal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from clsbench.data.dividing import Part
from clsbench.data.preparation import Floats, Ints
from clsbench.data.raw import RawData
from clsbench.errors import DataError
from clsbench.problems import Problem


def only(raw: RawData, classes: Sequence[str]) -> RawData:
    """The samples of some classes, by name; they keep their order and are numbered anew.

    Raises:
        DataError: a class does not exist, or has no sample.
    """
    try:
        problem = raw.problem.only(classes)
    except ValueError as error:
        raise DataError(f"only_classes: {error}") from error
    kept = np.array([raw.class_names.index(name) for name in problem.names])
    rows = np.isin(raw.labels, kept)
    if lacking := [raw.class_names[number] for number in kept if not (raw.labels == number).any()]:
        raise DataError(f"only_classes: class {lacking[0]!r} has no sample")
    parts: dict[str, Any] = {"features": raw.features[rows], "labels": np.searchsorted(kept, raw.labels[rows])}
    for split, features, labels in (
        ("test", raw.test_features, raw.test_labels),
        ("val", raw.val_features, raw.val_labels),
    ):
        if features is not None and labels is not None:
            own = np.isin(labels, kept)
            if not own.any():
                raise DataError(f"only_classes: the {split} set has no sample of these classes")
            parts |= {f"{split}_features": features[own], f"{split}_labels": np.searchsorted(kept, labels[own])}
    whole = raw.posterior

    def posterior(features: Floats) -> Floats:
        """Bayes' rule, given that the sample is of one of these classes."""
        assert whole is not None
        among = whole(features)[:, kept]
        shares: Floats = among / among.sum(1, keepdims=True)
        return shares

    return replace(
        raw,
        **parts,
        num_classes=len(kept),
        class_names=problem.names,
        groups=None if raw.groups is None else raw.groups[rows],
        posterior=None if whole is None else posterior,
    )


def long_tailed(part: Part, ratio: float, problem: Problem, rng: np.random.Generator) -> Part:
    """Some samples of a split, so that the first of C classes has `ratio` times as many as the last.

    Class c keeps n ratio^(-c / (C - 1)) random samples, n being the largest number that every class can serve: in
    a balanced split, all of the first class.
    Source: Cui et al. 2019, Class-Balanced Loss Based on Effective Number of Samples; Cao et al. 2019, Learning
    Imbalanced Datasets with Label-Distribution-Aware Margin Loss.

    Raises:
        DataError: a class would keep no sample, or samples are not of one class each.
    """
    if not problem.exclusive:
        raise DataError(f"imbalance is for samples of one class each, and this is {problem.kind}; leave it out")
    labels, names = part.labels, problem.names
    counts = np.bincount(labels, minlength=len(names))
    shares = float(ratio) ** (-np.arange(len(names)) / (len(names) - 1))
    keep = np.rint((counts / shares).min() * shares).astype(np.int64)
    if keep.min() < 1:
        name = names[int(keep.argmin())]
        raise DataError(f"imbalance {ratio:g} leaves class {name!r} without training samples; use a smaller ratio")
    rows: list[Ints] = [rng.permutation(part.rows[labels == number])[:count] for number, count in enumerate(keep)]
    return replace(part, rows=np.sort(np.concatenate(rows)))
