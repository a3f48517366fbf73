"""Data that are handed over in Python: arrays, tensors or data frames."""

from __future__ import annotations

from typing import Any

from clsbench.data.raw import Column, RawData, as_kind, as_raw
from clsbench.data.targets import SINGLE_LABEL, read_as
from clsbench.errors import DataError
from clsbench.problems import Problem
from clsbench.registry import ProblemName, dataset

ARRAYS = "arrays"  # the dataset's name

_held: RawData | None = None


@dataset(ARRAYS, drawn=False)
def arrays(seed: int) -> RawData:
    """The samples and labels that `clsbench.compare` was called with, in this process."""
    if _held is None:
        raise DataError("arrays are handed over in Python; call clsbench.compare(losses, X, y) with them")
    return _held


def hold(X: Any, y: Any, asked: ProblemName | None) -> Problem:
    """Make these the data of `arrays`, instead of those before, and say which problem they pose.

    Args:
        X: [N, features], or [N, ...] such as images [N, C, H, W]: an array, a tensor or a data frame, of which columns
            of text are categories.
        y: [N] or [N, D]: labels of one class, numbers or text; or numbers, a column for each label, value or
            probability. Classes are sorted; a column of categories keeps their order.
        asked: the kind of problem; None for what y looks like.

    Raises:
        DataError: they are unusable; the message names the column or the row.
    """
    global _held
    _require_one_order(X, y)
    features, columns = _features(X)
    kind, targets, names = _targets(y, asked)
    full_scale = _full_scale(features)
    raw = as_raw(RawData(features, targets, len(names), names, columns=columns, full_scale=full_scale, kind=kind))
    _held = raw if asked is None else as_kind(raw, asked)
    return _held.problem


def _require_one_order(X: Any, y: Any) -> None:
    """Refuse a data frame and labels whose rows have the same names in two orders."""
    ours, theirs = (getattr(part, "index", None) for part in (X, y))
    if ours is None or theirs is None or not (hasattr(ours, "equals") and hasattr(theirs, "equals")):
        return
    if not ours.equals(theirs) and ours.sort_values().equals(theirs.sort_values()):
        raise DataError("X and y have the same rows in two orders; bring y into that of X: y.loc[X.index]")


def _features(X: Any) -> tuple[Any, tuple[Column, ...]]:
    """The features as an array, and the columns of a data frame."""
    import numpy as np

    if hasattr(X, "toarray"):
        raise DataError("X is a sparse matrix; give X.toarray()")
    if not (hasattr(X, "columns") and hasattr(X, "to_numpy")):
        return _array(X), ()
    names = list(map(str, X.columns))
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise DataError(f"X has two columns {twice!r}; give every column a name of its own")
    found = [_column(name, X[key]) for name, key in zip(names, X.columns, strict=True)]
    features = np.stack([values for values, _ in found], axis=1) if found else np.empty((len(X), 0))
    return features, tuple(column for _, column in found)


def _column(name: str, given: Any) -> tuple[Any, Column]:
    """A column of a data frame as numbers: of text the number of each word, of truth values 0 and 1."""
    import numpy as np

    values = np.asarray(given)
    if values.dtype.kind in "iu":
        return values, Column(name)
    if values.dtype.kind == "b":
        return values, Column(name, "boolean")
    missing = np.isnan(values) if values.dtype.kind == "f" else np.array([_is_missing(value) for value in values])
    if missing.any():
        row = int(missing.argmax())
        raise DataError(f"column {name!r} of X has no value in row {row}; fill it, or leave the row out")
    if values.dtype.kind == "f":
        return values, Column(name)
    if all(isinstance(value, bool | np.bool_) for value in values):
        return values.astype(bool), Column(name, "boolean")
    if all(isinstance(value, int | float | np.number) for value in values):
        return values.astype(float), Column(name)
    if not all(isinstance(value, str) for value in values):
        raise DataError(f"column {name!r} of X is of type {values.dtype}; give numbers, truth values or text")
    words, numbers = np.unique(values.astype(str), return_inverse=True)
    return numbers, Column(name, "category", tuple(words.tolist()))


def _targets(y: Any, asked: ProblemName | None) -> tuple[ProblemName, Any, tuple[str, ...]]:
    """The kind of problem, the targets of the samples, and the names of classes, labels or values."""
    import numpy as np

    # A list is taken as it is: numpy would make text of a number beside text.
    values = np.array(y, object) if isinstance(y, list | tuple) else _array(y)
    if values.ndim not in (1, 2) or not values.size:
        raise DataError(
            f"y has shape {list(values.shape)}; give one label for each sample, or a column for each target"
        )
    columns = values.reshape(len(values), -1)
    categories = getattr(getattr(y, "dtype", None), "categories", None)
    numbers = None if categories is not None else _numbers(columns)
    if numbers is None and columns.shape[1] > 1:
        raise DataError(f"y has {columns.shape[1]} columns, not all of numbers; give numbers, or one column of classes")
    kind = SINGLE_LABEL if numbers is None else read_as(numbers, asked)
    if kind == SINGLE_LABEL:
        return (kind, *_labels(columns[:, 0], categories))
    return kind, numbers, _names(y, columns.shape[1])


def _numbers(columns: Any) -> Any:
    """Targets `[N, D]` as numbers; None if some are none."""
    import numpy as np

    are_numbers = columns.dtype.kind in "buif"
    if columns.dtype.kind == "O":
        are_numbers = all(isinstance(value, bool | int | float | np.number | np.bool_) for value in columns.flat)
    return columns.astype(np.float64) if are_numbers else None


def _names(y: Any, number: int) -> tuple[str, ...]:
    """The names of the columns of y: those of a data frame, else their numbers; `y` if there is one without a name."""
    given = getattr(y, "columns", None)
    if given is None:
        one = getattr(y, "name", None)
        given = range(number) if number > 1 else ["y" if one is None else one]
    return tuple(map(str, given))


def _labels(values: Any, categories: Any) -> tuple[Any, tuple[str, ...]]:
    """The number of each label's class, and the names of the classes."""
    import numpy as np

    plain = _plain(values)
    classes = np.unique(plain) if categories is None else np.array([c for c in categories if c in set(plain)])
    place_of = {each: place for place, each in enumerate(classes.tolist())}
    return np.array([place_of[each] for each in plain.tolist()], np.int64), tuple(map(str, classes.tolist()))


def _plain(values: Any) -> Any:
    """Labels as integers or as text."""
    import numpy as np

    if values.dtype.kind == "O":
        for row, value in enumerate(values):
            if _is_missing(value):
                raise DataError(f"y has no label in row {row}; leave the sample out")
        kinds = {str if isinstance(value, str) else int if isinstance(value, int) else type(value) for value in values}
        if kinds & {list, tuple}:
            raise DataError("y has lists of different lengths; give a column for each label, of 0 and 1")
        if len(kinds) > 1:
            raise DataError(f"y has labels of several types, {', '.join(sorted(k.__name__ for k in kinds))}; use one")
        values = np.array(values.tolist())
    if values.dtype.kind == "f":
        whole = np.isfinite(values) & (values == np.floor(values))
        if not whole.all():
            row = int(np.argmin(whole))
            raise DataError(f"y has {values[row]} in row {row}, which is no class; give whole numbers or text")
        return values.astype(np.int64)
    if values.dtype.kind not in "buiU":
        raise DataError(f"y is of type {values.dtype}; give whole numbers or text")
    return values.astype(np.int64) if values.dtype.kind == "b" else values


def _is_missing(value: Any) -> bool:
    return (
        value is None or type(value).__name__ in ("NAType", "NaTType") or (isinstance(value, float) and value != value)
    )


def _array(values: Any) -> Any:
    import numpy as np

    if hasattr(values, "detach"):  # of PyTorch, maybe on a device
        values = values.detach().cpu()
    return np.asarray(values)


def _full_scale(features: Any) -> float | None:
    return 255.0 if features.ndim == 4 and features.dtype == "uint8" else None
