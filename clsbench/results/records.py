"""Many records, kept in columns: a record takes a few hundred bytes so, and several thousand as a dict."""

from __future__ import annotations

import operator
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import Any, cast, overload

from clsbench.results.columns import Column
from clsbench.results.record import Record

AT_ONCE = 50  # about so many records are held as dicts, and put into columns together


class Table:
    """Records that are added one after another; `Records` reads them."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._columns: dict[str, Column] = {}
        self._fields: list[tuple[str, ...]] = []  # those that a record may have, in its order
        self._number_of: dict[tuple[str, ...], int] = {}
        self._kinds = array("l")  # of each record, the place of its fields
        self._waiting = list[Mapping[str, Any]]()  # to be put into columns
        self.extend(records)

    def __len__(self) -> int:
        return len(self._kinds) + len(self._waiting)

    def extend(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Add records. A few wait for more: putting many into columns together is several times as fast."""
        left = iter(records)
        while some := list(islice(left, AT_ONCE)):
            self._waiting += map(_copied, some)
            if len(self._waiting) >= AT_ONCE:
                self._settle()

    def _settle(self) -> None:
        waiting, self._waiting = self._waiting, []
        for fields, alike in groupby(waiting, tuple):
            self._add(fields, list(alike))

    def _add(self, fields: tuple[str, ...], records: Sequence[Mapping[str, Any]]) -> None:
        """Add records that have these fields, in this order."""
        if (number := self._number_of.get(fields)) is None:
            number = self._number_of[fields] = len(self._fields)
            self._fields.append(fields)
            for name in fields:
                self._columns.setdefault(name, Column())
        place, columns = len(self._kinds), zip(*(record.values() for record in records), strict=True)
        for name, values in zip(fields, columns, strict=True):
            self._columns[name].put(place, values)
        self._kinds.extend([number] * len(records))

    def record(self, place: int) -> Record:
        """The record at a place, as a dict of its own."""
        self._settle()
        columns = self._columns
        found: Any = {name: columns[name].at(place) for name in self._fields[self._kinds[place]]}
        return cast(Record, found)

    def values(self, field: str, places: Sequence[int]) -> list[Any]:
        """A field of the records at some places, of `METRIC[CLASS]` that of the class; None where they have none."""
        self._settle()
        column = self._columns.get(field)
        if column is not None:
            return column.values(places)
        name, _, of_class = field.removesuffix("]").partition("[")
        column = self._columns.get(name) if field.endswith("]") else None
        return [None] * len(places) if column is None else column.of_class(of_class, places)


def _copied(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record as it is now: what it was made from may change before it is put into columns."""
    return {name: dict(value) if isinstance(value, dict) else value for name, value in record.items()}


class Records(Sequence[Record]):
    """Records of a run, in order: a sequence of dicts, each of which is made when it is asked for.

    `column` gives a field of all of them at once, which is faster.
    """

    def __init__(self, table: Table, places: Sequence[int] | None = None) -> None:
        self._table = table
        self._places = range(len(table)) if places is None else places

    @classmethod
    def of(cls, records: Iterable[Record]) -> Records:
        """The records, in columns."""
        return records if isinstance(records, Records) else cls(Table(records))

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> Records: ...
    def __getitem__(self, place: int | slice) -> Record | Records:
        if isinstance(place, slice):
            return Records(self._table, self._places[place])
        return self._table.record(self._places[place])

    def __iter__(self) -> Iterator[Record]:
        return map(self._table.record, self._places)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(mine == its for mine, its in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Records({len(self)} of {len(set(self.column('trial')))} trials)"

    def table(self) -> Table:
        """A table of these records alone."""
        whole = len(self) == len(self._table) and all(map(operator.eq, self._places, range(len(self))))
        return self._table if whole else Table(self)

    def column(self, field: str) -> list[Any]:
        """A field of every record, as `value_of` reads it: None where a record has none."""
        return self._table.values(field, self._places)

    def at(self, places: Iterable[int]) -> Records:
        """The records at these places, in their order."""
        own = self._places
        return Records(self._table, array("q", [own[place] for place in places]))

    def where(self, field: str, *values: object) -> Records:
        """The records whose field has one of the values."""
        return self.at(place for place, value in enumerate(self.column(field)) if value in values)

    def of_trials(self, number: int) -> Records:
        """The records of the first trials, by their numbers."""
        return self.at(place for place, trial in enumerate(self.column("trial")) if trial < number)

    def by(self, field: str) -> dict[Any, Records]:
        """The records of each value of a field, in the order of their first."""
        found: dict[Any, array[int]] = {}
        for value, place in zip(self.column(field), self._places, strict=True):
            found.setdefault(value, array("q")).append(place)
        return {value: Records(self._table, places) for value, places in found.items()}
