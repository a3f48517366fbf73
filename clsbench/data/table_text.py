"""A table's text: its delimiter and decimal mark, checked and cut into pieces of whole rows."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice, pairwise
from typing import TYPE_CHECKING

import numpy as np

from clsbench.data.table_cells import is_missing, number
from clsbench.data.table_files import LONGEST_LINE
from clsbench.errors import DataError
from clsbench.registry import suggestion

if TYPE_CHECKING:
    from clsbench.data.preparation import Ints

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
QUOTE, LINE_FEED = b'"'[0], b"\n"[0]
PIECE = 1 << 22
SAMPLE = 100
# Only decimals have one, two, or more than three digits after a comma; three may be thousands.
SURE_DECIMAL = re.compile(rb"\d,(?:\d{1,2}|\d{4,})(?![\d,])")


@dataclass(frozen=True)
class Piece:
    """Whole rows of a text, from byte `start`, with the offsets of the quotes in them."""

    start: int
    content: bytes
    quotes: Ints


@dataclass(frozen=True)
class TableText:
    """A table as UTF-8 text with line feeds: its rows begin at byte `start`, after the header."""

    path: str
    content: bytes
    delimiter: str
    decimal: str = "."
    names: tuple[str, ...] = ()
    start: int = 0
    is_parquet: bool = False

    def place_of(self, name: str) -> int:
        """The place of a column.

        Raises:
            DataError: there is no such column.
        """
        if name not in self.names:
            raise DataError(f"{self.path}:1: there is no column {name!r}; {suggestion(name, self.names)}")
        return self.names.index(name)

    def line_at(self, offset: int) -> int:
        """The number of the line that this byte is in."""
        return 1 + self.content.count(b"\n", 0, offset)

    def pieces(self, start: int | None = None) -> Iterator[Piece]:
        """The rows, about `PIECE` bytes at once.

        Raises:
            DataError: a quote is at a place where CSV has none.
        """
        at, size, end = self.start if start is None else start, PIECE, len(self.content)
        while at < end:
            piece = self.content[at : at + size]
            last = at + size >= end
            quotes = _places(piece, QUOTE) if b'"' in piece else np.empty(0, np.int64)
            cut = len(piece) if last else _end_of_rows(piece, quotes)
            if not cut:
                if size >= LONGEST_LINE:
                    raise self._open_quote(at, quotes)
                size *= 2
                continue
            quotes = quotes[quotes < cut]
            self._check_quotes(at, piece[:cut], quotes)
            yield Piece(at, piece[:cut], quotes)
            at += cut

    def _check_quotes(self, at: int, piece: bytes, quotes: Ints) -> None:
        if not len(quotes):
            return
        padded = np.frombuffer(b"\n" + piece + b"\n", np.uint8)
        edges = [ord(self.delimiter), LINE_FEED, QUOTE]
        wrong = ~np.isin(padded[quotes + np.where(np.arange(len(quotes)) % 2 == 0, 0, 2)], edges)
        if wrong.any():
            first = int(wrong.argmax())
            line = self.line_at(at + int(quotes[first - first % 2]))
            hint = 'a quoted cell begins and ends with one, and has "" for one inside'
            raise DataError(f'{self.path}:{line}: a quote (") inside a cell; {hint}')
        if len(quotes) % 2:
            raise self._open_quote(at, quotes)

    def _open_quote(self, at: int, quotes: Ints) -> DataError:
        line = self.line_at(at + int(quotes[-1])) if len(quotes) else self.line_at(at)
        return DataError(
            f'{self.path}:{line}: a quote (") is opened here or before, and never closed; quote cells as CSV does'
        )

    def row_starts(self, piece: Piece) -> Ints:
        """The offsets in a piece of its rows; empty lines are none."""
        feeds = _outside(_places(piece.content, LINE_FEED), piece.quotes)
        starts = np.concatenate([[0], feeds + 1])
        ends = np.concatenate([feeds, [len(piece.content)]])
        rows: Ints = starts[ends > starts]
        return rows

    def lengths(self, piece: Piece) -> Ints:
        """The number of cells of each row of a piece."""
        starts = self.row_starts(piece)
        separators = _outside(_places(piece.content, ord(self.delimiter)), piece.quotes)
        counts: Ints = np.diff(np.searchsorted(separators, [*starts, len(piece.content)])) + 1
        return counts

    def line_of(self, row: int) -> int:
        """The line in which a row, counted from 0, begins."""
        for piece in self.pieces():
            starts = self.row_starts(piece)
            if row < len(starts):
                return self.line_at(piece.start + int(starts[row]))
            row -= len(starts)
        raise AssertionError("there is no such row")

    @cached_property
    def sample(self) -> list[list[str]]:
        """The first rows, as cells."""
        piece = next(self.pieces(), None)
        if piece is None:
            return []
        starts = [*self.row_starts(piece)[: SAMPLE + 1].tolist(), len(piece.content)][: SAMPLE + 1]
        records = (piece.content[a:b].decode() for a, b in pairwise(starts))
        return [self.cells(record) for record in islice(records, SAMPLE)]

    def cells(self, record: str) -> list[str]:
        """The cells of one row."""
        bare = record.rstrip("\n")
        if '"' not in bare:
            return bare.split(self.delimiter)
        try:
            return next(csv.reader(bare.splitlines(keepends=True), delimiter=self.delimiter), [""])
        except csv.Error as error:  # a cell of more than 128 KiB
            raise DataError(f"{self.path}: {error}; quote cells as CSV does") from error

    def with_header(self, present: bool) -> TableText:
        """The same text after its first row, which names the columns if there is a header."""
        piece = next(self.pieces(), None)
        if piece is None:
            return self
        starts = self.row_starts(piece)
        if not len(starts):
            return self
        end = int(starts[1]) if len(starts) > 1 else len(piece.content)
        first = self.cells(piece.content[int(starts[0]) : end].decode())
        names = tuple(map(str, range(len(first)))) if not present else tuple(name.strip() for name in first)
        return replace(self, names=names, start=piece.start + (end if present else 0))


def text_of(path: str, content: bytes, delimiter: str | None) -> TableText:
    """A table's text, its delimiter found if none is given.

    Raises:
        DataError: several delimiters are possible.
    """
    asked = re.match(rb'"?sep=(.)"?[ ;,\t]*\n', content, re.IGNORECASE)
    start = asked.end() if asked else 0
    if delimiter is not None:
        return TableText(path, content, delimiter, start=start)
    if asked:
        return TableText(path, content, asked[1].decode(), start=start)
    texts = [TableText(path, content, each, start=start) for each in DELIMITERS.values()]
    regular, most = [], (1, texts[0])
    for text in texts:
        try:
            lengths = {len(cells) for cells in text.sample}
        except DataError:  # quotes show where cells end
            continue
        if len(lengths) == 1 and lengths != {1}:
            regular.append(text)
        header = len(text.sample[0]) if text.sample else 0
        if header > most[0]:
            most = (header, text)
    if len(regular) > 1:
        words = " or ".join(word for word, mark in DELIMITERS.items() if mark in [text.delimiter for text in regular])
        raise DataError(f"{path}:1: the columns may be separated by {words}; write which, as in delimiter: ';'")
    return regular[0] if regular else most[1]


def with_decimal(text: TableText, decimal: str | None) -> TableText:
    """The text with its decimal mark, found if none is given.

    Raises:
        DataError: commas may be decimal marks, or group thousands.
    """
    if decimal is not None:
        return replace(text, decimal=decimal)
    if text.delimiter == ",":
        return text
    for column in zip(*text.sample, strict=False):
        cells = [cell for cell in column if not is_missing(cell)]
        if not any("," in cell for cell in cells) or any(number(cell, ",") is None for cell in cells):
            continue
        if SURE_DECIMAL.search(text.content, text.start):
            return replace(text, decimal=",")
        example = next(cell for cell in cells if "," in cell)
        raise DataError(
            f"{text.path}: {example!r} may be a fraction or in thousands; write decimal: ',' for a fraction, or "
            "remove the commas"
        )
    return text


def _places(content: bytes, byte: int) -> Ints:
    return np.flatnonzero(np.frombuffer(content, np.uint8) == byte)


def _outside(places: Ints, quotes: Ints) -> Ints:
    """Those of these offsets that are in no quoted cell."""
    return places[np.searchsorted(quotes, places) % 2 == 0] if len(quotes) else places


def _end_of_rows(piece: bytes, quotes: Ints) -> int:
    """Where the last whole row of a piece ends; 0 if there is none."""
    if not len(quotes):
        return piece.rfind(b"\n") + 1
    feeds = _outside(_places(piece, LINE_FEED), quotes)
    return int(feeds[-1]) + 1 if len(feeds) else 0
