"""Tables with random damage: read as they are written, cell by cell, or refused by name, never read wrong."""

from __future__ import annotations

import csv as csv_format
import io
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clsbench.data.raw import RawData, as_raw
from clsbench.data.tables import csv
from clsbench.errors import DataError

CELLS: dict[str, st.SearchStrategy[str]] = {
    "whole": st.integers(-300, 300).map(str),
    "fraction": st.floats(-1e4, 1e4).map("{:.4f}".format),
    "word": st.sampled_from(["red", "deep blue", "Grün", "a,b", 'say "x"']),
    "truth": st.sampled_from(["true", "false"]),
}
KINDS = st.sampled_from(["yes", "no", "may be"])
INSERTED = [",", ";", "\t", '"', "\n", "\r\n", "\0", "x", "7", ".", " ", "-", "_", "\ufeff", "ß"]


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, str]:
    """A table of some columns and kinds, as Python's csv writes it, and its delimiter."""
    kinds = draw(st.lists(st.sampled_from(sorted(CELLS)), min_size=1, max_size=4))
    number = draw(st.integers(4, 12))
    columns = [[f"{kind} {place}", *(draw(CELLS[kind]) for _ in range(number))] for place, kind in enumerate(kinds)]
    labels = ["kind", "yes", "no", *(draw(KINDS) for _ in range(number - 2))]
    columns.insert(draw(st.integers(0, len(columns))), labels)
    if draw(st.booleans()) and (delimiter := ";"):
        columns = [
            [cell.replace(".", ",") if "fraction" in head else cell for cell in (head, *rest)]
            for head, *rest in columns
        ]
    else:
        delimiter = draw(st.sampled_from([",", "\t"]))
    text = io.StringIO(newline="")
    quoting = draw(st.sampled_from([csv_format.QUOTE_MINIMAL, csv_format.QUOTE_ALL]))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    csv_format.writer(text, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows(
        zip(*columns, strict=True)
    )
    return text.getvalue(), delimiter


def cut(text: str, at: int, inserted: str) -> str:
    return text[:at]


def inserted(text: str, at: int, inserted: str) -> str:
    return text[:at] + inserted + text[at:]


def deleted(text: str, at: int, inserted: str) -> str:
    return text[:at] + text[at + 1 :]


def doubled_line(text: str, at: int, inserted: str) -> str:
    start, end = text.rfind("\n", 0, at) + 1, text.find("\n", at) + 1 or len(text)
    return text[:end] + text[start:end] + text[end:]


def moved(text: str, at: int, inserted: str) -> str:
    return text[at:] + text[:at]


def kept(text: str, at: int, inserted: str) -> str:
    return text


Damage = Callable[[str, int, str], str]
DAMAGES: list[Damage] = [cut, inserted, inserted, deleted, doubled_line, moved, kept]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    table=tables(),
    damage=st.sampled_from(DAMAGES),
    share=st.floats(0, 1),
    piece=st.sampled_from(INSERTED),
    bom=st.booleans(),
)
def test_damaged_table_is_read_as_written_or_refused(
    tmp_path: Path, table: tuple[str, str], damage: Damage, share: float, piece: str, bom: bool
) -> None:
    """Python's csv module says what is written; each label and value read is that of its cell."""
    text, delimiter = table
    changed = damage(text, int(share * len(text)), piece)
    path = tmp_path / "table.csv"
    path.write_bytes(("\ufeff" * bom + changed).encode())
    refused = None
    try:
        raw = as_raw(csv(0, path=str(path), target="kind"))
    except DataError as error:
        refused = str(error)
    if refused is not None:
        assert damage is not kept
        assert str(path) in refused or "every sample is of class" in refused
        return
    names, *rows = [
        row for row in csv_format.reader(io.StringIO(changed.lstrip("\ufeff"), newline=""), delimiter=delimiter) if row
    ]
    assert {len(names)} == {len(row) for row in rows}
    assert len(rows) == len(raw.labels)
    names = [name.strip() for name in names]
    for place, row in enumerate(rows):
        by_name = dict(zip(names, (cell.strip() for cell in row), strict=True))
        assert by_name["kind"] == raw.class_names[raw.labels[place]]
        for at, column in enumerate(raw.table):
            assert by_name[column.name] == written(raw, place, at, by_name[column.name])


def written(raw: RawData, place: int, at: int, cell: str) -> str:
    """The cell as it would be written for the value that was read: `cell` itself where both are one number."""
    column, value = raw.table[at], float(raw.features[place, at])
    if column.kind == "category":
        return column.categories[int(value)]
    if column.kind == "boolean":
        return cell if cell.lower() == ("true" if value else "false") else str(bool(value))
    return cell if float(cell.replace(",", ".")) == value else str(value)
