"""Users' data: a table in a CSV file."""

from __future__ import annotations

import codecs
import csv as csv_format
import io
import math
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from clsbench.data.raw import RawData
from clsbench.data.sources import steady
from clsbench.errors import DataError
from clsbench.registry import PathOption, dataset, suggestion

LONGEST_LINE = 1 << 26  # characters
BLOCK = 1 << 20


@dataset("csv")
def csv(seed: int, *, path: PathOption, target: str | None = None) -> RawData:
    """A table with a header row: one sample a line, numbers in every column, the class in one of them.

    `target` names the class column, by default the last one. Classes are any text, numbered in sorted order (by
    value if all are numbers). The file is UTF-8, its columns separated by commas.
    """
    rows = _rows(Path(path).expanduser())
    _, header = next(rows, (0, []))
    at = _target_column(path, header, target)
    columns = header[:at] + header[at + 1 :]
    numbers, names, labels = _Numbers(), dict[str, int](), array("q")
    for line, cells in rows:
        if len(cells) != len(header):
            raise DataError(f"{path}:{line}: {len(cells)} cells where the header has {len(header)}; fill the row")
        name = cells.pop(at).strip()
        if not name:
            raise DataError(f"{path}:{line}: column {header[at]!r} is empty; every sample needs its class")
        labels.append(names.setdefault(name, len(names)))
        if not numbers.append(cells):
            raise _not_a_number(path, line, columns, cells)
    if not labels:
        raise DataError(f"{path}: there are no rows after the header; a dataset needs samples")
    return _as_raw(numbers, labels, names, columns)


def _as_raw(numbers: _Numbers, labels: array[int], names: Mapping[str, int], columns: Sequence[str]) -> RawData:
    """The table as arrays, its classes renumbered in sorted order."""
    import numpy as np

    ordered = _sorted_classes(set(names))
    place_of = np.empty(len(names), np.int64)
    place_of[[names[name] for name in ordered]] = np.arange(len(names))
    features = np.frombuffer(numbers.values, numbers.values.typecode).reshape(len(labels), len(columns))
    classes = place_of[np.frombuffer(labels, np.int64)]
    return RawData(features, classes, len(names), tuple(ordered), columns=tuple(columns))


class _Numbers:
    """The numbers of a table, row by row: one byte each while all are integers from 0 to 255, else eight."""

    def __init__(self) -> None:
        self.values: array[Any] = array("B")

    def append(self, cells: Sequence[str]) -> bool:
        """Append a row; if a cell is not a finite number, append nothing and return False."""
        text = "".join(cells)
        if "_" in text:  # see `_number`
            return False
        if self.values.typecode == "B":
            with suppress(ValueError):
                whole = bytes(map(int, cells))
                if "-" not in text:  # a negative zero would lose its sign
                    self.values.frombytes(whole)
                    return True
        try:
            row = array("d", map(float, cells))
        except ValueError:
            return False
        if not math.isfinite(sum(row)) and not all(map(math.isfinite, row)):
            return False
        if self.values.typecode == "B":
            self.values = array("d", self.values)
        self.values.extend(row)
        return True


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, with the number of its last line."""
    try:
        with steady(path) as file:
            reader = csv_format.reader(_lines(path, file), strict=True)
            yield from ((reader.line_num, cells) for cells in reader if cells)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); `path` must name a CSV file") from error
    except UnicodeDecodeError as error:
        # Text is decoded in blocks, so the decoder is ahead of the reader's line.
        raise DataError(f"{path}:{_first_undecodable_line(path)}: not UTF-8 text; save the file as UTF-8") from error
    except csv_format.Error as error:
        raise DataError(f"{path}:{reader.line_num}: {error}; quote cells as CSV does") from error


def _lines(path: Path, file: BinaryIO) -> Iterator[str]:
    """The lines of a text with their line breaks, of bounded length: a file that is not text may be a single line."""
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    for number, line in enumerate(iter(lambda: text.readline(LONGEST_LINE), ""), start=1):
        if "\0" in line:
            raise DataError(f"{path}:{number}: a NUL character; the file is damaged, or not CSV")
        if len(line) >= LONGEST_LINE:
            raise DataError(f"{path}:{number}: the line has {LONGEST_LINE:,} characters or more; the file is not CSV")
        yield line


def _first_undecodable_line(path: Path) -> int:
    """The number of the first line that is not UTF-8."""
    with steady(path) as file:
        decoder, line = codecs.getincrementaldecoder("utf-8-sig")(), 1
        while block := file.read(BLOCK):
            try:
                line += decoder.decode(block).count("\n")
            except UnicodeDecodeError as error:
                return line + error.object[: error.start].count(b"\n")
    return line


def _target_column(path: str, header: list[str], target: str | None) -> int:
    if len(header) < 2:
        raise DataError(
            f"{path}:1: {len(header)} columns; the header must name features and a class, separated by commas"
        )
    if all(_number(name) is not None for name in header):
        raise DataError(f"{path}:1: the first row holds numbers; begin with a header row that names the columns")
    seen: set[str] = set()
    for name in header:
        if name in seen:
            raise DataError(f"{path}:1: column {name!r} comes twice; give every column a different name")
        seen.add(name)
    if target is None:
        return len(header) - 1
    if target not in seen:
        raise DataError(f"{path}:1: there is no column {target!r}; {suggestion(target, header)}")
    return header.index(target)


def _not_a_number(path: str, line: int, columns: Sequence[str], cells: Sequence[str]) -> DataError:
    for column, text in zip(columns, cells, strict=True):
        number = _number(text)
        if number is None or not math.isfinite(number):
            found = repr(text) if text.strip() else "an empty cell"
            return DataError(f"{path}:{line}: column {column!r} has {found}; every feature must be a finite number")
    raise AssertionError("every cell is a finite number")


def _number(text: str) -> float | None:
    # Python reads 1_000 as a number; in a table it is more likely an identifier.
    if "_" in text:
        return None
    try:
        return float(text)
    except ValueError:
        return None


def _sorted_classes(names: set[str]) -> list[str]:
    values = {name: _number(name) for name in names}
    if all(value is not None and math.isfinite(value) for value in values.values()):
        return sorted(names, key=lambda name: (values[name], name))
    return sorted(names)
