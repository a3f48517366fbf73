"""CSV files: what they hold arrives, and every fault is told with its place."""

from __future__ import annotations

import gzip
import os
import random
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from clsbench.data.raw import as_raw
from clsbench.data.sources import steady
from clsbench.data.splits import split
from clsbench.data.tables import csv
from clsbench.errors import DataError
from clsbench.registry import catalogue


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "irises.csv"
    path.write_text("length,kind,width\n1.5,setosa,2\n\n1e-3,virginica,-4\n5,setosa,6\n")
    return path


def test_target_may_be_any_column(table: Path) -> None:
    """The named column gives the classes, in sorted order; the others are the features; blank lines do not count."""
    raw = as_raw(csv(0, path=str(table), target="kind"))
    np.testing.assert_array_equal([[1.5, 2], [1e-3, -4], [5, 6]], raw.features)
    assert [0, 1, 0] == raw.labels.tolist()
    assert ("setosa", "virginica") == raw.class_names


def test_last_column_is_the_target_by_default(table: Path) -> None:
    """Without a target the last column gives the classes; numbers sort by their value, -4 before 2."""
    table.write_text("x,y\n1,10\n2,9\n3,-4\n")
    raw = csv(0, path=str(table))
    assert ("-4", "9", "10") == raw.class_names
    assert [2, 1, 0] == raw.labels.tolist()


def test_spreadsheets_files_are_read(table: Path) -> None:
    """A byte-order mark, Windows line ends and quoted commas are no obstacle."""
    table.write_bytes('\ufeffx,"a,b",kind\r\n1,2,"ä, ö"\r\n3,4,z\r\n'.encode())
    raw = csv(0, path=str(table))
    assert ("z", "ä, ö") == raw.class_names
    np.testing.assert_array_equal([[1, 2], [3, 4]], raw.features)


def test_byte_order_mark_inside_a_table_is_text(table: Path) -> None:
    """Also where the rows begin: only that of the file is no part of a cell, and an invisible one is refused."""
    table.write_text("x,kind\n\ufeffb,yes\na,no\n", encoding="utf-8")
    raw = csv(0, path=str(table), target="kind")
    assert ("a", "\ufeffb") == raw.table[0].categories
    table.write_text("kind,x\n\ufeffa,1\na,2\nb,3\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"has the classes 'a' and '.ufeffa', which differ only by"):
        csv(0, path=str(table), target="kind")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r":1: 0 columns"),
        ("abc\n1\n", ":1: 1 columns; .* separated by commas"),
        ("a,b\n", ": there are no rows"),
        ("1,2\n3,4\n", ":1: the first row holds numbers"),
        ("a,a,b\n1,2,3\n", ":1: column 'a' comes twice"),
        ("a,b\n1,x\n2,3,y\n", ":3: 3 cells where the first row has 2"),
        ("a,b\n1,x\n\n,y\n", ":4: missing values: 1 in 'a'"),
        ("a,b\n1,x\nnan,y\n", ":3: missing values: 1 in 'a'"),
        ("a,b\n1,x\n-inf,y\n", ":3: column 'a' has -inf"),
        ("a,b\n1,x\nred,y\n", ":3: column 'a' has 'red'"),
        ("a,b\n1,x\n2, \n", ":3: column 'b', the class, is missing in 1 rows"),
        ('a,b\n1,"x" y\n', ":2: a quote .* inside a cell"),
        ('a,b\n1,"x\n', ": .*; quote cells as CSV does"),
    ],
)
def test_fault_is_named_with_file_line_and_column(table: Path, text: str, message: str) -> None:
    """What is no table of numbers is refused in one line that begins like a compiler's."""
    table.write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        csv(0, path=str(table))
    assert str(caught.value).startswith(str(table))
    assert "\n" not in str(caught.value)


def test_line_of_text_that_is_no_utf8_is_named(table: Path) -> None:
    """Latin-1 is refused where its first foreign byte stands."""
    table.write_bytes("x,kind\n1,a\n2,\xe4\n".encode("latin-1"))
    with pytest.raises(DataError, match=":3: not UTF-8 text"):
        csv(0, path=str(table))


def test_misspelt_target_gets_the_nearest_column(table: Path) -> None:
    """A target that is no column is answered with the one that was meant."""
    with pytest.raises(DataError, match="no column 'knd'; did you mean 'kind'"):
        csv(0, path=str(table), target="knd")


def test_missing_file_or_folder_is_named(tmp_path: Path) -> None:
    """A path that is absent, or a folder, is told as such."""
    with pytest.raises(DataError, match=r"none\.csv: cannot be read \(No such file"):
        csv(0, path=str(tmp_path / "none.csv"))
    with pytest.raises(DataError, match="Is a directory"):
        csv(0, path=str(tmp_path))


@given(
    numbers=st.lists(
        st.one_of(st.integers(-300, 300), st.floats(allow_nan=False, allow_infinity=False)), min_size=4, max_size=40
    ),
    columns=st.integers(1, 4),
)
def test_numbers_are_read_as_python_reads_them(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[float], columns: int
) -> None:
    """Whole or not, small or large, in any order: each is the double that its text means, its sign included."""
    rows = [numbers[start : start + columns] for start in range(0, len(numbers) - columns + 1, columns)]
    path = tmp_path_factory.mktemp("table") / "t.csv"
    header = ",".join([*(f"x{n}" for n in range(columns)), "kind"])
    path.write_text("\n".join([header, *(",".join([*map(repr, row), "ab"[n % 2]]) for n, row in enumerate(rows))]))
    features = csv(0, path=str(path)).features.astype(np.float64)
    assert np.array([[float(repr(x)) for x in row] for row in rows]).tobytes() == features.tobytes()


def test_small_whole_numbers_take_a_byte_each(table: Path) -> None:
    """Pixels do; a fraction, a sign or a 256 further down makes doubles of all of them, and loses none."""
    for last, kind in (("255", "uint8"), ("256", "float64"), ("-1", "float64"), ("0.5", "float64"), ("-0", "float64")):
        table.write_text(f"x,y,kind\n0,1,a\n2, 3,b\n{last},5,a\n")
        features = csv(0, path=str(table)).features
        assert kind == str(features.dtype)
        assert [[0, 1], [2, 3], [float(last), 5]] == features.tolist()


def test_many_columns_are_read(table: Path) -> None:
    """50,000 columns are no more than 50,000 names: one that comes twice is found."""
    names, cells = [f"x{n}" for n in range(50_000)], ",".join(["1"] * 50_000)
    table.write_text("\n".join([",".join([*names, "kind"]), f"{cells},a", f"{cells},b"]))
    assert (2, 50_000) == csv(0, path=str(table)).features.shape
    table.write_text(",".join([*names, names[-1]]))
    with pytest.raises(DataError, match="column 'x49999' comes twice"):
        csv(0, path=str(table))


@pytest.mark.parametrize("number", [lambda: repr(random.random()), lambda: str(random.randrange(10))])
def test_memory_is_bounded_by_the_size_of_the_table(table: Path, number: Callable[[], str]) -> None:
    """Reading, checking and splitting a table never takes more than three times its size, digits as decimals."""
    lines = [",".join([*(number() for _ in range(500)), "ab"[n % 2]]) for n in range(1000)]
    table.write_text("\n".join([",".join([*(f"x{n}" for n in range(500)), "kind"]), *lines]))
    csv(0, path=str(table))  # what is imported on the way is not counted
    tracemalloc.start()
    try:
        split(as_raw(csv(0, path=str(table))), test_fraction=0.2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Chunks of arithmetic have a size of their own.
    assert peak < 3 * table.stat().st_size + 5e6


def _fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def _filled(path: Path, content: bytes, size: int = 0) -> Path:
    path.write_bytes(content)
    os.truncate(path, max(size, len(content)))
    return path


def _png(path: Path) -> Path:
    Image.new("RGB", (12, 7)).save(path, "PNG")
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_fifo, "it is a FIFO, not a file"),
        (lambda path: Path("/dev/zero"), "it is a device, not a file"),
        (lambda path: Path("/dev/stdin"), "not a file|columns|cannot be read"),
        (lambda path: path.parent, "Is a directory"),
        (_png, "not UTF-8 text|NUL character"),
        (lambda path: _filled(path, b"\0\0\x08\x03" + bytes(12)), ":1: a NUL character"),
        (lambda path: _filled(path, b"a,b\n", 2**34), ":2: a NUL character"),
        (lambda path: _filled(path, b"1" * (2**26 + 9)), ":1: the line has 67,108,864 characters or more"),
    ],
    ids=["fifo", "endless", "stdin", "folder", "image", "idx", "sparse", "one line"],
)
def test_what_is_no_table_is_refused_at_once(tmp_path: Path, make: Callable[[Path], Path], message: str) -> None:
    """Nothing is waited for, and no more is read than a line of a table can have."""
    with pytest.raises(DataError, match=message):
        csv(0, path=str(make(tmp_path / "thing")))


def test_file_that_grows_while_it_is_read_is_refused(table: Path) -> None:
    """It ends where it ended when it was opened, and is not taken for whole."""
    before, seen = table.read_bytes(), []

    def read() -> None:
        with steady(table) as file:
            with table.open("ab") as writer:
                writer.write(b"7,setosa,8\n")
            seen.append(file.read())

    with pytest.raises(DataError, match=r"irises\.csv: the file changed while it was read"):
        read()
    assert [before] == seen


@pytest.mark.parametrize(
    ("text", "options", "classes", "features"),
    [
        ("5.1,a\n4,b\n", {"header": False}, ("a", "b"), [[5.1], [4]]),
        ("2.5,a\n4,b\n5,a\n", {"header": True}, ("a", "b"), [[4], [5]]),
        (",x,k\n0,5,a\n1,6,b\n", {}, ("a", "b"), [[5], [6]]),
        ("\ufeff\ufeffx,k\n5,a\n6,b\n", {"columns": ["x"]}, ("a", "b"), [[5], [6]]),
        ("x,k\n1,NA\n2,a\n3,b\n", {"missing": "drop"}, ("a", "b"), [[2], [3]]),
        ("x,k\n1,0\n2,0.0\n3,1\n4,1.0\n", {}, ("0", "1"), [[1], [2], [3], [4]]),
        ("x,k\n1,low\n2,high\n", {"classes": ["low", "high"]}, ("low", "high"), [[1], [2]]),
        ("a;b;k\n1,5;2;x\n2,5;3;y\n", {}, ("x", "y"), [[1.5, 2], [2.5, 3]]),
        ("sep=;\na;k\n1;x\n2;y\n", {}, ("x", "y"), [[1], [2]]),
        ("s,t,k\nm,true,x\nf,FALSE,y\n", {}, ("x", "y"), [[1, 1], [0, 0]]),
        ("x,y\n1,a\n2,b\n", {"target": "y"}, ("a", "b"), [[1], [2]]),
        ("x,z,k\n1,2,a\n3,4,b\n", {"columns": ["z"]}, ("a", "b"), [[2], [4]]),
        ("x,z,k\n1,2,a\n3,4,b\n", {"drop": ["z"]}, ("a", "b"), [[1], [3]]),
    ],
)
def test_tables_are_read_as_people_have_them(
    table: Path, text: str, options: dict[str, Any], classes: tuple[str, ...], features: list[list[float]]
) -> None:
    """No header, a nameless column, missing and equal names, separators, decimal commas, words: each is read."""
    table.write_text(text)
    raw = as_raw(csv(0, path=str(table), **options))
    assert (classes, features) == (raw.class_names, raw.features.tolist())


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("5.1,4.2,a\n4,3.1,b\n", {}, ":1: the first row holds numbers .*; write header: false"),
        ("x,k\n1,a\n2,NA\n3,\n", {}, ":3: column 'k', the class, is missing in 2 rows"),
        ("x,k\n1,Yes\n2,yes\n", {}, "classes 'Yes' and 'yes', which differ only by case"),
        ("x,k\n1,a\n2,a\u200b\n", {}, "differ only by case or invisible characters"),
        ("x,k\n1,low\n2,high\n", {"classes": ["low"]}, ":3: class 'high' is not among `classes`"),
        ("x,n,k\n1,1.5,a\n2,1.x,b\n3,2,a\n", {}, ":3: column 'n' has '1.x', and numbers in other rows"),
        ("a\tk\n1,234\tx\n2,345\ty\n", {}, "may be a fraction or in thousands; write decimal"),
        ("a|b;k|c\n1|2;3|4\n", {}, "separated by semicolon or pipe"),
        ("x,s,k\n1,train,a\n2,tset,b\n", {"split": "s"}, ":3: column 's' has 'tset'; write train, val or test"),
    ],
)
def test_doubtful_table_is_refused_with_what_to_write(
    table: Path, text: str, options: dict[str, Any], message: str
) -> None:
    """What could be read in two ways is read in none."""
    table.write_text(text)
    with pytest.raises(DataError, match=message):
        csv(0, path=str(table), **options)


def test_packed_encoded_and_columnar_tables_are_equal(table: Path) -> None:
    """gzip, another encoding and Parquet give the same samples as plain text."""
    import pyarrow
    import pyarrow.parquet

    plain = csv(0, path=str(table), target="kind")
    packed, latin, columnar = (table.with_name(name) for name in ("a.gz", "b.csv", "c.parquet"))
    packed.write_bytes(gzip.compress(table.read_bytes()))
    latin.write_bytes(table.read_text().encode("utf-16"))
    cells = {"length": [1.5, 1e-3, 5.0], "kind": ["setosa", "virginica", "setosa"], "width": [2, -4, 6]}
    pyarrow.parquet.write_table(pyarrow.table(cells), columnar)
    for path, options in ((packed, {}), (latin, {"encoding": "utf-16"}), (columnar, {})):
        raw = csv(0, path=str(path), target="kind", **options)
        assert plain.class_names == raw.class_names
        assert plain.features.tolist() == raw.features.tolist()


def test_split_column_and_test_file_are_the_test_set(table: Path) -> None:
    """Both are known before the table is opened, and their categories are numbered together."""
    table.write_text("c,s,k\nu,train,a\nv,test,b\nu,train,b\nv,val,a\n")
    raw = as_raw(csv(0, path=str(table), split="s"))
    assert ([[0], [0]], [[1]], [[1]]) == tuple(x.tolist() for x in (raw.features, raw.test_features, raw.val_features))
    table.write_text("c,k\nu,a\nv,b\n")
    other = table.with_name("test.csv")
    other.write_text("c,k\nw,b\nu,a\n")
    raw = as_raw(csv(0, path=str(table), test_path=str(other)))
    assert ([[0], [1]], [[2], [0]]) == (raw.features.tolist(), raw.test_features.tolist())
    spec = catalogue.get("dataset", "csv")
    options = {name: option.default for name, option in spec.options.items()}
    assert [False, True] == [spec.poses(**options | {"test_path": each}).own_test for each in (None, "t.csv")]
