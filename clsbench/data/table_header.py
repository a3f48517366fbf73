"""A table's file opened: its text, and the names of its columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from clsbench.data import progress
from clsbench.data import table_cells as cell
from clsbench.data.table_arrow import from_parquet
from clsbench.data.table_files import content_of, is_parquet
from clsbench.data.table_text import TableText, text_of, with_decimal
from clsbench.errors import DataError


def opened_text(
    path: str, header: bool | None, delimiter: str | None, encoding: str | None, decimal: str | None
) -> TableText:
    """The text of a table, the names of its columns read: its first row, unless `header` is False.

    Raises:
        DataError: it cannot be read, or in several ways.
    """
    progress.told(f"reading {path}")
    content = content_of(path, encoding)
    if is_parquet(content):
        text = replace(text_of(path, from_parquet(path, content), ","), is_parquet=True)
        return with_decimal(text.with_header(header is not False), ".")
    return with_decimal(text_of(path, content, delimiter).with_header(header is not False), decimal)


def check_names(text: TableText, *, told: bool) -> None:
    """Refuse columns that cannot be told apart, and, unless it is `told` to be a header, a first row like a sample.

    Raises:
        DataError: the file and the line are named.
    """
    if not told:
        _refuse_sample(text)
    seen: set[str] = set()
    for place, name in enumerate(text.names):
        if not name and place:
            raise DataError(f"{text.path}:1: column {place + 1} has no name; give it one")
        if name in seen:
            raise DataError(f"{text.path}:1: column {name!r} comes twice; give every column a different name")
        seen.add(name)


def _refuse_sample(text: TableText) -> None:
    names, rows = text.names, text.sample
    hint = "write header: false if it is one, and header: true if it names the columns"
    columns = list(zip(*(row for row in rows if len(row) == len(names)), strict=True))
    numeric = [
        place
        for place, column in enumerate(columns)
        if all(cell.number(each, text.decimal) is not None or cell.is_missing(each) for each in column)
    ]
    is_number = [cell.number(name, text.decimal) is not None for name in names]
    counted = [names[place] for place in numeric]
    successive = counted in ([str(n) for n in range(s, s + len(counted))] for s in _starts(counted))
    words = [place for place in range(len(columns)) if place not in numeric]
    fits = bool(words) and all(names[place] in {each.strip() for each in columns[place]} for place in words)
    if all(is_number) or (numeric and all(is_number[p] for p in numeric) and (fits or not successive)):
        raise DataError(f"{text.path}:1: the first row holds numbers and looks like a sample; {hint}")
    if columns and not numeric and fits:
        raise DataError(f"{text.path}:1: the first row holds values of its columns and looks like a sample; {hint}")


def _starts(names: Sequence[str]) -> list[int]:
    return [int(names[0])] if names and names[0].isdecimal() else []
