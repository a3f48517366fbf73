"""Which sample is in which split.

All randomness comes from `split_seed`, one stream for each purpose: changing the validation fraction leaves the test
set as it is, unless other labels become too rare to be in every split.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from clsbench.data.preparation import Ints
from clsbench.data.raw import RawData
from clsbench.errors import DataError
from clsbench.problems import Problem

if TYPE_CHECKING:
    from clsbench.data.raw import Array

LIMIT, TEST, VAL, NOISE, TAIL = range(5)


@dataclass(frozen=True)
class Part:
    """Samples of a split: rows of raw features and of the labels beside them."""

    features: Array
    all_labels: Array
    rows: Ints

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> Array:
        """`[len(self)]`, or `[len(self), D]`, a copy."""
        found: Array = self.all_labels[self.rows]
        return found


@dataclass(frozen=True)
class Parts:
    """The samples of each split; `val` may be empty."""

    train: Part
    val: Part
    test: Part


def divided(
    raw: RawData,
    val_fraction: float,
    test_fraction: float | None,
    split_seed: int,
    limit: int | None,
    tested: Collection[bytes] = frozenset(),
) -> tuple[Parts, int]:
    """The samples of each split, and how many are held out because they are `tested`.

    Args:
        raw: checked data, from `as_raw`.
        val_fraction, test_fraction: fractions of the whole set, or of its training part if it has its own test set;
            `test_fraction` is None then, and only then. `val_fraction` is not used if the dataset has its own
            validation set.
        split_seed: seeds every random choice here.
        limit: the largest number of samples to keep, before splitting.
        tested: digests, from `tested_samples`, of samples to hold out. If some are found and the dataset has no test
            set of its own, they become the test set, and the others are split into training and validation in the
            proportion of the two fractions.

    Raises:
        DataError: a split would be empty, or a class has too few samples to be in each split.
    """
    _check_test_fraction(raw, test_fraction)
    whole = raw
    if tested:
        raw = _without(raw, tested)
        if raw.test_labels is not whole.test_labels and test_fraction is not None:
            val_fraction, test_fraction = val_fraction / (1 - test_fraction), None
    train, val, test = _rows(raw, val_fraction, test_fraction, split_seed, limit)
    parts = Parts(
        Part(raw.features, raw.labels, train),
        _own(raw.val_features, raw.val_labels) or Part(raw.features, raw.labels, val),
        _own(raw.test_features, raw.test_labels) or Part(raw.features, raw.labels, test),
    )
    return parts, len(whole.labels) - len(raw.labels)


def _own(features: Array | None, labels: Ints | None) -> Part | None:
    return None if features is None or labels is None else Part(features, labels, np.arange(len(labels)))


def tested_samples(
    raw: RawData, *, val_fraction: float, test_fraction: float | None, split_seed: int, limit: int | None
) -> set[bytes]:
    """Digests of the features of the samples that `split` would test; equal samples have equal digests.

    Raises:
        DataError: as `split`.
    """
    test = divided(raw, val_fraction, test_fraction, split_seed, limit)[0].test
    return set(digests(test.features, test.rows))


def _check_test_fraction(raw: RawData, test_fraction: float | None) -> None:
    own_test = raw.test_labels is not None
    if own_test != (test_fraction is None):
        hint = "leave test_fraction out" if own_test else "give a test_fraction"
        raise DataError(f"the dataset {'brings its own' if own_test else 'has no'} test set; {hint}")


def _without(raw: RawData, tested: Collection[bytes]) -> RawData:
    """The dataset without the samples in `tested`, which become its test set if it has none of its own."""
    held_out = np.array([digest in tested for digest in digests(raw.features, np.arange(len(raw.labels)))])
    if not held_out.any():
        return raw
    kept = ~held_out
    strata = raw.problem.strata(raw.labels)
    gone = (np.bincount(strata) > 0) & (np.bincount(strata[kept], minlength=strata.max() + 1) == 0)
    if gone.any() and (raw.problem.exclusive or not kept.any()):
        raise DataError(f"no sample{_of_stratum(raw.problem, int(gone.argmax()))} is left")
    groups = None if raw.groups is None else raw.groups[kept]
    rest = replace(raw, features=raw.features[kept], labels=raw.labels[kept], groups=groups)
    if raw.test_labels is not None:
        return rest
    return replace(rest, test_features=raw.features[held_out], test_labels=raw.labels[held_out])


def digests(features: Array, rows: Ints) -> list[bytes]:
    """A hash of each of these samples; equal samples have equal ones."""
    return [hashlib.blake2b(features[row].tobytes(), digest_size=16).digest() for row in rows]


def _rows(
    raw: RawData, val_fraction: float, test_fraction: float | None, split_seed: int, limit: int | None
) -> tuple[Ints, Ints, Ints]:
    """Rows for training, validation and test."""
    strata = raw.problem.strata(raw.labels)
    chosen = _limited(strata, limit, split_seed)
    fractions = {"val": val_fraction if raw.val_labels is None else 0.0, "test": test_fraction or 0.0}
    sizes = {name: round(fraction * len(chosen)) for name, fraction in fractions.items()}
    for name, fraction in fractions.items():
        if (fraction > 0 or (name == "test" and raw.test_labels is None)) and sizes[name] == 0:
            raise DataError(
                f"{name}_fraction {fraction:g} of {len(chosen)} samples is 0 samples; increase one of the two"
            )
    if raw.groups is not None:
        return _grouped(raw.groups, strata, chosen, sizes, split_seed)
    if not raw.problem.exclusive:
        strata = _in_every_split(strata, chosen, sizes)
    return _stratified(raw, strata, chosen, sizes, split_seed)


def _limited(strata: Ints, limit: int | None, seed: int) -> Ints:
    """Rows of at most `limit` samples, in order, the classes in proportion."""
    rows = np.arange(len(strata))
    if limit is None or limit >= len(strata):
        return rows
    counts = np.bincount(strata)
    return _draw(rows, strata, _allot(limit, counts, counts), rng_for(seed, LIMIT))


def _in_every_split(strata: Ints, chosen: Ints, sizes: Mapping[str, int]) -> Ints:
    """The strata of which every split would have a sample or more; the samples of all others are one more."""
    rest = len(chosen) - sum(sizes.values())
    smallest = min(size for size in (*sizes.values(), rest) if size > 0)
    counts = np.bincount(strata[chosen], minlength=strata.max() + 1)
    return np.where(counts[strata] * smallest < len(chosen), len(counts), strata)


def _stratified(
    raw: RawData, strata: Ints, chosen: Ints, sizes: Mapping[str, int], seed: int
) -> tuple[Ints, Ints, Ints]:
    """Rows for training, validation and test, each in order, the strata in proportion, one of each at least."""
    parts = 1 + sum(size > 0 for size in sizes.values())
    present = np.bincount(strata) > 0
    counts = np.bincount(strata[chosen], minlength=len(present))
    _check_members(raw.problem, present, counts, parts)

    # One of each stratum stays in the training split, and one, if there are three, is left for validation.
    num_strata = int((counts > 0).sum())
    in_val, in_test = (max(sizes[name], num_strata) if sizes[name] else 0 for name in ("val", "test"))
    spare = np.maximum(counts - 1, 0)
    for_test = np.where(counts > 2, counts - 2, spare)
    if in_test > for_test.sum() or in_val + in_test > spare.sum():
        raise DataError("val_fraction and test_fraction leave too little to train on; make them smaller")
    tested = _allot(in_test, counts, for_test)
    test = _draw(chosen, strata[chosen], tested, rng_for(seed, TEST))
    rest = np.setdiff1d(chosen, test, assume_unique=True)
    val = _draw(rest, strata[rest], _allot(in_val, counts, spare - tested), rng_for(seed, VAL))
    return np.setdiff1d(rest, val, assume_unique=True), val, test


def _grouped(groups: Ints, strata: Ints, chosen: Ints, sizes: Mapping[str, int], seed: int) -> tuple[Ints, Ints, Ints]:
    """Rows for training, validation and test, each in order: whole groups, the strata about in proportion.

    The largest groups are given away first, each to the split that lacks most of its samples; equal ones at random.
    """
    _, group_of = np.unique(groups[chosen], return_inverse=True)
    members = np.zeros((group_of.max() + 1, strata.max() + 1), np.int64)
    np.add.at(members, (group_of, strata[chosen]), 1)
    totals = members.sum(0)
    shares = np.array([len(chosen) - sizes["val"] - sizes["test"], sizes["val"], sizes["test"]]) / len(chosen)
    lacking = shares[:, None] * totals
    order = rng_for(seed, TEST).permutation(len(members))
    split_of = np.zeros(len(members), np.int64)
    for group in order[np.argsort(-members[order].sum(1), kind="stable")]:
        split_of[group] = np.argmax(np.where(shares > 0, lacking @ (members[group] / np.maximum(totals, 1)), -np.inf))
        lacking[split_of[group]] -= members[group]
    train, val, test = (chosen[split_of[group_of] == part] for part in range(3))
    for name, rows, share in zip(("training", "validation", "test"), (train, val, test), shares, strict=True):
        if share > 0 and not len(rows):
            raise DataError(f"{len(members)} groups are too few: none is left for {name}; use smaller groups")
    return train, val, test


def _check_members(problem: Problem, present: npt.NDArray[np.bool_], counts: Ints, parts: int) -> None:
    few = present & (counts < parts)
    if counts.sum() < parts:
        raise DataError(f"{counts.sum()} samples are too few for {parts} splits; give {parts} or more")
    if few.any() and problem.exclusive:
        name, have = problem.names[int(few.argmax())], int(counts[few.argmax()])
        raise DataError(
            f"class {name!r} has {have} of the {counts.sum()} samples, too few for {parts} splits; "
            f"every class needs {parts} or more"
        )


def _of_stratum(problem: Problem, number: int) -> str:
    return f" of class {problem.names[number]!r}" if problem.exclusive else ""


def _allot(size: int, counts: Ints, most: Ints) -> Ints:
    """How many samples of each stratum sum to `size`, in proportion to `counts` by the largest remainder.

    At most `most` of each, and one at least if `size` and `most` allow it.
    """
    # In integers, so that equal strata tie exactly and the lower number comes first on every machine.
    taken: Ints = np.minimum(size * counts // counts.sum(), most)
    while short := size - int(taken.sum()):
        open_to_more = np.flatnonzero(taken < most)
        surplus = (taken * counts.sum() - size * counts)[open_to_more]
        taken[open_to_more[np.argsort(surplus, kind="stable")[:short]]] += 1
    for empty in np.flatnonzero((taken == 0) & (most > 0)):
        surplus = np.where(taken > 1, taken * counts.sum() - size * counts, np.iinfo(np.int64).min)
        if taken.max() < 2:
            break
        taken[surplus.argmax()] -= 1
        taken[empty] = 1
    return taken


def _draw(rows: Ints, strata: Ints, how_many: Ints, rng: np.random.Generator) -> Ints:
    """`how_many` random rows of each stratum, in order."""
    drawn = np.concatenate([rng.permutation(rows[strata == s])[:n] for s, n in enumerate(how_many)])
    return np.sort(drawn)


def rng_for(seed: int, purpose: int) -> np.random.Generator:
    return np.random.default_rng([seed, purpose])
