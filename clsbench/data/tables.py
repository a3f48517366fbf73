"""Users' tables: CSV files and Parquet."""

from __future__ import annotations

import codecs
from collections.abc import Collection
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import MinLen

from clsbench.data.raw import RawData
from clsbench.errors import DataError
from clsbench.problems import Posed
from clsbench.registry import PathOption, ProblemName, dataset

if TYPE_CHECKING:
    from clsbench.data.preparation import Ints
    from clsbench.data.table_columns import Table
    from clsbench.data.table_text import TableText

Warnings = list[tuple[str, str]]


def _poses(*, encoding: str | None, split: str | None, test_path: str | None, **_: Any) -> Posed:
    if encoding is not None:
        try:
            codecs.lookup(encoding)
        except LookupError as error:
            raise ValueError(f"encoding {encoding!r} is unknown; give a name that Python knows, as cp1252") from error
    if split is not None and test_path is not None:
        raise ValueError("split and test_path both give a test set; give one of them")
    return Posed(own_test=split is not None or test_path is not None)


@dataset("csv", poses=_poses, drawn=False)
def csv(
    seed: int,
    problem: ProblemName | None = None,
    *,
    path: PathOption,
    target: str | list[str] | None = None,
    header: bool | None = None,
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
    """A table, as CSV or Parquet: one sample a row, its target in one column or several.

    `target` names the column of the target, by default the last one, or a list of several. One column of words or of
    few whole numbers holds classes, one of other numbers a value (regression). Several columns of 0 and 1 hold labels
    (multi_label), of shares that sum to 1 probabilities, of other numbers values. What was understood is said; the
    key `problem` sets it. Features are numbers, words or truth values.

    `header: false` says that the first row is a sample; the columns are then named 0, 1, ...; `header: true` says that
    it names the columns, however much it looks like a sample, which is refused by default. `delimiter` separates
    cells; by default a comma, a semicolon, a tab or a pipe is found. `encoding` is UTF-8 by default. `decimal` is the
    decimal mark, found by default. gzip is unpacked.

    `missing` says what is done with marks of missing values (an empty cell, NA, nan, null, ?): `error` refuses them,
    `drop` leaves out their rows, `mean` and `most_frequent` replace those of features by the training split's.
    `columns` are the features to use, `drop` those to leave out; by default all are used. `classes` gives the order of
    the classes, and refuses others; by default they are sorted, by value if all are numbers. Rows of equal `group`
    stay in one split. `split` is a column that says train, val or test; `test_path` is a table of test samples.
    """
    import numpy as np

    from clsbench.data.table_targets import read_targets

    def opened(file: str) -> TableText:
        from clsbench.data.table_header import check_names, opened_text

        text = opened_text(file, header, delimiter, encoding, decimal)
        _require_features_and_class(text)
        if header is not False:
            check_names(text, told=header is True)
        return text

    text = opened(path)
    asked = [text.names[-1]] if target is None else [target] if isinstance(target, str) else target
    targets_at = [text.place_of(name) for name in asked]
    group_at, split_at = (None if name is None else text.place_of(name) for name in (group, split))
    special = {place for place in (*targets_at, group_at, split_at) if place is not None}
    used, warnings = _features(text, targets_at, special, columns, drop)
    table = _read([text, *_test_texts(text, None if test_path is None else opened(test_path))], used, special)
    if not table.rows:
        raise DataError(f"{path}: there are no rows after the header; a dataset needs samples")
    kind, labels, names = read_targets(table, targets_at, classes, problem, drop=missing == "drop")
    features, described = table.features(used, decimal=text.decimal)
    lacking = labels < 0 if kind == "single_label" else np.isnan(labels).any(1)
    if missing == "drop":
        lacking |= np.isnan(features).any(1) if features.dtype != np.uint8 else False
        if lacking.any():
            left_out = f"{int(lacking.sum())} of {len(labels)} rows have missing values and were left out"
            warnings.append(("left-out-rows", left_out))
    elif missing == "error":
        table.refuse_missing(features, used)
    part = table.parts(split_at)
    rows = [np.flatnonzero((part == each) & ~lacking) for each in range(3)]
    if split is not None and not (len(rows[0]) and len(rows[2])):
        raise DataError(f"{path}: column {split!r} names no {'test' if len(rows[0]) else 'train'} rows; name some")
    groups = None if group_at is None else _groups(table, group_at, rows)
    everything = len(rows[0]) == len(labels)
    return RawData(
        features if everything else features[rows[0]],
        labels if everything else labels[rows[0]],
        len(names),
        names,
        columns=described,
        test_features=features[rows[2]] if len(rows[2]) else None,
        test_labels=labels[rows[2]] if len(rows[2]) else None,
        val_features=features[rows[1]] if len(rows[1]) else None,
        val_labels=labels[rows[1]] if len(rows[1]) else None,
        fill=missing if missing in ("mean", "most_frequent") else None,
        groups=groups,
        source=path,
        warnings=tuple(warnings),
        ordered=classes is not None,
        marks=None if text.is_parquet else (text.delimiter, text.decimal),
        kind=kind,
    )


def _require_features_and_class(text: TableText) -> None:
    if len(text.names) < 2:
        raise DataError(
            f"{text.path}:1: {len(text.names)} columns; there must be features and a class, separated by commas, or "
            "write the delimiter"
        )


def _test_texts(text: TableText, test: TableText | None) -> list[TableText]:
    if test is None:
        return []
    if test.names != text.names:
        raise DataError(
            f"{test.path}:1: its columns are not those of {text.path}; give the same columns in the same order"
        )
    return [test]


def _read(texts: list[TableText], used: Collection[int], special: Collection[int]) -> Table:
    """The used columns of one file or two; a column that is text in one is text in the other too."""
    from clsbench.data.table_columns import Table, TablePart

    parts = [TablePart(text, used, special) for text in texts]
    words = {place for part in parts for place in part.texts}
    return Table([part if words == set(part.texts) else TablePart(part.text, used, words) for part in parts])


def _groups(table: Table, place: int, rows: list[Ints]) -> Ints:
    """The group of each training row, none of which is in another split too."""
    import numpy as np

    groups = table.groups(place)
    outside = np.isin(groups[rows[0]], groups[np.concatenate(rows[1:])])
    if outside.any():
        name = table.text.names[place]
        raise DataError(f"{table.where(int(rows[0][outside.argmax()]))}: its {name!r} is in another split too")
    found: Ints = groups[rows[0]]
    return found


def _features(
    text: TableText,
    targets: Collection[int],
    special: Collection[int],
    columns: list[str] | None,
    drop: list[str] | None,
) -> tuple[list[int], Warnings]:
    """The places of the features, and warnings."""
    left_out = {*special}
    dropped = {text.place_of(name) for name in drop or ()}
    chosen = [text.place_of(name) for name in columns] if columns is not None else range(len(text.names))
    for what, places in (("drop", dropped), ("columns", set(chosen) if columns is not None else set())):
        if taken := places & set(targets):
            name = text.names[min(taken)]
            raise DataError(f"{text.path}: {what} names {name!r}, which is the target; leave it out there")
    warnings: Warnings = []
    if text.names[0] == "" and columns is None and 0 not in left_out | dropped:
        left_out.add(0)
        warnings.append(("left-out-column", "the first column has no name, as row numbers have, and was left out"))
    used = [place for place in chosen if place not in left_out | dropped]
    if not used:
        raise DataError(f"{text.path}: no column is left to learn from; leave fewer out")
    return used, warnings
