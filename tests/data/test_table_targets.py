"""What the target columns of a table are taken for: classes, labels, values or probabilities."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clsbench.data.raw import RawData, as_kind, as_raw
from clsbench.data.tables import csv
from clsbench.errors import DataError
from clsbench.registry import ProblemName

COLUMNS: dict[str, Callable[[int], object]] = {
    "x": lambda n: n * 7 % 11,
    "few": lambda n: n % 3,
    "many": lambda n: n * n,
    "price": lambda n: f"{n * 1.25 + 0.5}",
    "word": lambda n: "ab"[n % 2],
    "red": lambda n: n % 2,
    "blue": lambda n: "true" if n % 3 else "false",
    "share": lambda n: n % 5 / 5,
    "rest": lambda n: 1 - n % 5 / 5,
}


def table(folder: Path, changes: dict[int, str] | None = None) -> str:
    lines = [",".join(COLUMNS), *(",".join(str(of(n)) for of in COLUMNS.values()) for n in range(60))]
    for row, text in (changes or {}).items():
        lines[row] = text
    path = folder / "table.csv"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def read(path: str, target: str | list[str], problem: ProblemName | None = None, **options: Any) -> RawData:
    raw = as_raw(csv(0, problem, path=path, target=target, columns=["x"], **options))
    return raw if problem is None else as_kind(raw, problem)


@pytest.mark.parametrize(
    ("target", "kind", "names"),
    [
        ("few", "single_label", ("0", "1", "2")),
        ("word", "single_label", ("a", "b")),
        ("blue", "single_label", ("false", "true")),
        ("many", "regression", ("many",)),
        ("price", "regression", ("price",)),
        (["red", "blue"], "multi_label", ("red", "blue")),
        (["share", "rest"], "probability", ("share", "rest")),
        (["share", "red"], "regression", ("share", "red")),
        (["price", "few"], "regression", ("price", "few")),
    ],
)
def test_auto_takes_targets_for_what_they_look_like(
    tmp_path: Path, target: str | list[str], kind: str, names: tuple[str, ...]
) -> None:
    """Words and few whole numbers are classes, 0 and 1 in columns labels, shares probabilities, the rest values."""
    raw = read(table(tmp_path), target)
    assert (kind, names) == (raw.kind, raw.class_names)
    if kind != "single_label":
        assert (60, len(names)) == raw.labels.shape
        shown = {"true": 1, "false": 0}
        for column, name in enumerate(names):
            expected = [float(shown.get(str(COLUMNS[name](n)), COLUMNS[name](n))) for n in range(60)]  # type: ignore[arg-type]
            assert np.allclose(expected, raw.labels[:, column])


@pytest.mark.parametrize(
    ("target", "problem", "shape", "first"),
    [
        ("few", "regression", (60, 1), [2.0]),
        ("few", "multi_label", (60, 3), [0.0, 0.0, 1.0]),
        ("blue", "probability", (60, 1), [1.0]),
        ("share", "probability", (60, 1), [0.4]),
        ("many", "single_label", (60,), 2),
        (["red", "share"], "probability", (60, 2), [0.0, 0.4]),
    ],
)
def test_a_problem_that_is_asked_for_is_taken(
    tmp_path: Path, target: str | list[str], problem: ProblemName, shape: tuple[int, ...], first: Any
) -> None:
    """Classes become a column for each, or their number; numbers become labels, probabilities or classes."""
    raw = read(table(tmp_path), target, problem)
    assert (problem, shape) == (raw.kind, raw.labels.shape)
    assert first == raw.labels[2].tolist()


@pytest.mark.parametrize(
    ("target", "problem", "message"),
    [
        (["red", "word"], None, "column 'word' has words"),
        (["red", "red"], None, "names a column twice"),
        (["price", "red"], "multi_label", "label 'price' is 0.5 in row 0 of the labels; a label is 0 or 1"),
        ("price", "probability", "probability 'price' is 1.75 in row 1"),
        (["red", "blue"], "single_label", "one class a sample"),
        ("word", "regression", None),
    ],
)
def test_targets_of_another_kind_are_refused(
    tmp_path: Path, target: str | list[str], problem: ProblemName | None, message: str | None
) -> None:
    """The message names the column and the row; words may be numbered, as classes of which the user knows the order."""
    if message is None:
        assert [[0.0], [1.0]] == read(table(tmp_path), target, problem).labels[:2].tolist()
        return
    with pytest.raises(DataError, match=message):
        read(table(tmp_path), target, problem)


def test_missing_targets_are_refused_or_dropped(tmp_path: Path) -> None:
    """A row without its value is named, and left out where that is asked for; an infinite one is always refused."""
    path = table(tmp_path, {3: "1,0,4,,a,0,false,0,1"})
    with pytest.raises(DataError, match=r"table.csv:4: column 'price', a target, is missing; fill it in"):
        read(path, "price")
    assert (59, 1) == read(path, "price", missing="drop").labels.shape
    with pytest.raises(DataError, match=r"table.csv:4: column 'price', a target, must be finite"):
        read(table(tmp_path, {3: "1,0,4,inf,a,0,false,0,1"}), "price", missing="drop")


def test_large_numbers_stay_different_classes() -> None:
    """Whole numbers of values that are asked for as classes keep all of their digits as names."""
    raw = as_raw(RawData(np.eye(4), [[12345671.0], [12345672.0]] * 2, 1, kind="regression"))
    assert ("12345671", "12345672") == as_kind(raw, "single_label").class_names
