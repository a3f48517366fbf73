"""What is said of the data: counts by class and split, and warnings of what would flatter or void a result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from clsbench.data.raw import Column, RawData, as_raw
from clsbench.data.splits import Splits, split
from clsbench.report.document import Paragraph
from clsbench.report.sections.data import data
from clsbench.report.text import number


def read(features: Any, labels: Any, names: tuple[str, ...] = ("no", "yes"), **more: Any) -> Splits:
    fractions = {key: more.pop(key) for key in ("val_fraction", "test_fraction") if key in more}
    raw = as_raw(RawData(np.asarray(features), np.asarray(labels), len(names), names, **more))
    return split(raw, **{"val_fraction": 0.2, "test_fraction": 0.2, **fractions}, described_as="mine")


def codes(splits: Splits) -> list[str]:
    return [code for code, _ in splits.findings]


def random_columns(rows: int, columns: int = 2) -> Any:
    return np.random.default_rng(0).normal(size=(rows, columns))


def test_counts_of_classes_add_up_to_the_splits() -> None:
    """Each class has its name and its samples in every split, and the majority its test accuracy."""
    labels = np.array([0] * 90 + [1] * 10)
    summary = read(random_columns(100), labels).summary
    assert summary is not None
    expected = [{"name": "no", "train": 54, "val": 18, "test": 18}, {"name": "yes", "train": 6, "val": 2, "test": 2}]
    assert expected == summary["classes"]
    assert (60, 20, 20, 0.9) == tuple(summary[key] for key in ("train", "val", "test", "majority"))
    assert ("mine", None, [2]) == (summary["source"], summary["columns"], summary["shape"])


def test_what_values_are_trained_as_is_said() -> None:
    """By the mean and the deviation of the training split, which are what training takes; a constant has neither."""
    labels = np.column_stack([np.random.default_rng(1).normal(50, 10, 40), np.full(40, 0.1)])
    splits = read(random_columns(40), labels, ("price", "tax"), kind="regression")
    assert splits.summary is not None
    shift, scale = (splits.problem.learned[key][0] for key in ("shift", "scale"))
    price, tax = splits.summary["targets"] or ()
    assert (shift, scale, 0.1, 0.0) == (price["mean"], price["std"], tax["mean"], tax["std"])
    section = data({"mine": splits.summary}, None)
    assert section is not None
    _, first, second = (str(each.text[0]) for each in section.blocks if isinstance(each, Paragraph))
    assert f"; trained as (y - {number(shift)}) / {number(scale)}, measured as y" in first
    assert second.endswith("trained as y - 0.100, measured as y")


def test_a_label_that_a_split_lacks_is_named() -> None:
    """Two samples with a label cannot be in three splits."""
    labels = np.column_stack([np.arange(40) % 2, np.arange(40) < 2])
    splits = read(random_columns(40), labels, kind="multi_label")
    (found,) = splits.findings
    assert "missing-class" == found[0]
    assert "split has no sample of 1 of the 2 labels: 'yes'" in found[1]
    section = data({"mine": splits.summary}, None) if splits.summary else None
    assert section is not None
    assert Paragraph(("A label is predicted where its probability is above 0.5",)) == section.blocks[-1]


def test_columns_are_counted_by_kind() -> None:
    """A table says how many numbers, categories and booleans it has."""
    x = np.column_stack([random_columns(40, 1), np.arange(40) % 3, np.arange(40) % 2])
    columns = (Column("size"), Column("city", "category", ("a", "b", "c")), Column("paid", "boolean"))
    summary = read(x, np.arange(40) // 2 % 2, columns=columns).summary
    assert summary is not None
    assert {"number": 1, "category": 1, "boolean": 1} == summary["columns"]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (np.arange(40.0), ["row-number"]),
        (np.arange(40.0) + 1, ["row-number"]),
        (np.random.default_rng(1).permutation(40) * 3.0, ["unique-column"]),
        (np.repeat([5.0, 7.0], 20), ["separating-column"]),
        (np.tile([5.0, 7.0], 20), []),
        (np.random.default_rng(1).normal(size=40), []),
    ],
    ids=["from 0", "from 1", "identifiers", "the label again", "a flag", "measurements"],
)
def test_suspicious_column_is_named(column: Any, expected: list[str]) -> None:
    """A column that counts the rows, identifies them or gives the class away is warned of, and no other."""
    x = np.column_stack([random_columns(40, 1), column])
    splits = read(x, np.repeat([0, 1], 20), columns=("size", "odd"))
    assert expected == codes(splits)
    assert all("'odd'" in text for _, text in splits.findings)


def test_category_that_repeats_the_label_is_named() -> None:
    """A category of text can give the class away as a number can."""
    labels = np.arange(40) % 2
    x = np.column_stack([random_columns(40, 1), 1 - labels])
    columns = (Column("size"), Column("answer", "category", ("ja", "nein")))
    assert ["separating-column"] == codes(read(x, labels, columns=columns))


def test_samples_that_are_in_two_splits_are_counted() -> None:
    """Copies of training samples make the test look easier than it is; samples that differ are not counted."""
    once = random_columns(20)
    splits = read(np.tile(once, (5, 1)), np.tile(np.arange(20) % 2, 5))
    assert ["repeated-samples", "repeated-samples"] == codes(splits)
    train = {tuple(row) for row in splits.train.x.tolist()}
    assert splits.val is not None
    for part, (_, text) in zip((splits.val, splits.test), splits.findings, strict=True):
        count = sum(tuple(row) in train for row in part.x.tolist())
        assert text.startswith(f"{count} of the {len(part)} ")
    assert [] == codes(read(random_columns(100), np.arange(100) % 2))


def test_groups_stay_together() -> None:
    """No group is in two splits, the sizes are near what was asked for, and no copy is in two splits."""
    once, labels = random_columns(80), np.arange(80) % 2
    splits = read(np.tile(once, (5, 1)), np.tile(labels, 5), groups=np.tile(np.arange(80), 5))
    assert [] == codes(splits)
    assert splits.val is not None
    assert [240, 80, 80] == [len(splits.train), len(splits.val), len(splits.test)]


def test_too_few_groups_are_refused() -> None:
    """Two groups cannot fill three splits."""
    from clsbench.errors import DataError

    with pytest.raises(DataError, match="2 groups are too few"):
        read(random_columns(40), np.arange(40) % 2, groups=np.repeat([3, 4], 20))


def test_every_class_is_in_every_split_first() -> None:
    """A hundred classes of four have one sample each in validation and test, though a fifth of 400 is 80."""
    names = tuple(f"c{number}" for number in range(100))
    splits = read(random_columns(400), np.arange(400) % 100, names)
    assert splits.val is not None
    assert [200, 100, 100] == [len(splits.train), len(splits.val), len(splits.test)]
    assert [] == codes(splits)


def test_class_that_a_given_test_set_lacks_is_named() -> None:
    """With a test set of its own a dataset may lack a class there."""
    own = {"test_features": random_columns(10), "test_labels": np.zeros(10, np.int64), "test_fraction": None}
    splits = read(random_columns(40) + 1, np.arange(40) % 2, **own)
    assert [("missing-class", "the test split has no sample of 1 of the 2 classes: 'yes'")] == list(splits.findings)


def test_own_validation_set_is_used_as_it_is() -> None:
    """A dataset that brings validation and test sets keeps all the rest for training."""
    own = {
        "val_features": random_columns(6) + 9,
        "val_labels": np.arange(6) % 2,
        "test_features": random_columns(8) - 9,
        "test_labels": np.arange(8) % 2,
    }
    splits = read(random_columns(40), np.arange(40) % 2, test_fraction=None, **own)
    assert splits.val is not None
    assert [40, 6, 8] == [len(splits.train), len(splits.val), len(splits.test)]


def test_images_without_content_are_counted() -> None:
    """An image whose pixels are all equal is probably a failed read."""
    images = np.random.default_rng(0).integers(0, 256, (40, 1, 4, 4)).astype(np.uint8)
    images[:4] = 7
    findings = read(images, np.arange(40) % 2, full_scale=255.0).findings
    assert {"constant-images"} <= {code for code, _ in findings}
    assert 4 == sum(int(text.split()[0]) for code, text in findings if code == "constant-images")


def test_images_without_a_validation_split_are_described() -> None:
    """An empty split has no images to look at."""
    images = np.random.default_rng(0).integers(0, 256, (40, 1, 4, 4)).astype(np.uint8)
    assert [] == codes(read(images, np.arange(40) % 2, val_fraction=0.0, full_scale=255.0))
