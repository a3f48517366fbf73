"""The target of a table: classes in one column, or numbers in one or several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clsbench.data.targets import SINGLE_LABEL, read_as
from clsbench.errors import DataError
from clsbench.registry import ProblemName

if TYPE_CHECKING:
    from clsbench.data.preparation import Floats
    from clsbench.data.table_columns import Table

Targets = tuple[ProblemName, Any, tuple[str, ...]]


def read_targets(
    table: Table, places: Sequence[int], classes: list[str] | None, asked: ProblemName | None, *, drop: bool
) -> Targets:
    """The kind of problem, the target of each row and the names of classes, labels or values.

    A class is a number, -1 where it is missing; values are `[rows, D]`, NaN where they are. Numbers are taken for what
    is `asked`, or for what they look like; words, and numbers that `classes` orders, are classes.

    Raises:
        DataError: a column among several has words, or a target is missing and rows are not dropped.
    """
    names = tuple(table.text.names[place] for place in places)
    if len(places) == 1:
        values = None if classes is not None else table.values(places[0])
        kind = SINGLE_LABEL if values is None else read_as(values[~np.isnan(values), None], asked)
        if values is None or kind == SINGLE_LABEL:
            return (SINGLE_LABEL, *table.labels(places[0], classes, drop=drop))
        return kind, _required(table, values[:, None], names, drop), names
    if len(set(names)) < len(names):
        raise DataError(f"{table.text.path}: target names a column twice; name each once")
    columns = {name: table.values(place) for name, place in zip(names, places, strict=True)}
    found = [column for column in columns.values() if column is not None]
    if words := [name for name, column in columns.items() if column is None]:
        raise DataError(
            f"{table.text.path}: column {words[0]!r} has words, and several targets are numbers or truth values; "
            "name one column of classes, or columns of 0 and 1"
        )
    values = _required(table, np.stack(found, axis=1), names, drop)
    return read_as(values[~np.isnan(values).any(1)], asked), values, names


def _required(table: Table, values: Floats, names: Sequence[str], drop: bool) -> Floats:
    """Targets without an infinite value, and none missing unless those rows are dropped."""
    bad = np.isinf(values) if drop else ~np.isfinite(values)
    if bad.any():
        row, column = (int(each) for each in np.argwhere(bad)[0])
        infinite = np.isinf(values[row, column])
        what = "must be finite" if infinite else "is missing; fill it in, or write missing: drop"
        raise DataError(f"{table.where(row)}: column {names[column]!r}, a target, {what}")
    return values
