"""What a dataset may return, and how its faults are told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from clsbench.data.raw import RawData, as_raw
from clsbench.errors import DataError

X = np.arange(6, dtype=np.float32).reshape(3, 2)
Y = np.array([0, 1, 1])


@pytest.mark.parametrize(
    "result",
    [
        (X, Y),
        [X.tolist(), [0, 1, 1]],
        (torch.tensor(X, requires_grad=True), torch.tensor([0.0, 1.0, 1.0])),
        (X, np.array([False, True, True])),
        RawData(X, Y, num_classes=2),
    ],
    ids=["arrays", "lists", "tensors", "booleans", "raw"],
)
def test_whatever_holds_numbers_becomes_arrays(result: Any) -> None:
    """Arrays, lists and tensors give the same checked data; classes are named by their numbers."""
    raw = as_raw(result)
    np.testing.assert_array_equal(X, raw.features)
    np.testing.assert_array_equal(Y, raw.labels)
    assert ("int64", 2, ("0", "1")) == (str(raw.labels.dtype), raw.num_classes, raw.class_names)


@pytest.mark.parametrize(
    ("given", "kept"),
    [("uint8", "uint8"), ("float64", "float64"), ("float16", "float32"), ("int16", "float32"), ("int64", "float64")],
)
def test_bytes_stay_bytes_and_the_rest_becomes_floats(given: str, kept: str) -> None:
    """Images keep a byte a pixel; other integers become floats that hold them."""
    assert kept == as_raw((X.astype(given), Y)).features.dtype


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({"x": X}, "returned a dict"),
        ((X, Y[:2]), "3 rows of features but 2 labels"),
        ((X[:0], Y[:0]), "no samples"),
        ((X, [1, 1, 1]), "every sample is of class '1'"),
        ((X, [0, -1, 1]), "label -1 in row 1 of the labels is out of range"),
        ((X, [0, np.nan, 1]), "value '0' is nan in row 1 of the labels; every target must be finite"),
        ((X, [0, 10**12, 1]), "label 1000000000000 in row 1 is larger than the number of samples"),
        ((X, ["a", "b", "b"]), "number the classes from 0"),
        ((X, [[[0]], [[1]], [[1]]]), r"the labels have shape \[3, 1, 1\]"),
        ((X[:, 0], Y), r"the features have shape \[3\]"),
        ((X[:, :0], Y), r"the features have shape \[3, 0\]"),
        (([[1, 2], [3], [4, 5]], Y), "the features do not form an array"),
        (([["a"], ["b"], ["c"]], Y), "give numbers"),
        (([[1, 2], [3, np.nan], [4, 5]], Y), "the features hold nan in row 1, column 1"),
        (([[1, 2], [3, 4], [-np.inf, 5]], Y), "the features hold -inf in row 2, column 0"),
        ((np.full((3, 1, 2, 2), np.nan), Y), r"nan in row 0, column \[0, 0, 0\]"),
        (RawData(X, np.array([0, 1, 2]), num_classes=2), "label 2 in row 2 of the labels is out of range"),
        (RawData(X, np.array([0, 0.5, 1]), num_classes=2), "label 0.5 in row 1 of the labels is not an integer"),
        (RawData(X, np.array([0, np.nan, 1]), num_classes=2), "label nan in row 1 of the labels is not an integer"),
        (RawData(X, Y, num_classes=2, class_names=("a",)), "1 class names for 2 classes"),
        (RawData(X, Y, num_classes=2, test_features=X[:, :1], test_labels=Y), "test samples have shape"),
        (RawData(X, Y, num_classes=2, test_features=X, test_labels=Y + 1), "label 2 in row 1 of the test labels"),
    ],
)
def test_fault_is_named_with_its_place(result: Any, message: str) -> None:
    """Data that cannot be learned from is refused in one line that says what is wrong, where, and what to do."""
    with pytest.raises(DataError, match=message) as caught:
        as_raw(result)
    assert "; " in str(caught.value)
    assert "\n" not in str(caught.value)
