"""Tables and folders as people have them, each the small form of a public report: read as meant, or refused by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import clsbench

Check = Callable[..., tuple[int, str]]

EXPERIMENT = """
name: own
dataset: {name: NAME, path: data}
model: linear
loss: [cross_entropy]
train: {epochs: 1, seeds: 1, device: cpu}
silence: [repeated-samples]
report: off
"""


@pytest.fixture
def check(tmp_path: Path, invoke: Callable[..., Any]) -> Check:
    """`check("csv", overrides)`: exit code, and what `check --data` says of `tmp_path / "data"`, on one line."""

    def answer(name: str, *overrides: str) -> tuple[int, str]:
        config = tmp_path / "own.yaml"
        config.write_text(EXPERIMENT.replace("NAME", name))
        done = invoke("check", "--data", config, *overrides)
        return done.exit_code, " ".join((done.stdout + done.stderr).split())

    return answer


def rows(count: int, row: Callable[[int], str]) -> str:
    return "".join(f"{row(number)}\n" for number in range(count))


def noise(number: int) -> str:
    """A measurement that no two rows share, and that says nothing of the class."""
    return f"{(number * 7919) % 997 / 100 + number / 1e6:.6f}"


HEADERLESS = rows(60, lambda n: f"{noise(n)},{'ab'[n % 2]}")
MIXED = "sex,age,smokes,city,kind\n" + rows(
    60, lambda n: f"{'mf'[n // 2 % 2]},{noise(n)},{n % 3 == 0},{['Wien', '', 'Oslo'][n % 3]},{'xy'[n % 2]}"
)
SAMPLES = "36 training, 12 validation and 12 test samples"

TABLES: dict[str, tuple[str, list[str], int, list[str]]] = {
    "headerless": (HEADERLESS, [], 4, ["data:1: the first row holds numbers and looks like a sample", "header: false"]),
    "headerless, as told": (HEADERLESS, ["dataset.header=false"], 0, [f"{SAMPLES} of 1 number"]),
    "numbers for names": (
        "2019,7.5,a\n" + HEADERLESS.replace(",", ",1,"),
        ["dataset.header=true"],
        0,
        [f"{SAMPLES} of 2 numbers"],
    ),
    "nameless row number": (
        ",x,kind\n" + rows(60, lambda n: f"{n},{noise(n)},{'ab'[n // 30]}"),
        [],
        0,
        [f"{SAMPLES} of 1 number", "the first column has no name, as row numbers have, and was left out"],
    ),
    "named row number": (
        "id,x,kind\n" + rows(60, lambda n: f"{n},{noise(n)},{'ab'[n % 2]}"),
        [],
        0,
        ["column 'id' counts the rows"],
    ),
    "unlabelled": (
        "x,kind\n" + rows(60, lambda n: f"{noise(n)},{'NA' if n % 5 == 3 else 'ab'[n % 2]}"),
        [],
        4,
        ["data:5: column 'kind', the class, is missing in 12 rows, this one first", "missing: drop"],
    ),
    "unlabelled, dropped": (
        "x,kind\n" + rows(60, lambda n: f"{noise(n)},{['NA', '?', 'null', '', 'nan', *'ababa'][n % 10]}"),
        ["dataset.missing=drop"],
        0,
        [
            "2 classes",
            "18 training, 6 validation and 6 test samples",
            "30 of 60 rows have missing values and were left out",
        ],
    ),
    "spellings of a number": (
        "x,kind\n" + rows(60, lambda n: f"{noise(n)},{['0', '1', '0.0', '1.0'][n % 4]}"),
        [],
        0,
        ["2 classes (train/val/test): 0 18/6/6, 1 18/6/6"],
    ),
    "spellings of a word": (
        "x,kind\n" + rows(60, lambda n: f"{noise(n)},{['cat', 'dog', 'Cat', 'dog'][n % 4]}"),
        [],
        4,
        ["'Cat'", "'cat'"],
    ),
    "price": (
        "rooms,price\n" + rows(60, lambda n: f"{n % 5},{100 + n * 1.37:.2f}"),
        [],
        4,
        [
            "60 rows hold 60 different values of 'price', so they are read as regression, and cross_entropy is not",
            "dataset.problem=regression loss=mse",
            "give a column of classes as the target",
        ],
    ),
    "repeated": (
        "a,b,coin\n" + rows(16, lambda n: f"{noise(n)},{n},{'ht'[n // 2 % 2]}") * 5,
        ["silence=[]"],
        0,
        ["of the 16 test samples are identical to training samples"],
    ),
    "many rare classes": (
        "a,kind\n" + rows(80, lambda n: f"{noise(n)},k{n % 20:02}"),
        [],
        0,
        ["40 training, 20 validation and 20 test samples", "20 classes (train/val/test): k00 2/1/1, k01 2/1/1"],
    ),
    "semicolons and decimal commas": (
        "a;b;kind\n" + rows(60, lambda n: f"{n % 7},5;{noise(n).replace('.', ',')};{'xy'[n % 2]}"),
        [],
        0,
        [f"{SAMPLES} of 2 numbers"],
    ),
    "words, truth values and gaps": (
        MIXED,
        [],
        4,
        ["data:3: missing values: 20 in 'city', this row first", "missing: drop, mean or most_frequent"],
    ),
    "words, truth values and gaps, filled": (
        MIXED,
        ["dataset.missing=most_frequent"],
        0,
        [f"{SAMPLES} of 4 columns (2 categories, 1 number, 1 boolean)"],
    ),
    "a target called y": (
        "x,y\n" + rows(60, lambda n: f"{noise(n)},{'ab'[n % 2]}"),
        ["dataset.target=y"],
        0,
        [f"{SAMPLES} of 1 number", "2 classes"],
    ),
    "a target called 2": (
        "2,x\n" + rows(60, lambda n: f"{'ab'[n % 2]},{noise(n)}"),
        ["dataset.target=2"],
        0,
        [f"{SAMPLES} of 1 number", "2 classes"],
    ),
}


@pytest.mark.parametrize(("text", "overrides", "code", "said"), TABLES.values(), ids=TABLES)
def test_table(
    text: str, overrides: Sequence[str], code: int, said: Sequence[str], tmp_path: Path, check: Check
) -> None:
    """Each comes out as its owner means it, or with the line, the count and what to write."""
    (tmp_path / "data").write_text(text)
    left, printed = check("csv", *overrides)
    assert (code, []) == (left, [part for part in said if part not in printed]), printed


def test_group_keeps_repeated_rows_together(tmp_path: Path, check: Check) -> None:
    """Sixteen rows that a table holds five times are five of one group: no copy is in two splits."""
    (tmp_path / "data").write_text(TABLES["repeated"][0])
    code, printed = check("csv", "dataset.group=b", "silence=[]")
    assert (0, False) == (code, "identical" in printed), printed
    (counts,) = re.findall(r"(\d+) training, (\d+) validation and (\d+) test samples", printed)
    assert [0, 0, 0] == [int(each) % 5 for each in counts]


def test_a_path_called_2024_is_text(tmp_path: Path, check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path, as a target, is taken as it is written."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "2024").write_text(TABLES["a target called y"][0])
    code, printed = check("csv", "dataset.path=2024")
    assert (0, True) == (code, "2 classes" in printed), printed


def draw(path: Path, levels: Any, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(levels)).save(path, **options)


def squares(folder: Path, count: int, kinds: str = "cat dog") -> None:
    """Images of each class that differ."""
    for number in range(count):
        for kind in kinds.split():
            draw(folder / kind / f"{number}.png", np.full((8, 8), 10 * number + 5 * (kind == "dog"), np.uint8))


def test_splits_of_a_folder_are_used(tmp_path: Path, check: Check) -> None:
    """Folders train, val and test that hold the same classes are splits, not classes."""
    for split, count in (("train", 4), ("val", 2), ("test", 3)):
        squares(tmp_path / "data" / split, count)
    code, printed = check("image_folder")
    assert (0, True) == (code, "8 training, 4 validation and 6 test samples" in printed), printed
    assert "2 classes (train/val/test): cat 4/2/3, dog 4/2/3" in printed


def test_notebook_s_checkpoints_are_no_class(tmp_path: Path, check: Check) -> None:
    """What is hidden is passed over, and counted."""
    squares(tmp_path / "data", 5)
    squares(tmp_path / "data" / ".ipynb_checkpoints", 1, "cat")
    code, printed = check("image_folder")
    assert (0, True) == (code, "2 classes" in printed and "1 hidden" in printed), printed


def test_all_formats_are_read(tmp_path: Path, check: Check) -> None:
    """GIFs beside PNGs count; what is no image is left out and counted by kind."""
    squares(tmp_path / "data", 3)
    for number in range(10):
        for kind in ("cat", "dog"):
            draw(tmp_path / "data" / kind / f"more{number}.gif", np.full((8, 8), 100 + 10 * number, np.uint8))
    (tmp_path / "data" / "cat" / "notes.txt").write_text("soft")
    code, printed = check("image_folder")
    assert (0, True) == (code, "16 training, 5 validation and 5 test samples" in printed), printed
    assert "1 file or folder is left out: 1 .txt" in printed


def test_all_damaged_images_are_named(tmp_path: Path, check: Check) -> None:
    """Files that were cut short are named and counted together."""
    squares(tmp_path / "data", 5)
    for number in range(3):
        (tmp_path / "data" / "dog" / f"broken{number}.png").write_bytes(b"\x89PNG\r\n")
    code, printed = check("image_folder")
    assert (4, True) == (code, "3 of the 13 images cannot be read" in printed), printed
    assert all(f"dog/broken{number}.png" in printed for number in range(3))


def learned(folder: Path, tmp_path: Path) -> float:
    """The test accuracy that softmax regression reaches on a folder of images."""
    asked = {
        "name": "own",
        "dataset": {"name": "image_folder", "path": str(folder), "image_size": 8},
        "model": "linear",
        "loss": "cross_entropy",
        "train": {"epochs": 15, "seeds": 1, "device": "cpu"},
        "report": "off",
    }
    result = clsbench.run(asked, output=tmp_path / "runs")
    return float(result.arms["cross_entropy"]["metrics"]["test_accuracy"]["mean"])


def test_sixteen_bits_are_told_apart(tmp_path: Path) -> None:
    """Two levels of 16-bit greys, both far above 255, are learned without a mistake."""
    for number in range(20):
        for kind, level in (("benign", 8000), ("malignant", 30000)):
            draw(tmp_path / "data" / kind / f"{number}.png", np.full((8, 8), level + number, np.uint16))
    assert 1.0 == learned(tmp_path / "data", tmp_path)


def test_turned_photographs_are_told_apart(tmp_path: Path) -> None:
    """Photographs light above or below; half of each are stored upside down, with an orientation mark."""
    for number in range(20):
        for kind, above in (("cat", True), ("dog", False)):
            upright = np.full((16, 16, 3), 20 + number, np.uint8)
            upright[slice(0, 8) if above else slice(8, 16)] = 220
            mark = Image.Exif()
            mark[0x0112] = 3 if number % 2 else 1
            stored = upright[::-1, ::-1] if number % 2 else upright
            draw(tmp_path / "data" / kind / f"{number}.jpg", stored, exif=mark, quality=95)
    assert 1.0 == learned(tmp_path / "data", tmp_path)
