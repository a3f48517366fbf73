"""The columns of a table, read by pyarrow.

pyarrow rather than pandas or polars: it is imported in a quarter of their time (0.25 s), refuses rows of another
length, which pandas fills up, reads in pieces of bounded memory, and brings Parquet, for which pandas needs it beside.
It takes 170 MB of disk, as polars does; pandas takes 85. It accepts odd quotes, and counts rows instead of lines, so
`table_text` checks the quotes and counts the lines.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from clsbench.data.table_cells import MISSING, is_missing, number
from clsbench.data.table_text import DELIMITERS, Piece, TableText
from clsbench.errors import DataError

if TYPE_CHECKING:
    from clsbench.data.preparation import Ints
    from clsbench.data.raw import Array


@dataclass(frozen=True)
class Texts:
    """A column of text: `codes` [rows] are places in `values`."""

    codes: Ints
    values: tuple[str, ...]


def from_parquet(path: str, content: bytes) -> bytes:
    """The columns of a Parquet file as CSV, which is read like any other."""
    import pyarrow as pa
    from pyarrow import csv as arrow
    from pyarrow import parquet

    sink = pa.BufferOutputStream()
    try:
        arrow.write_csv(parquet.read_table(pa.BufferReader(content)), sink)
    except pa.ArrowException as error:
        raise DataError(f"{path}: cannot be read as Parquet ({error}); use numbers, text and truth values") from error
    found: bytes = sink.getvalue().to_pybytes()
    return found


def read(text: TableText, used: Collection[int], as_text: Collection[int]) -> tuple[Array, list[int], dict[int, Texts]]:
    """The used columns of a table.

    Args:
        text: with names.
        used: the places of the columns to read.
        as_text: those of them that are text whatever they hold.

    Returns:
        The numbers, `[rows, columns]`, NaN where one is missing; the places of their columns; the other columns.

    Raises:
        DataError: a row has more or fewer cells than the header.
    """
    words = set(as_text)
    for place in set(used) - words:
        column = [row[place] for row in text.sample if place < len(row)]
        if any(number(cell, text.decimal) is None and not is_missing(cell) for cell in column):
            words.add(place)
    numeric = [place for place in sorted(used) if place not in words]
    blocks, codes = [], _Codes(sorted(words))
    late: set[int] = set()
    for piece in text.pieces():
        _check_lengths(text, piece)
        while True:
            table, failed = _parsed(text, piece, [p for p in numeric if p not in late], codes.places)
            if table is not None:
                break
            late |= {failed}
            late |= _words_in(text, piece, [p for p in numeric if p not in late])
        codes.add(table)
        blocks.append((_numbers(table, len(codes.places)), [p for p in numeric if p not in late]))
    kept = [place for place in numeric if place not in late]
    arrays = [array if len(places) == len(kept) else array[:, np.isin(places, kept)] for array, places in blocks]
    del blocks
    rows = codes.rows
    numbers = _joined(arrays, rows, len(kept))
    texts = codes.columns()
    if late:
        again = _Codes(sorted(late))
        for piece in text.pieces():
            again.add(_parsed(text, piece, [], again.places)[0])
        texts |= again.columns()
    return numbers, kept, texts


def _joined(arrays: Sequence[Array], rows: int, columns: int) -> Array:
    if len(arrays) == 1:
        return arrays[0]
    kind = np.uint8 if all(array.dtype == np.uint8 for array in arrays) else np.float64
    joined = np.empty((rows, columns), kind)
    at = 0
    for array in arrays:
        joined[at : at + len(array)] = array
        at += len(array)
    return joined


def _check_lengths(text: TableText, piece: Piece) -> None:
    wrong = text.lengths(piece) != len(text.names)
    if wrong.any():
        row = int(wrong.argmax())
        line = text.line_at(piece.start + int(text.row_starts(piece)[row]))
        cells = int(text.lengths(piece)[row])
        mark = {mark: word for word, mark in DELIMITERS.items()}.get(text.delimiter, repr(text.delimiter))
        raise DataError(
            f"{text.path}:{line}: {cells} cells where the first row has {len(text.names)}, separated by {mark}; "
            "correct the row, or write another delimiter"
        )


def _parsed(text: TableText, piece: Piece, numeric: Sequence[int], words: Sequence[int]) -> tuple[Any, int]:
    """The columns of a piece as an Arrow table; None, and the place, if one that should be numeric is not."""
    import pyarrow as pa
    from pyarrow import csv as arrow

    types = dict.fromkeys(map(str, numeric), pa.float64())
    types |= dict.fromkeys(map(str, words), pa.dictionary(pa.int32(), pa.string()))
    quoted = len(piece.quotes) > 0
    # Arrow leaves out a byte order mark at the start, which inside of a table is a part of its cell.
    content = BOM_UTF8 * piece.content.startswith(BOM_UTF8) + piece.content
    try:
        table = arrow.read_csv(
            pa.BufferReader(content),
            arrow.ReadOptions(
                use_threads=False,
                block_size=len(content) + 1,
                column_names=list(map(str, range(len(text.names)))),
            ),
            arrow.ParseOptions(
                delimiter=text.delimiter, quote_char='"' if quoted else False, newlines_in_values=quoted
            ),
            arrow.ConvertOptions(
                column_types=types,
                include_columns=[*map(str, words), *map(str, numeric)],
                null_values=list(MISSING),
                decimal_point=text.decimal,
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        place = re.search(r"column #(\d+)", str(error))
        if place is None or int(place[1]) not in numeric:
            raise DataError(f"{text.path}:{text.line_at(piece.start)}: {error}; correct the table from here") from error
        return None, int(place[1])
    return table, -1


def _words_in(text: TableText, piece: Piece, numeric: Sequence[int]) -> set[int]:
    """Which of these columns hold a cell that is no number."""
    if not numeric:
        return set()
    table = _parsed(text, piece, [], numeric)[0]
    found = set()
    for place, column in zip(numeric, table.columns, strict=True):
        values = (
            column.combine_chunks().dictionary.to_pylist() if column.num_chunks == 1 else column.unique().to_pylist()
        )
        if any(number(value, text.decimal) is None and not is_missing(value) for value in values):
            found.add(place)
    return found


def _numbers(table: Any, first: int) -> Array:
    """The numbers of an Arrow table, from column `first` on: one byte each if all are integers from 0 to 255."""
    columns = table.columns[first:]
    numbers = np.empty((table.num_rows, len(columns)))
    for place, column in enumerate(columns):
        numbers[:, place] = column.to_numpy()
    if numbers.size and not (numbers >= 0).all():  # false for NaN too
        return numbers
    if numbers.size and (numbers.max() > 255 or np.signbit(numbers).any()):
        return numbers
    small = numbers.astype(np.uint8)
    return small if (small == numbers).all() else numbers


class _Codes:
    """Columns of text, put together from pieces."""

    def __init__(self, places: Sequence[int]) -> None:
        self.places = places
        self.rows = 0
        self._values: list[dict[str, int]] = [{} for _ in places]
        self._codes: list[list[Ints]] = [[] for _ in places]

    def add(self, table: Any) -> None:
        self.rows += table.num_rows
        for place, values in enumerate(self._values):
            for chunk in table.column(place).chunks:
                names = [values.setdefault(name, len(values)) for name in chunk.dictionary.to_pylist()]
                codes: npt.NDArray[Any] = np.asarray(names, np.int64)
                self._codes[place].append(codes[chunk.indices.to_numpy()])

    def columns(self) -> dict[int, Texts]:
        empty = np.empty(0, np.int64)
        return {
            place: Texts(np.concatenate([empty, *codes]), tuple(values))
            for place, codes, values in zip(self.places, self._codes, self._values, strict=True)
        }
