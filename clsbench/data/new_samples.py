"""Samples without labels, for a trained network: from files or from memory, as the dataset's reader gives them."""

from __future__ import annotations

import numbers
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from clsbench.data.raw import Column
from clsbench.data.table_cells import TRUTH, is_missing, number
from clsbench.errors import DataError

if TYPE_CHECKING:
    from clsbench.data.preparation import Preparation
    from clsbench.data.raw import Array
    from clsbench.data.table_arrow import Texts
    from clsbench.data.table_text import TableText


class NewSamples(NamedTuple):
    """`values` is `[N, *shape]`, as the dataset's reader gives them; `warnings` say what was read in another way."""

    names: list[str]
    values: Array
    warnings: tuple[str, ...] = ()


def read_samples(path: str, preparation: Preparation, options: Mapping[str, Any]) -> NewSamples:
    """The samples of a file or folder. A table's rows are named by their number, from 0, and images by their path.

    Args:
        path: a table, whose columns are found by name, or an image or a folder of images at any depth.
        preparation: what was fitted on the training split.
        options: how the dataset's own table was read, if it was one.

    Raises:
        DataError: it cannot be read, or does not fit; the message names the file and the place.
    """
    if len(preparation.shape) == 3:
        return _images(path, preparation)
    text, warnings = _like_the_table(path, preparation, options)
    rows = _cells(text, preparation)
    return NewSamples(list(map(str, range(len(rows)))), rows, warnings)


def _images(path: str, preparation: Preparation) -> NewSamples:
    from clsbench.data.decoding import decoded
    from clsbench.data.folders import damaged, images_under

    channels, height, width = preparation.shape
    if height != width:
        raise DataError(f"{path}: the network takes images of {height} x {width} pixels, and files are read as squares")
    files = images_under(path)
    pixels, faults = decoded(files, height, path)
    if faults:
        raise damaged(path, files, faults)
    if pixels.shape[-1] == 3 and channels == 1:
        raise DataError(f"{path}: images in colour, and the network was trained on greys; convert them")
    full_scale = preparation.full_scale or 1.0
    values = np.broadcast_to(pixels, (*pixels.shape[:-1], channels)).transpose(0, 3, 1, 2)
    folder = path if os.path.isdir(path) else os.path.dirname(path)
    return NewSamples([os.path.relpath(file, folder or ".") for file in files], values * (full_scale / 255.0))


def _like_the_table(
    path: str, preparation: Preparation, options: Mapping[str, Any]
) -> tuple[TableText, tuple[str, ...]]:
    """The text of a table by the marks of the one that was trained on; by its own where only those give its columns."""
    from clsbench.data.table_header import opened_text

    def opened(delimiter: str | None, decimal: str | None) -> TableText:
        return opened_text(path, options.get("header"), delimiter, options.get("encoding"), decimal)

    asked = options.get("delimiter"), options.get("decimal")
    if preparation.marks is None:
        return opened(*asked), ()
    text = opened(*preparation.marks)
    if text.is_parquet or _fits(text, preparation):
        return text, ()
    try:
        own = opened(*asked)
    except DataError:
        return text, ()
    if not _fits(own, preparation):
        return text, ()
    found, trained = (
        f"delimiter {d!r} and decimal mark {m!r}" for d, m in ((own.delimiter, own.decimal), preparation.marks)
    )
    return own, (f"{path}: read with {found}; the table that was trained on has {trained}",)


def _fits(text: TableText, preparation: Preparation) -> bool:
    """Whether a table has the columns that a network takes, and numbers in the first rows where it takes numbers."""
    if not preparation.columns:
        return len(text.names) == preparation.shape[0]
    if not {column.name for column in preparation.columns} <= set(text.names):
        return False
    places = [text.names.index(column.name) for column in preparation.columns if column.kind == "number"]
    cells = (row[place] for row in text.sample for place in places if place < len(row))
    return all(is_missing(cell) or number(cell, text.decimal) is not None for cell in cells)


def _cells(text: TableText, preparation: Preparation) -> Array:
    """The rows of a table as numbers."""
    from clsbench.data.table_arrow import read

    path = text.path
    columns = preparation.columns
    if not columns:
        if len(text.names) != preparation.shape[0]:
            raise DataError(
                f"{path}:1: {len(text.names)} columns, and the network takes {preparation.shape[0]}; give these alone"
            )
        columns = tuple(map(Column, text.names))
    lacking = [column.name for column in columns if column.name not in text.names]
    if lacking:
        raise DataError(f"{path}:1: there is no column {lacking[0]!r}, which the network was trained on")
    places = [text.names.index(column.name) for column in columns]
    _, _, texts = read(text, set(places), set(places))
    may_lack = preparation.fill is not None
    cells = [_numbers(text, column, texts[at], may_lack) for column, at in zip(columns, places, strict=True)]
    return np.stack(cells, axis=1)


def _numbers(text: TableText, column: Column, texts: Texts, may_lack: bool) -> Array:
    """The cells of a column of a table as numbers."""
    values = _values(column, texts.values, text.decimal)
    _require(column, values, texts.values, may_lack, lambda place: _line_of(text, texts, place))
    found: Array = values[texts.codes]
    return found


def _line_of(text: TableText, texts: Texts, place: int) -> str:
    """`FILE:LINE: ` of the first row with a value."""
    return f"{text.path}:{text.line_of(int((texts.codes == place).argmax()))}: "


def _values(column: Column, cells: Iterable[Any], decimal: str = ".") -> Array:
    """Cells as numbers: a category that was never read is -1, a missing value NaN, one that does not fit infinite."""
    known = {name: float(place) for place, name in enumerate(column.categories)}

    def value(cell: Any) -> float:
        if cell is None or cell != cell or (isinstance(cell, str) and is_missing(cell, known)):
            return np.nan
        if column.kind == "category":
            return known.get(str(cell).strip(), -1.0)
        if not isinstance(cell, str):
            return float(cell) if isinstance(cell, numbers.Real) else np.inf
        found = TRUTH.get(cell.strip().lower()) if column.kind == "boolean" else number(cell, decimal)
        return np.inf if found is None else found

    return np.array([value(cell) for cell in cells], np.float64)


def _require(column: Column, values: Array, cells: Sequence[Any], may_lack: bool, where: Callable[[int], str]) -> None:
    bad = np.isinf(values) if may_lack else ~np.isfinite(values)
    if bad.any():
        place = int(bad.argmax())
        what = {"category": "a category", "boolean": "true or false"}.get(column.kind, "a finite number")
        raise DataError(f"{where(place)}column {column.name!r} has {cells[place]!r}; it must be {what}")


def as_read(preparation: Preparation, samples: Any) -> Array:
    """Samples as the dataset's reader gives them, `[N, *shape]`: categories as numbers, missing values as NaN.

    Args:
        preparation: what was fitted on the training split.
        samples: see `Predictor`.

    Raises:
        DataError: they do not fit; the message names the column and the row.
    """
    shape, columns = preparation.shape, preparation.columns
    if columns and hasattr(samples, "columns") and hasattr(samples, "__getitem__"):
        known = {str(name): name for name in samples.columns}
        lacking = [column.name for column in columns if column.name not in known]
        if lacking:
            trained = ", ".join(column.name for column in columns)
            raise DataError(f"the samples have no column {lacking[0]!r}; the network was trained on {trained}")
        cells = [np.asarray(samples[known[column.name]]) for column in columns]
        return _together(preparation, columns, cells)
    x = _array(samples)
    if len(shape) == 3 and x.ndim == 4 and x.shape[1:] != shape and x.shape[1:] == (*shape[1:], shape[0]):
        x = np.moveaxis(x, -1, 1)
    if x.shape[1:] != shape:
        raise DataError(f"the samples have shape {list(x.shape)}; give [samples, {', '.join(map(str, shape))}]")
    if x.dtype.kind in "buif" and (categories := [each.name for each in columns if each.kind == "category"]):
        raise DataError(f"column {categories[0]!r} is a category: give its text, in a data frame or as objects")
    if x.dtype.kind not in "buif" and not columns:
        raise DataError(f"the samples are of type {x.dtype}; give numbers")
    if len(shape) == 1:
        described = columns or tuple(Column(str(place)) for place in range(shape[0]))
        return _together(preparation, described, list(x.T))
    if not np.isfinite(x).all():
        raise DataError("the samples have a value that is not finite; every value must be")
    return x


def _array(samples: Any) -> Array:
    if hasattr(samples, "detach"):
        samples = samples.detach().cpu()
    try:
        return np.asarray(samples)
    except (ValueError, TypeError) as error:
        raise DataError(f"the samples do not form an array ({error}); every sample needs the same shape") from error


def _together(preparation: Preparation, columns: Sequence[Column], cells: Sequence[Array]) -> Array:
    """The columns of a table in memory as numbers, `[N, columns]`."""
    found = []
    for column, each in zip(columns, cells, strict=True):
        plain = each.dtype.kind in "buif" and column.kind != "category"
        values = each.astype(np.float64) if plain else _values(column, each.tolist())
        _require(column, values, each.tolist(), preparation.fill is not None, lambda row: f"row {row} of the samples: ")
        found.append(values)
    return np.stack(found, axis=1)
