"""From raw samples to a network's inputs: missing values filled in, categories one-hot encoded, numbers scaled.

All of it is fitted on the training split, and kept with the weights that were trained on it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from clsbench.data.raw import Column, RawData, name_of
from clsbench.errors import DataError

if TYPE_CHECKING:
    from clsbench.data.raw import Array, Marks

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Normalize = Literal["standard", "unit", "none"]

# Values per chunk of float64 arithmetic: they stay in a core's cache, four times as fast as a million.
CHUNK = 1 << 17


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    shape: list[int]
    columns: list[tuple[str, str, list[str]]]
    known: dict[int, list[int]]
    fill: list[float] | None
    shift: Any
    scale: Any
    full_scale: float | None = None
    marks: tuple[str, str] | None = None
    learned: dict[str, list[float]] = {}


@dataclass(frozen=True)
class Preparation:
    """What is done to a raw sample before a network sees it.

    Attributes:
        shape: of a raw sample: `(columns,)` of a table, `(C, H, W)` of an image.
        columns: those of a table; empty if they have no names.
        known: of each column of categories, by its number, the categories that occur in the training split.
        fill: `[columns]`, what a missing value is replaced by; None if none may be missing.
        shift, scale: an encoded sample x becomes (x - shift) / scale; broadcast over it.
        full_scale: the largest value of a raw pixel; None if the samples are not images.
        marks: the delimiter and the decimal mark of the table; None if it was none of text, or by an earlier version.
        learned: the facts of the problem that were learned from the training targets.
    """

    shape: tuple[int, ...]
    columns: tuple[Column, ...]
    known: dict[int, Ints]
    fill: Floats | None
    shift: Floats
    scale: Floats
    full_scale: float | None = None
    marks: Marks | None = None
    learned: Mapping[str, Any] = field(default_factory=dict)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of a prepared sample: each column of categories has an input for every known one."""
        if not self.known:
            return self.shape
        return (len(self._columns),)

    def __call__(self, features: Array, rows: Ints, dtype: npt.DTypeLike = np.float32) -> Array:
        """`features[rows]`, `[N, *shape]`, as inputs of a network, `[len(rows), *input_shape]`.

        Raises:
            DataError: a prepared value is not finite in `dtype`.
        """
        out = np.empty((len(rows), *self.input_shape), dtype)
        chunks, done = _chunks(features, rows), 0
        scratch = np.empty((max(map(len, chunks), default=0), *self.input_shape))  # new memory would be cleared first
        for chunk in chunks:
            values, room = out[done : done + len(chunk)], scratch[: len(chunk)]
            done += len(chunk)
            with np.errstate(over="ignore", invalid="ignore"):
                np.subtract(self._encoded(features[chunk]), self.shift, out=room)
                values[...] = np.divide(room, self.scale, out=room)
            if not np.isfinite(values).all():
                row, *place = (int(i) for i in np.argwhere(~np.isfinite(values))[0])
                origin = self._origin(place)
                raise DataError(
                    f"{name_of(self.columns, origin)} has {features[chunk[row]][tuple(origin)]:g} in row {chunk[row]}, "
                    f"which is {values[row][tuple(place)]:g} once normalised, in {np.dtype(dtype)}; rescale it, or "
                    "leave it out"
                )
        return out

    def unseen(self, features: Array, rows: Ints) -> dict[str, int]:
        """How many of these rows have a category that is not known, by column; columns without any are left out."""
        found = {}
        for place, known in self.known.items():
            values = features[rows, place]
            count = int((~np.isin(values, known) & ~np.isnan(values.astype(np.float64))).sum())
            if count:
                found[self.columns[place].name] = count
        return found

    def _encoded(self, features: Array) -> Array:
        """Missing values filled in, categories one-hot."""
        if self.fill is not None:
            features = np.where(np.isnan(features), self.fill, features)
        if not self.known:
            return features
        encoded = features[:, self._columns].astype(np.float64)
        for place, known in self.known.items():
            inputs = self._columns == place
            encoded[:, inputs] = encoded[:, inputs] == known
        return encoded

    @cached_property
    def _columns(self) -> Ints:
        """The column that each input of a table comes from."""
        return np.repeat(np.arange(self.shape[0]), [len(self.known.get(i, (0,))) for i in range(self.shape[0])])

    def _origin(self, place: Sequence[int]) -> list[int]:
        """The place in a raw sample of a place in a prepared one."""
        return [int(self._columns[place[0]])] if self.known else list(place)

    def to_json(self) -> str:
        """All of it as text, from which `from_json` makes an equal one."""
        return json.dumps(
            {
                "shape": list(self.shape),
                "columns": [(each.name, each.kind, list(each.categories)) for each in self.columns],
                "known": {place: known.tolist() for place, known in self.known.items()},
                "fill": None if self.fill is None else self.fill.tolist(),
                "shift": self.shift.tolist(),
                "scale": self.scale.tolist(),
                "full_scale": self.full_scale,
                "marks": self.marks,
                **({"learned": dict(self.learned)} if self.learned else {}),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Preparation:
        """The preparation that gave this text.

        Raises:
            ValueError: it is not such a text.
        """
        try:
            kept = _Kept.model_validate_json(text)
        except ValidationError as error:
            raise ValueError(f"not a preparation: {error.errors()[0]['msg']}") from error
        columns: Any = [Column(name, kind, tuple(names)) for name, kind, names in kept.columns]  # type: ignore[arg-type]
        return cls(
            shape=tuple(kept.shape),
            columns=tuple(columns),
            known={place: np.array(known, np.int64) for place, known in kept.known.items()},
            fill=None if kept.fill is None else np.array(kept.fill, np.float64),
            shift=np.array(kept.shift, np.float64),
            scale=np.array(kept.scale, np.float64),
            full_scale=kept.full_scale,
            marks=kept.marks,
            learned=kept.learned,
        )


def fitted(
    raw: RawData, train: Ints, normalize: Normalize, learned: Mapping[str, Any] = MappingProxyType({})
) -> Preparation:
    """The preparation of a dataset, from the rows of its training split.

    `normalize`: `standard` subtracts the mean and divides by the standard deviation; `unit` divides pixels by their
    full scale and maps each other feature's range to [0, 1]. One-hot encoded categories and booleans stay 0 and 1;
    constant features become 0.

    Raises:
        DataError: a column has no value in the training split, or one that cannot be scaled by.
    """
    known = {
        place: np.unique(values[~np.isnan(values)]).astype(np.int64)
        for place, column in enumerate(raw.table)
        if column.kind == "category"
        for values in [raw.features[train, place].astype(np.float64)]
    }
    fill = None if raw.fill is None else _fill(raw, train)
    plain = Preparation(
        tuple(raw.features.shape[1:]),
        raw.table,
        known,
        fill,
        np.zeros(1),
        np.ones(1),
        raw.full_scale,
        raw.marks,
        learned,
    )
    if normalize == "none":
        return plain
    if normalize == "unit" and raw.full_scale is not None:
        return replace(plain, scale=np.full(1, raw.full_scale))
    shift, scale = _scaling(raw, plain, train, normalize)
    return replace(plain, shift=shift, scale=scale)


def _fill(raw: RawData, train: Ints) -> Floats:
    """What replaces the missing values of each column."""
    found = np.zeros(raw.features.shape[1])
    for place in range(len(found)):
        values = raw.features[train, place].astype(np.float64)
        values = values[~np.isnan(values)]
        if not len(values):
            raise DataError(f"{raw.name_of([place])} has no value in the training split; leave it out")
        if raw.fill == "mean" and (not raw.columns or raw.table[place].kind == "number"):
            found[place] = values.mean()
        else:
            distinct, counts = np.unique(values, return_counts=True)
            found[place] = distinct[counts.argmax()]
    return found


def _scaling(raw: RawData, plain: Preparation, train: Ints, normalize: Normalize) -> tuple[Floats, Floats]:
    """What to subtract and to divide by, broadcast over one encoded sample."""
    x = raw.features
    axes = (0, 2, 3) if x.ndim == 4 else (0,)

    chunks = _chunks(x, train)
    scratch = np.empty_like(plain._encoded(x[chunks[0]]), np.float64)  # on whose layout the bits of a sum depend
    with np.errstate(over="ignore", invalid="ignore"):
        extents = (_extent(plain._encoded(x[rows]), axes) for rows in chunks)
        low, high, total = next(extents)
        for each in extents:
            low, high, total = np.minimum(low, each[0]), np.maximum(high, each[1]), total + each[2]
        low, high = low.astype(np.float64), high.astype(np.float64)
        constant = low == high
        if normalize == "unit":
            shift, scale = low, high - low
        else:
            count = len(train) * (x.shape[2] * x.shape[3] if x.ndim == 4 else 1)
            shift = total / count
            squares = np.zeros_like(shift)
            for rows in chunks:
                room = np.subtract(plain._encoded(x[rows]), shift, out=scratch[: len(rows)])
                squares += np.sum(np.square(room, out=room), axis=axes, keepdims=True)[0]
            scale = np.sqrt(squares / count)
    # Rounding can give a constant feature a tiny standard deviation, which would be scaled up to 1.
    shift, scale = np.where(constant, low, shift), np.where(constant, 1.0, scale)
    if raw.columns:
        zero_or_one = np.array([column.kind != "number" for column in raw.table])[plain._columns]
        shift, scale = np.where(zero_or_one, 0.0, shift), np.where(zero_or_one, 1.0, scale)
    usable = np.isfinite(shift) & np.isfinite(scale) & (scale >= np.finfo(np.float64).tiny)
    if not usable.all():
        place = tuple(int(i) for i in np.argwhere(~usable)[0])
        name = raw.name_of(plain._origin(place))
        raise DataError(
            f"{name} cannot be normalised: its training values, from {low[place]:g} to {high[place]:g}, "
            f"have the {'range' if normalize == 'unit' else 'standard deviation'} {scale[place]:g} in float64; "
            "rescale it, or leave it out"
        )
    return shift, scale


def _extent(rows: Array, axes: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """The smallest and largest value and the sum, over these axes of some samples, broadcast over one sample."""
    low, high = rows.min(axis=axes, keepdims=True)[0], rows.max(axis=axes, keepdims=True)[0]
    total: Array = np.sum(rows, axis=axes, keepdims=True, dtype=np.float64)[0]  # type: ignore[index]  # not a number
    return low, high, total


def _chunks(x: Array, rows: Ints) -> list[Ints]:
    # A float64 copy of 60,000 8-bit images would take eight times their memory.
    step = max(1, CHUNK // max(1, x[0].size))
    return [rows[start : start + step] for start in range(0, len(rows), step)]
