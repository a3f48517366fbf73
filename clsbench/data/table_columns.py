"""What the columns of a table are to a dataset: its classes, features, splits and groups."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clsbench.data import table_cells as cell
from clsbench.data.raw import Column
from clsbench.data.table_arrow import read
from clsbench.errors import DataError

if TYPE_CHECKING:
    from clsbench.data.preparation import Floats, Ints
    from clsbench.data.table_arrow import Texts
    from clsbench.data.table_text import TableText

MOST_CATEGORIES = 1000
SPLITS = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "test": 2, "testing": 2}


class TablePart:
    """The used columns of one file."""

    def __init__(self, text: TableText, used: Collection[int], words: Collection[int]) -> None:
        self.text = text
        self.numbers, self.numeric, self.texts = read(text, {*used, *words}, words)
        self.rows = len(self.numbers) if self.numeric else len(next(iter(self.texts.values())).codes)


class Table:
    """The rows of a table, and after them those of the table of test samples, if there is one."""

    def __init__(self, tables: Sequence[TablePart]) -> None:
        self.tables = tables
        self.text = tables[0].text
        self.rows = sum(table.rows for table in tables)
        self.numeric = tables[0].numeric
        self.numbers = tables[0].numbers if len(tables) == 1 else np.concatenate([table.numbers for table in tables])

    def column(self, place: int) -> tuple[Ints, dict[str, int]]:
        """The numbers of the names in a column of text, and the names."""
        names: dict[str, int] = {}
        codes = []
        for table in self.tables:
            texts: Texts = table.texts[place]
            at = np.array([names.setdefault(name, len(names)) for name in texts.values], np.int64)
            codes.append(at[texts.codes])
        return np.concatenate(codes), names

    def where(self, row: int) -> str:
        """`FILE:LINE` of a row."""
        for table in self.tables:
            if row < table.rows:
                return f"{table.text.path}:{table.text.line_of(row)}"
            row -= table.rows
        raise AssertionError("there is no such row")

    def labels(self, target: int, classes: list[str] | None, *, drop: bool) -> tuple[Ints, tuple[str, ...]]:
        """The number of each row's class, -1 where it is missing, and the names of the classes."""
        name = self.text.names[target]
        codes, values = self.column(target)
        given = [text for text in values if not cell.is_missing(text, classes or ())]
        lacks = np.array([cell.is_missing(text, classes or ()) for text in values], bool)[codes]
        if lacks.any() and not drop:
            raise DataError(
                f"{self.where(int(lacks.argmax()))}: column {name!r}, the class, is missing in "
                f"{int(lacks.sum())} rows, this one first; fill them in, or write missing: drop"
            )
        numbers = {text: cell.number(text, self.text.decimal) for text in given}
        by_value: dict[Any, str] = {}
        for text in sorted(given, key=lambda each: (len(each.strip()), each)):
            by_value.setdefault(numbers[text] if numbers[text] is not None else text, text)
        if broken := [text for text in by_value.values() if "\n" in text]:
            row = int((codes == values[broken[0]]).argmax())
            raise DataError(f"{self.where(row)}: a class with a line break, {broken[0]!r:.80}; check the quotes")
        if pair := cell.alike(list(by_value.values()), case=True):
            raise DataError(
                f"{self.text.path}: column {name!r} has the classes {pair[0]!r} and {pair[1]!r}, which differ only by "
                "case or invisible characters; write one of them everywhere"
            )
        ordered = cell.in_order(text.strip() for text in by_value.values())
        if classes is not None:
            known = {cell.number(each) if cell.number(each) is not None else each for each in classes}
            for key, text in by_value.items():
                if (key.strip() if isinstance(key, str) else key) not in known:
                    row = int((codes == values[text]).argmax())
                    raise DataError(f"{self.where(row)}: class {text.strip()!r} is not among `classes`; add it there")
            ordered = list(classes)
        number_of = {cell.number(each) if cell.number(each) is not None else each: n for n, each in enumerate(ordered)}
        places = np.array(
            [
                number_of.get(numbers[t] if numbers.get(t) is not None else t.strip(), -1) if t in numbers else -1
                for t in values
            ],
            np.int64,
        )
        return places[codes], tuple(ordered)

    def values(self, place: int) -> Floats | None:
        """`[rows]`: a column as numbers, truth values as 0 and 1, NaN where it is missing; None if it has words."""
        codes, texts = self.column(place)
        given = [text for text in texts if not cell.is_missing(text)]
        found = {text: value for text in given if (value := cell.number(text, self.text.decimal)) is not None}
        if len(found) < len(given):
            truth = cell.truth_values(given)
            if truth is None:
                return None
            found = truth
        values: Floats = np.array([found.get(text, np.nan) for text in texts])[codes]
        return values

    def features(self, used: Sequence[int], decimal: str) -> tuple[Any, tuple[Column, ...]]:
        """`[rows, features]`, and the columns."""
        names = self.text.names
        infinite = np.isinf(self.numbers)
        if infinite.any():
            row, column = (int(n) for n in np.argwhere(infinite)[0])
            raise DataError(
                f"{self.where(row)}: column {names[self.numeric[column]]!r} has {self.numbers[row, column]}; every "
                "number must be finite"
            )
        if list(used) == self.numeric:
            return self.numbers, tuple(Column(names[place]) for place in used)
        out = np.empty((self.rows, len(used)))
        described = []
        for at, place in enumerate(used):
            if place in self.numeric:
                out[:, at] = self.numbers[:, self.numeric.index(place)]
                described.append(Column(names[place]))
            else:
                out[:, at], meaning = self._words(place, decimal)
                described.append(meaning)
        return out, tuple(described)

    def _words(self, place: int, decimal: str) -> tuple[Any, Column]:
        """The cells of a column of text as numbers, and what they mean."""
        name = self.text.names[place]
        codes, values = self.column(place)
        given = [text for text in values if not cell.is_missing(text)]
        numbers = {text: value for text in given if (value := cell.number(text, decimal)) is not None}
        counts = dict(zip(values, np.bincount(codes, minlength=len(values)).tolist(), strict=True))

        def filled(found: dict[str, float]) -> Any:
            return np.array([found.get(text, np.nan) for text in values])[codes]

        if len(numbers) == len(given):
            if bad := [text for text, value in numbers.items() if value in (float("inf"), float("-inf"))]:
                row = int((codes == values[bad[0]]).argmax())
                raise DataError(f"{self.where(row)}: column {name!r} has {bad[0]!r}; every number must be finite")
            return filled(numbers), Column(name)
        if (truth := cell.truth_values(given)) is not None:
            return filled(truth), Column(name, "boolean")
        odd = [text for text in given if text not in numbers]
        if cell.is_mixed(numbers, {text: counts[text] for text in given}) or (broken := [t for t in odd if "\n" in t]):
            text = odd[0] if numbers else broken[0]
            row = int((codes == values[text]).argmax())
            raise DataError(
                f"{self.where(row)}: column {name!r} has {text!r:.80}, and numbers in other rows; correct the cell, or "
                f"write drop: [{name}]"
            )
        if all(cell.number(text, "." if decimal == "," else ",") is not None for text in given):
            raise DataError(
                f"{self.text.path}: column {name!r} has {given[0]!r}; if this is a number, write decimal: "
                f"{'.' if decimal == ',' else ','!r}, or drop: [{name}]"
            )
        categories = cell.in_order({text.strip() for text in given})
        if pair := cell.alike(categories, case=False):
            raise DataError(
                f"{self.text.path}: column {name!r} has {pair[0]!r} and {pair[1]!r}, which differ only by invisible "
                "characters; write one of them everywhere"
            )
        if len(categories) > MOST_CATEGORIES or (len(categories) > 50 and 2 * len(categories) > self.rows):
            raise DataError(
                f"{self.text.path}: column {name!r} is text with {len(categories)} values in {self.rows} rows, too "
                f"many for categories; write drop: [{name}], or make numbers of it"
            )
        at = {text: float(number) for number, text in enumerate(categories)}
        return filled({text: at[text.strip()] for text in given}), Column(name, "category", tuple(categories))

    def refuse_missing(self, features: Any, used: Sequence[int]) -> None:
        """Refuse missing values, named by column."""
        if features.dtype == np.uint8:
            return
        lacks = np.isnan(features)
        counts = lacks.sum(0)
        found = np.flatnonzero(counts)
        if len(found):
            shown = ", ".join(f"{counts[at]} in {self.text.names[used[at]]!r}" for at in found[:5])
            more = f" and {len(found) - 5} more columns" if len(found) > 5 else ""
            first = self.where(int(lacks.any(1).argmax()))
            raise DataError(
                f"{first}: missing values: {shown}{more}, this row first; write missing: drop, mean or most_frequent"
            )

    def parts(self, place: int | None) -> Ints:
        """0, 1 or 2 for each row: training, validation, test."""
        if place is None:
            return np.repeat(np.array([0, 2][: len(self.tables)]), [table.rows for table in self.tables])
        codes, values = self.column(place)
        parts = np.array([SPLITS.get(text.strip().lower(), -1) for text in values])[codes]
        if (parts < 0).any():
            row = int((parts < 0).argmax())
            what = f"column {self.text.names[place]!r} has {list(values)[codes[row]]!r}"
            raise DataError(f"{self.where(row)}: {what}; write train, val or test")
        return parts

    def groups(self, place: int) -> Ints:
        """The number of each row's group."""
        codes, values = self.column(place)
        lacks = np.array([cell.is_missing(text) for text in values], bool)[codes]
        if lacks.any():
            raise DataError(
                f"{self.where(int(lacks.argmax()))}: column {self.text.names[place]!r}, the group, is missing"
            )
        return codes
