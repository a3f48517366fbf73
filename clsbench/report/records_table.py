"""Rows as CSV, for spreadsheets and data frames."""

from __future__ import annotations

import csv
import io
from collections.abc import Container, Iterable, Mapping, Sequence

from clsbench.metrics.measures import by_class, field_of
from clsbench.results import Record, classes_in, value_of
from clsbench.text import in_utf8

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would compute


def as_csv(runs: Iterable[tuple[str, Sequence[Record]]]) -> bytes:
    """The records of runs, each named in its first column, with a column for each class of the metrics by class."""
    divided = by_class()
    return rows_as_csv((name, [_flat(record, divided) for record in records]) for name, records in runs)


def rows_as_csv(runs: Iterable[tuple[str, Sequence[Mapping[str, object]]]]) -> bytes:
    """The rows of runs, each named in its first column; a cell is empty where a row has no such value.

    Text that a spreadsheet would take for a formula begins with an apostrophe; numbers are numbers.
    """
    runs = list(runs)
    columns = dict.fromkeys(key for _, rows in runs for row in rows for key in row)
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, ["run", *columns])
    writer.writeheader()
    for name, rows in runs:
        for row in rows:
            writer.writerow({key: _cell(value) for key, value in {"run": name, **row}.items()})
    return in_utf8(table.getvalue())


def _flat(record: Record, divided: Container[str]) -> dict[str, object]:
    """A record with a column for each class of its fields that are divided by class."""
    found: dict[str, object] = dict(record)
    row: dict[str, object] = {}
    for key, value in found.items():
        if key in divided:
            row |= {field_of(key, name): value_of(record, field_of(key, name)) for name in classes_in(record, key)}
        else:
            row[key] = value
    return row


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
