"""Samples without labels, for a trained network: a table, or images, read as the training data were."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from clsbench.data import table_cells as cell
from clsbench.data.raw import Column
from clsbench.errors import DataError

if TYPE_CHECKING:
    from clsbench.data.preparation import Preparation
    from clsbench.data.raw import Array
    from clsbench.data.table_text import TableText, Texts


def read_samples(path: str, preparation: Preparation, options: Mapping[str, Any]) -> tuple[list[str], Array]:
    """The names of samples, and the samples `[N, *shape]` as the dataset's reader gives them.

    A table's rows are named by their number, from 0, and images by their path.

    Args:
        path: a table, whose columns are found by name, or an image or a folder of images at any depth.
        preparation: what was fitted on the training split.
        options: how the dataset's own table was read, if it was one.

    Raises:
        DataError: it cannot be read, or does not fit; the message names the file and the place.
    """
    if len(preparation.shape) == 3:
        return _images(path, preparation)
    rows = _table(path, preparation, options)
    return list(map(str, range(len(rows)))), rows


def _images(path: str, preparation: Preparation) -> tuple[list[str], Array]:
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
    return [os.path.relpath(file, folder or ".") for file in files], values * (full_scale / 255.0)


def _table(path: str, preparation: Preparation, options: Mapping[str, Any]) -> Array:
    from clsbench.data.table_text import read
    from clsbench.data.tables import opened_text

    text = opened_text(
        path,
        options.get("header", True),
        options.get("delimiter"),
        options.get("encoding"),
        options.get("decimal"),
    )
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
    """The cells of a column as numbers: a category that was never read is -1, a missing value NaN."""
    known = {name: float(number) for number, name in enumerate(column.categories)}
    values = np.empty(len(texts.values))
    for place, written in enumerate(texts.values):
        if cell.is_missing(written, column.categories):
            value: float | None = np.nan if may_lack else None
        elif column.kind == "category":
            value = known.get(written.strip(), -1.0)
        elif column.kind == "boolean":
            value = cell.TRUTH.get(written.strip().lower())
        else:
            value = cell.number(written, text.decimal)
            value = value if value is not None and np.isfinite(value) else None
        if value is None:
            line = text.line_of(int((texts.codes == place).argmax()))
            what = {"category": "a category", "boolean": "true or false"}.get(column.kind, "a finite number")
            raise DataError(f"{text.path}:{line}: column {column.name!r} has {written!r}; it must be {what}")
        values[place] = value
    found: Array = values[texts.codes]
    return found
