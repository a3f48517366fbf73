"""Users' tables: CSV files and Parquet."""

from __future__ import annotations

import codecs
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import MinLen

from clsbench.data import table_cells as cell
from clsbench.data.progress import told
from clsbench.data.raw import Column, RawData
from clsbench.errors import DataError
from clsbench.problems import Posed
from clsbench.registry import PathOption, dataset, suggestion

if TYPE_CHECKING:
    from clsbench.data.preparation import Ints
    from clsbench.data.table_text import TableText, Texts

MOST_CATEGORIES = 1000
MOST_NUMERIC_CLASSES = 20
SPLITS = {"train": 0, "training": 0, "val": 1, "valid": 1, "validation": 1, "test": 2, "testing": 2}


def _poses(*, encoding: str | None, split: str | None, test_path: str | None, **_: Any) -> Posed:
    if encoding is not None:
        try:
            codecs.lookup(encoding)
        except LookupError as error:
            raise ValueError(f"encoding {encoding!r} is unknown; give a name that Python knows, as cp1252") from error
    if split is not None and test_path is not None:
        raise ValueError("split and test_path both give a test set; give one of them")
    return Posed(own_test=split is not None or test_path is not None)


@dataset("csv", poses=_poses)
def csv(
    seed: int,
    *,
    path: PathOption,
    target: str | None = None,
    header: bool = True,
    delimiter: Annotated[str, MinLen(1)] | None = None,
    encoding: str | None = None,
    decimal: Literal[".", ","] | None = None,
    missing: Literal["error", "drop", "mean", "most_frequent"] = "error",
    columns: list[str] | None = None,
    drop: list[str] | None = None,
    classes: list[str] | None = None,
    group: str | None = None,
    split: str | None = None,
    test_path: PathOption | None = None,
) -> RawData:
    """A table, as CSV or Parquet: one sample a row, its class in one column, numbers, words or truth values in others.

    `target` names the column of the class, by default the last one. `header: false` says that the first row is a
    sample; the columns are then named 0, 1, ... `delimiter` separates cells; by default a comma, a semicolon, a tab or
    a pipe is found. `encoding` is UTF-8 by default. `decimal` is the decimal mark, found by default. gzip is unpacked.

    `missing` says what is done with marks of missing values (an empty cell, NA, nan, null, ?): `error` refuses them,
    `drop` leaves out their rows, `mean` and `most_frequent` replace those of features by the training split's.
    `columns` are the features to use, `drop` those to leave out; by default all are used. `classes` gives the order of
    the classes, and refuses others; by default they are sorted, by value if all are numbers. Rows of equal `group`
    stay in one split. `split` is a column that says train, val or test; `test_path` is a table of test samples.
    """
    import numpy as np

    asked = [split, group]
    text, target_at = _text(path, header, delimiter, encoding, decimal, target)
    names = text.names
    places = {role: _place(text, name) for role, name in (("group", group), ("split", split)) if name is not None}
    used, warnings = _features(text, target_at, [*places.values()], columns, drop)
    special = {target_at, *places.values()}
    tables = [_Table(text, used, special)]
    if test_path is not None:
        test, _ = _text(test_path, header, delimiter, encoding, decimal, names[target_at])
        if test.names != names:
            raise DataError(
                f"{test_path}:1: its columns are not those of {path}; give the same columns in the same order"
            )
        tables.append(_Table(test, used, special))
        words = {place for each in tables for place in each.texts}
        tables = [_Table(each.text, used, words) if words - set(each.texts) else each for each in tables]
    whole = _Whole(tables)
    if not whole.rows:
        raise DataError(f"{path}: there are no rows after the header; a dataset needs samples")
    labels, class_names = whole.labels(target_at, classes, drop=missing == "drop")
    features, described = whole.features(used, decimal=text.decimal)
    lacking = labels < 0
    if missing == "drop":
        lacking |= np.isnan(features).any(1) if features.dtype != np.uint8 else False
        if lacking.any():
            warnings.append(
                ("left-out-rows", f"{int(lacking.sum())} of {len(labels)} rows have missing values and were left out")
            )
    elif missing == "error":
        whole.refuse_missing(features, used)
    part = whole.parts(places.get("split"))
    groups = whole.groups(places["group"]) if "group" in places else None
    rows = [np.flatnonzero((part == each) & ~lacking) for each in range(3)]
    if asked[0] is not None and not (len(rows[0]) and len(rows[2])):
        raise DataError(f"{path}: column {split!r} names no {'test' if len(rows[0]) else 'train'} rows; name some")
    if groups is not None:
        outside = np.isin(groups[rows[0]], groups[np.concatenate(rows[1:])])
        if outside.any():
            raise DataError(f"{whole.where(int(rows[0][outside.argmax()]))}: its {group!r} is in another split too")
    everything = len(rows[0]) == len(labels)
    return RawData(
        features if everything else features[rows[0]],
        labels if everything else labels[rows[0]],
        len(class_names),
        class_names,
        columns=described,
        test_features=features[rows[2]] if len(rows[2]) else None,
        test_labels=labels[rows[2]] if len(rows[2]) else None,
        val_features=features[rows[1]] if len(rows[1]) else None,
        val_labels=labels[rows[1]] if len(rows[1]) else None,
        fill=missing if missing in ("mean", "most_frequent") else None,
        groups=None if groups is None else groups[rows[0]],
        source=path,
        warnings=tuple(warnings),
        marks=None if text.is_parquet else (text.delimiter, text.decimal),
    )


def opened_text(path: str, header: bool, delimiter: str | None, encoding: str | None, decimal: str | None) -> TableText:
    """The text of a table, the names of its columns read.

    Raises:
        DataError: it cannot be read, or in several ways.
    """
    from clsbench.data.table_files import content_of, is_parquet
    from clsbench.data.table_text import text_of, with_decimal

    told(f"reading {path}")
    content = content_of(path, encoding)
    if is_parquet(content):
        text = replace(text_of(path, _from_parquet(path, content), ","), is_parquet=True)
        return with_decimal(text.with_header(header), ".")
    return with_decimal(text_of(path, content, delimiter).with_header(header), decimal)


def _text(
    path: str, header: bool, delimiter: str | None, encoding: str | None, decimal: Any, target: str | None
) -> tuple[TableText, int]:
    """The text of a table with features and a class, and the place of its target."""
    text = opened_text(path, header, delimiter, encoding, decimal)
    names = text.names
    if len(names) < 2:
        raise DataError(
            f"{path}:1: {len(names)} columns; there must be features and a class, separated by commas, or write the "
            "delimiter"
        )
    if header:
        _check_header(text)
    return text, len(names) - 1 if target is None else _place(text, target)


def _from_parquet(path: str, content: bytes) -> bytes:
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


def _check_header(text: TableText) -> None:
    names, rows = text.names, text.sample
    hint = "write header: false if it is one, else give the columns names"
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
    seen: set[str] = set()
    for place, name in enumerate(names):
        if not name and place:
            raise DataError(f"{text.path}:1: column {place + 1} has no name; give it one")
        if name in seen:
            raise DataError(f"{text.path}:1: column {name!r} comes twice; give every column a different name")
        seen.add(name)


def _starts(names: Sequence[str]) -> list[int]:
    return [int(names[0])] if names and names[0].isdecimal() else []


def _place(text: TableText, name: str) -> int:
    if name not in text.names:
        raise DataError(f"{text.path}:1: there is no column {name!r}; {suggestion(name, text.names)}")
    return text.names.index(name)


def _features(
    text: TableText, target: int, others: Collection[int], columns: list[str] | None, drop: list[str] | None
) -> tuple[list[int], list[tuple[str, str]]]:
    """The places of the features, and warnings."""
    left_out = {target, *others}
    dropped = {_place(text, name) for name in drop or ()}
    chosen = [_place(text, name) for name in columns] if columns is not None else range(len(text.names))
    for what, places in (("drop", dropped), ("columns", set(chosen) if columns is not None else set())):
        if target in places:
            raise DataError(
                f"{text.path}: {what} names {text.names[target]!r}, which is the target; leave it out there"
            )
    warnings = []
    if text.names[0] == "" and columns is None and 0 not in left_out | dropped:
        left_out.add(0)
        warnings.append(("left-out-column", "the first column has no name, as row numbers have, and was left out"))
    used = [place for place in chosen if place not in left_out | dropped]
    if not used:
        raise DataError(f"{text.path}: no column is left to learn from; leave fewer out")
    return used, warnings


class _Table:
    """The used columns of one file."""

    def __init__(self, text: TableText, used: Collection[int], words: Collection[int]) -> None:
        from clsbench.data.table_text import read

        self.text = text
        self.numbers, self.numeric, self.texts = read(text, {*used, *words}, words)
        self.rows = len(self.numbers) if self.numeric else len(next(iter(self.texts.values())).codes)


class _Whole:
    """The rows of a table, and after them those of the table of test samples, if there is one."""

    def __init__(self, tables: Sequence[_Table]) -> None:
        import numpy as np

        self.tables = tables
        self.text = tables[0].text
        self.rows = sum(table.rows for table in tables)
        self.numeric = tables[0].numeric
        self.numbers = tables[0].numbers if len(tables) == 1 else np.concatenate([table.numbers for table in tables])

    def column(self, place: int) -> tuple[Ints, dict[str, int]]:
        """The numbers of the names in a column of text, and the names."""
        import numpy as np

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
        import numpy as np

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
        if self.rows and given and all(value is not None for value in numbers.values()) and classes is None:
            distinct = set(numbers.values())
            if len(distinct) > MOST_NUMERIC_CLASSES and (
                3 * len(distinct) > self.rows or any(value != int(value or 0) for value in distinct)
            ):
                raise DataError(
                    f"{self.text.path}: {self.rows} rows hold {len(distinct)} values of column {name!r}; is this a "
                    "number to predict? Write target: the column that holds the class"
                )
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

    def features(self, used: Sequence[int], decimal: str) -> tuple[Any, tuple[Column, ...]]:
        """`[rows, features]`, and the columns."""
        import numpy as np

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
        import numpy as np

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
        import numpy as np

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
        import numpy as np

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
        import numpy as np

        codes, values = self.column(place)
        lacks = np.array([cell.is_missing(text) for text in values], bool)[codes]
        if lacks.any():
            raise DataError(
                f"{self.where(int(lacks.argmax()))}: column {self.text.names[place]!r}, the group, is missing"
            )
        return codes
