"""Data of the user's own: a table in a CSV file, or a folder of images for each class."""

from __future__ import annotations

import csv as csv_format
import io
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Interval

from clsbench.data.raw import RawData
from clsbench.errors import DataError
from clsbench.registry import PathOption, Problem, dataset, suggestion


@dataset("csv")
def csv(seed: int, *, path: PathOption, target: str | None = None) -> RawData:
    """A table with a header row: one sample a line, numbers in every column, the class in one of them.

    `target` names the column of the class, by default the last one. Classes are any text, numbered in
    sorted order (by value where all are numbers). The file is UTF-8, its columns parted by commas.
    """
    import numpy as np

    rows = _rows(Path(path).expanduser())
    _, header = next(rows, (0, []))
    at = _target_column(path, header, target)
    features, classes = [], []
    for line, cells in rows:
        if len(cells) != len(header):
            raise DataError(f"{path}:{line}: {len(cells)} cells where the header has {len(header)}; fill the row")
        classes.append(cells.pop(at).strip())
        if not classes[-1]:
            raise DataError(f"{path}:{line}: column {header[at]!r} is empty; every sample needs its class")
        columns = header[:at] + header[at + 1 :]
        features.append([_cell(path, line, *named) for named in zip(columns, cells, strict=True)])
    if not features:
        raise DataError(f"{path}: there are no rows after the header; a dataset needs samples")

    names = _in_order(set(classes))
    number = {name: i for i, name in enumerate(names)}
    labels = np.array([number[name] for name in classes], np.int64)
    return RawData(np.array(features), labels, num_classes=len(names), class_names=tuple(names))


def _poses_images(*, image_size: int, **_: Any) -> Problem:
    return Problem(shape=(3, image_size, image_size))


@dataset("image_folder", poses=_poses_images, aliases=("ImageFolder",))
def image_folder(seed: int, *, path: PathOption, image_size: Annotated[int, Interval(ge=1, le=10_000)] = 64) -> RawData:
    """A folder of images for each class (torchvision's ImageFolder): `path/cat/1.png`, `path/dog/2.jpg`.

    Every image becomes a square of `image_size` pixels in RGB, whatever its proportions.
    """
    import numpy as np
    from PIL import Image
    from torchvision.datasets import ImageFolder

    try:
        folder = ImageFolder(Path(path).expanduser())
    except OSError as error:
        raise DataError(f"{path}: {error}; give a folder that holds a folder of images for each class") from error
    images = np.empty((len(folder.samples), image_size, image_size, 3), np.uint8)
    for i, (file, _) in enumerate(folder.samples):
        try:
            with Image.open(file) as image:
                square = image.convert("RGB").resize((image_size, image_size), Image.Resampling.BILINEAR)
            images[i] = np.asarray(square)
        # A damaged image fails in as many ways as there are formats.
        except Exception as error:
            raise DataError(f"{file}: cannot be read as an image ({error}); repair or remove it") from error
    names = tuple(folder.classes)
    labels = np.array(folder.targets, np.int64)
    return RawData(images.transpose(0, 3, 1, 2), labels, len(names), names, full_scale=255.0)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, with the number of its last line."""
    try:
        data = path.read_bytes()
        reader = csv_format.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
        yield from ((reader.line_num, cells) for cells in reader if cells)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); `path` is that of a CSV file") from error
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(f"{path}:{line}: this is no UTF-8 text; save the file as UTF-8") from error
    except csv_format.Error as error:
        raise DataError(f"{path}:{reader.line_num}: {error}; quote cells as CSV does") from error


def _target_column(path: str, header: list[str], target: str | None) -> int:
    if len(header) < 2:
        raise DataError(f"{path}:1: {len(header)} columns; the header names features and a class, parted by commas")
    if all(_number(name) is not None for name in header):
        raise DataError(f"{path}:1: the first row holds numbers; begin with a header row that names the columns")
    if twice := [name for i, name in enumerate(header) if name in header[:i]]:
        raise DataError(f"{path}:1: column {twice[0]!r} comes twice; give every column a name of its own")
    if target is None:
        return len(header) - 1
    if target not in header:
        raise DataError(f"{path}:1: there is no column {target!r}; {suggestion(target, header)}")
    return header.index(target)


def _cell(path: str, line: int, column: str, text: str) -> float:
    number = _number(text)
    if number is None or not math.isfinite(number):
        found = repr(text) if text.strip() else "an empty cell"
        raise DataError(f"{path}:{line}: column {column!r} has {found}; every feature is a finite number")
    return number


def _number(text: str) -> float | None:
    # Python reads 1_000 as a number; in a table it is more likely a code.
    if "_" in text:
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _in_order(names: set[str]) -> list[str]:
    values = {name: _number(name) for name in names}
    if all(value is not None and math.isfinite(value) for value in values.values()):
        return sorted(names, key=lambda name: (values[name], name))
    return sorted(names)
