"""The tensors that training sees: chosen, split by class, normalised.

All randomness comes from `split_seed`, one stream for each purpose: changing the label noise leaves the split as
it is, and changing the validation fraction leaves the test set as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from clsbench.data.raw import RawData
from clsbench.errors import DataError
from clsbench.problems import Problem
from clsbench.results import DatasetFacts

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Normalize = Literal["standard", "unit", "none"]

LIMIT, TEST, VAL, NOISE = range(4)
# Values per chunk of float64 arithmetic: they stay in a core's cache, four times as fast as a million.
CHUNK = 1 << 17


@dataclass(frozen=True)
class Tensors:
    """Samples and their classes: `x` [N, *shape], `y` [N], numbered from 0."""

    x: torch.Tensor
    y: torch.Tensor

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Splits:
    """Training, validation and test data; `val` is None if there is no validation data.

    `held_out` counts the samples that are excluded because other seeds test them.
    """

    train: Tensors
    val: Tensors | None
    test: Tensors
    shape: tuple[int, ...]
    problem: Problem
    held_out: int = 0

    @cached_property
    def hashes(self) -> dict[str, str | None]:
        """The SHA-256 of each split, None for an empty one: of types, shapes and all values, on any device."""
        splits = {"train": self.train, "val": self.val, "test": self.test}
        return {name: None if tensors is None else _hash_of(tensors) for name, tensors in splits.items()}

    @property
    def hash(self) -> str:
        """One SHA-256 for all splits."""
        return hashlib.sha256(repr(self.hashes).encode()).hexdigest()

    @property
    def facts(self) -> DatasetFacts:
        """The metadata of the splits, as plain values."""
        sizes: Any = {
            "shape": list(self.shape),
            **self.problem.facts,
            "train": len(self.train),
            "val": len(self.val) if self.val else 0,
            "test": len(self.test),
        }
        facts: DatasetFacts = sizes
        return facts


def _hash_of(tensors: Tensors) -> str:
    digest = hashlib.sha256()
    for tensor in (tensors.x, tensors.y):
        values = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{values.dtype.str} {values.shape} ".encode())
        digest.update(values.data)
    return digest.hexdigest()


def split(
    raw: RawData,
    *,
    val_fraction: float = 0.2,
    test_fraction: float | None = None,
    split_seed: int = 0,
    normalize: Normalize = "standard",
    label_noise: float = 0.0,
    limit: int | None = None,
    tested: Collection[bytes] = frozenset(),
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Splits:
    """Choose, split and normalise a dataset.

    Args:
        raw: checked data, from `as_raw`.
        val_fraction, test_fraction: fractions of the whole set, or of its training part if it has its own test set;
            `test_fraction` is None then, and only then.
        split_seed: seeds every random choice here.
        normalize: `standard` uses the mean and standard deviation of the training split (one pair per channel of
            images); `unit` divides by the full scale, or maps the range of each feature in the training split to
            [0, 1]; constant features become 0.
        label_noise: fraction of the training labels replaced by another class, each equally likely.
        limit: the largest number of samples to keep, before splitting.
        tested: digests, from `tested_samples`, of samples to hold out. If some are found and the dataset has no test
            set of its own, they become the test set, and the others are split into training and validation in the
            proportion of the two fractions.

    Raises:
        DataError: a split would be empty, a class has too few samples to be in each split, or a normalised value is
            not finite.
    """
    _check_test_fraction(raw, test_fraction)
    whole = raw
    if tested:
        raw = _without(raw, tested)
        if raw.test_labels is not whole.test_labels and test_fraction is not None:
            val_fraction, test_fraction = val_fraction / (1 - test_fraction), None
    train, val, test = _rows(raw, val_fraction, test_fraction, split_seed, limit)
    shift, scale = _normalisation(raw, train, normalize)

    def tensors(features: Array, rows: Ints, labels: Ints) -> Tensors:
        x = _normalised(raw, features, rows, (shift, scale), np.float64 if dtype == torch.float64 else np.float32)
        return Tensors(torch.from_numpy(x).to(device, dtype), torch.from_numpy(labels).to(device))

    if raw.test_features is not None and raw.test_labels is not None:
        test_tensors = tensors(raw.test_features, np.arange(len(raw.test_labels)), raw.test_labels.copy())
    else:
        test_tensors = tensors(raw.features, test, raw.labels[test])
    noisy = raw.problem.corrupted(raw.labels[train], label_noise, _rng(split_seed, NOISE))
    return Splits(
        train=tensors(raw.features, train, noisy),
        val=tensors(raw.features, val, raw.labels[val]) if len(val) else None,
        test=test_tensors,
        shape=tuple(raw.features.shape[1:]),
        problem=raw.problem,
        held_out=len(whole.labels) - len(raw.labels),
    )


def tested_samples(
    raw: RawData, *, val_fraction: float, test_fraction: float | None, split_seed: int, limit: int | None
) -> set[bytes]:
    """Digests of the features of the samples that `split` would test; equal samples have equal digests.

    Raises:
        DataError: as `split`.
    """
    _check_test_fraction(raw, test_fraction)
    if raw.test_features is not None:
        return set(_digests(raw.test_features))
    _, _, test = _rows(raw, val_fraction, test_fraction, split_seed, limit)
    return set(_digests(raw.features[test]))


def _check_test_fraction(raw: RawData, test_fraction: float | None) -> None:
    own_test = raw.test_labels is not None
    if own_test != (test_fraction is None):
        hint = "leave test_fraction out" if own_test else "give a test_fraction"
        raise DataError(f"the dataset {'brings its own' if own_test else 'has no'} test set; {hint}")


def _without(raw: RawData, tested: Collection[bytes]) -> RawData:
    """The dataset without the samples in `tested`, which become its test set if it has none of its own."""
    held_out = np.array([digest in tested for digest in _digests(raw.features)])
    if not held_out.any():
        return raw
    kept = ~held_out
    gone = (np.bincount(raw.labels) > 0) & (np.bincount(raw.labels[kept], minlength=raw.labels.max() + 1) == 0)
    if gone.any():
        raise DataError(f"no sample of class {raw.class_names[int(gone.argmax())]!r} is left")
    rest = replace(raw, features=raw.features[kept], labels=raw.labels[kept])
    if raw.test_labels is not None:
        return rest
    return replace(rest, test_features=raw.features[held_out], test_labels=raw.labels[held_out])


def _digests(features: Array) -> list[bytes]:
    return [hashlib.blake2b(row.tobytes(), digest_size=16).digest() for row in features]


def _rows(
    raw: RawData, val_fraction: float, test_fraction: float | None, split_seed: int, limit: int | None
) -> tuple[Ints, Ints, Ints]:
    """Rows for training, validation and test."""
    strata = raw.problem.strata(raw.labels)
    chosen = _limited(strata, limit, split_seed)
    return _stratified(raw, strata, chosen, val_fraction, test_fraction or 0.0, split_seed)


def _limited(strata: Ints, limit: int | None, seed: int) -> Ints:
    """Rows of at most `limit` samples, in order, the classes in proportion."""
    rows = np.arange(len(strata))
    if limit is None or limit >= len(strata):
        return rows
    counts = np.bincount(strata)
    return _draw(rows, strata, _allot(limit, counts, counts), _rng(seed, LIMIT))


def _stratified(
    raw: RawData, strata: Ints, chosen: Ints, val_fraction: float, test_fraction: float, seed: int
) -> tuple[Ints, Ints, Ints]:
    """Rows for training, validation and test, each in order, the strata in proportion."""
    sizes = {"val": round(val_fraction * len(chosen)), "test": round(test_fraction * len(chosen))}
    for name, fraction in (("val", val_fraction), ("test", test_fraction)):
        if (fraction > 0 or (name == "test" and raw.test_labels is None)) and sizes[name] == 0:
            raise DataError(
                f"{name}_fraction {fraction:g} of {len(chosen)} samples is 0 samples; increase one of the two"
            )
    parts = 1 + sum(size > 0 for size in sizes.values())
    names = raw.problem.names
    counts = np.bincount(strata[chosen], minlength=len(names))
    _check_members(names, np.bincount(strata, minlength=len(names)) > 0, counts, parts)

    # At least one sample of each stratum stays in the training split.
    spare = np.maximum(counts - 1, 0)
    if sizes["val"] + sizes["test"] > spare.sum():
        raise DataError("val_fraction and test_fraction leave too little to train on; make them smaller")
    in_test = _allot(sizes["test"], counts, spare)
    test = _draw(chosen, strata[chosen], in_test, _rng(seed, TEST))
    rest = np.setdiff1d(chosen, test, assume_unique=True)
    in_val = _allot(sizes["val"], counts, spare - in_test)
    val = _draw(rest, strata[rest], in_val, _rng(seed, VAL))
    train = np.setdiff1d(rest, val, assume_unique=True)
    return train, val, test


def _check_members(names: Sequence[str], present: npt.NDArray[np.bool_], counts: Ints, parts: int) -> None:
    few = present & (counts < parts)
    if few.any():
        name, have = names[int(few.argmax())], int(counts[few.argmax()])
        raise DataError(
            f"class {name!r} has {have} of the {counts.sum()} samples, too few for {parts} splits; "
            f"every class needs {parts} or more"
        )


def _allot(size: int, counts: Ints, most: Ints) -> Ints:
    """How many samples of each stratum sum to `size` in proportion to `counts`: largest remainder, at most `most`."""
    # In integers, so that equal strata tie exactly and the lower number comes first on every machine.
    taken: Ints = np.minimum(size * counts // counts.sum(), most)
    while short := size - int(taken.sum()):
        open_to_more = np.flatnonzero(taken < most)
        surplus = (taken * counts.sum() - size * counts)[open_to_more]
        taken[open_to_more[np.argsort(surplus, kind="stable")[:short]]] += 1
    return taken


def _draw(rows: Ints, strata: Ints, how_many: Ints, rng: np.random.Generator) -> Ints:
    """`how_many` random rows of each stratum, in order."""
    drawn = np.concatenate([rng.permutation(rows[strata == s])[:n] for s, n in enumerate(how_many)])
    return np.sort(drawn)


def _normalisation(raw: RawData, train: Ints, normalize: Normalize) -> tuple[Array, Array]:
    """What to subtract and to divide by, broadcast over one sample.

    Raises:
        DataError: the range of a feature's training values is too large or too small to scale by.
    """
    if normalize == "none":
        return np.zeros(1), np.ones(1)
    if normalize == "unit" and raw.full_scale is not None:
        return np.zeros(1), np.full(1, raw.full_scale)
    x = raw.features
    axes = (0, 2, 3) if x.ndim == 4 else (0,)
    low = np.min([x[rows].min(axis=axes, keepdims=True)[0] for rows in _chunks(x, train)], axis=0).astype(np.float64)
    high = np.max([x[rows].max(axis=axes, keepdims=True)[0] for rows in _chunks(x, train)], axis=0).astype(np.float64)
    constant = low == high
    with np.errstate(over="ignore", invalid="ignore"):
        shift, scale = (low, high - low) if normalize == "unit" else _moments(x, train, axes)
    # Rounding can give a constant feature a tiny standard deviation, which would be scaled up to 1.
    shift, scale = np.where(constant, low, shift), np.where(constant, 1.0, scale)
    usable = np.isfinite(shift) & np.isfinite(scale) & (scale >= np.finfo(np.float64).tiny)
    if not usable.all():
        place = tuple(int(i) for i in np.argwhere(~usable)[0])
        raise DataError(
            f"{raw.name_of(place)} cannot be normalised: its training values, from {low[place]:g} to {high[place]:g}, "
            f"have the {'range' if normalize == 'unit' else 'standard deviation'} {scale[place]:g} in float64; "
            "rescale it, or leave it out"
        )
    return shift, scale


def _moments(x: Array, rows: Ints, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Mean and population standard deviation of `x[rows]` over `axes`, in float64, a chunk of rows at a time."""
    others = np.prod([n for axis, n in enumerate(x.shape) if axis not in axes], dtype=int)
    count = len(rows) * x[0].size // others
    mean = sum(np.sum(x[chunk], axis=axes, keepdims=True, dtype=np.float64) for chunk in _chunks(x, rows)) / count
    squares = sum(np.sum(np.square(x[chunk] - mean), axis=axes, keepdims=True) for chunk in _chunks(x, rows))
    return mean[0], np.sqrt(squares / count)[0]


def _normalised(raw: RawData, features: Array, rows: Ints, scaling: tuple[Array, Array], dtype: npt.DTypeLike) -> Array:
    shift, scale = scaling
    out = np.empty((len(rows), *features.shape[1:]), dtype)
    done = 0
    for chunk in _chunks(features, rows):
        values = out[done : done + len(chunk)]
        done += len(chunk)
        with np.errstate(over="ignore", invalid="ignore"):
            values[...] = (features[chunk] - shift) / scale
        if not np.isfinite(values).all():
            row, *place = (int(i) for i in np.argwhere(~np.isfinite(values))[0])
            raise DataError(
                f"{raw.name_of(place)} has {features[chunk[row]][tuple(place)]:g} in row {chunk[row]}, which is "
                f"{values[row][tuple(place)]:g} once normalised, in {np.dtype(dtype)}; rescale it, or leave it out"
            )
    return out


def _chunks(x: Array, rows: Ints) -> list[Ints]:
    # A float64 copy of 60,000 8-bit images would take eight times their memory.
    step = max(1, CHUNK // max(1, x[0].size))
    return [rows[start : start + step] for start in range(0, len(rows), step)]


def _rng(seed: int, purpose: int) -> np.random.Generator:
    return np.random.default_rng([seed, purpose])
