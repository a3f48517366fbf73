"""Records as CSV, for spreadsheets and data frames."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

from clsbench.results import Record
from clsbench.text import in_utf8

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would compute


def as_csv(runs: Iterable[tuple[str, Sequence[Record]]]) -> bytes:
    """The records of runs, each named in its first column; a cell is empty where a record has no such value.

    Text that a spreadsheet would take for a formula begins with an apostrophe; numbers are numbers.
    """
    runs = list(runs)
    columns = dict.fromkeys(key for _, records in runs for record in records for key in record)
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, ["run", *columns])
    writer.writeheader()
    for name, records in runs:
        for record in records:
            row: dict[str, object] = {"run": name, **record}
            writer.writerow({key: _cell(value) for key, value in row.items()})
    return in_utf8(table.getvalue())


def _cell(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
