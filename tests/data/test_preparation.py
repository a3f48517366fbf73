"""From raw samples to a network's inputs: filled in, one-hot encoded and scaled, by the training split alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from clsbench.data.preparation import Preparation, fitted
from clsbench.data.raw import Column, RawData, as_raw
from clsbench.errors import DataError

CITIES = ("Bern", "Oslo", "Rome")
NAN = float("nan")


def table(features: Any, columns: tuple[Column, ...], **more: Any) -> RawData:
    x = np.asarray(features, np.float64)
    return as_raw(RawData(x, np.arange(len(x)) % 2, 2, columns=columns, **more))


def trips(**more: Any) -> RawData:
    """Four rows with a number, a city and a boolean."""
    columns = (Column("km"), Column("city", "category", CITIES), Column("paid", "boolean"))
    return table([[1, 0, 0], [3, 1, 1], [5, 0, 1], [7, 2, 0]], columns, **more)


def test_categories_are_one_hot_by_the_training_split() -> None:
    """Each category of the training split has an input; one that only other splits have is all zero, and counted."""
    raw = trips()
    preparation = fitted(raw, np.array([0, 1, 2]), "none")
    expected = [[1, 1, 0, 0], [3, 0, 1, 1], [5, 1, 0, 1], [7, 0, 0, 0]]
    assert expected == preparation(raw.features, np.arange(4)).tolist()
    assert (4,) == preparation.input_shape
    assert {"city": 1} == preparation.unseen(raw.features, np.arange(4))


def test_encoding_is_that_of_scikit_learn() -> None:
    """Numbers as StandardScaler, categories as OneHotEncoder that ignores unknown ones, booleans as they are."""
    rng = np.random.default_rng(0)
    columns = (Column("a"), Column("b", "category", tuple("uvwxyz")), Column("c"), Column("d", "boolean"))
    x = np.column_stack([rng.normal(3, 2, 60), rng.integers(0, 6, 60), rng.normal(0, 9, 60), rng.integers(0, 2, 60)])
    raw, train = table(x, columns), np.arange(12)
    one_hot = OneHotEncoder(sparse_output=False, handle_unknown="ignore").fit(x[train][:, [1]])
    scaler = StandardScaler().fit(x[train][:, [0, 2]])
    scaled = scaler.transform(x[:, [0, 2]])
    expected = np.column_stack([scaled[:, 0], one_hot.transform(x[:, [1]]), scaled[:, 1], x[:, 3]])
    np.testing.assert_allclose(fitted(raw, train, "standard")(x, np.arange(60), np.float64), expected, atol=1e-12)


@pytest.mark.parametrize("fill", ["mean", "most_frequent"])
def test_missing_values_are_filled_in_by_the_training_split(fill: Any) -> None:
    """As scikit-learn's SimpleImputer fitted on the training rows."""
    x = np.array([[1, 5], [NAN, 5], [2, NAN], [2, 8], [90, 90], [NAN, NAN]])
    raw, train = table(x, (Column("a"), Column("b")), fill=fill), np.arange(4)
    expected = SimpleImputer(strategy=fill).fit(x[train]).transform(x)
    np.testing.assert_allclose(fitted(raw, train, "none")(x, np.arange(6), np.float64), expected, atol=1e-12)


def test_missing_category_becomes_the_most_frequent_one_even_where_numbers_get_their_mean() -> None:
    """A category has no mean."""
    raw = table([[0, 1], [0, 2], [1, NAN], [NAN, 4]], (Column("c", "category", ("x", "y")), Column("n")), fill="mean")
    assert [1, 0, 4] == fitted(raw, np.arange(4), "none")(raw.features, np.array([3])).tolist()[0]


def test_column_without_any_training_value_is_refused_by_name() -> None:
    """There is nothing to fill in from."""
    raw = table([[NAN, 1], [NAN, 2], [3, 3], [4, 4]], (Column("late"), Column("n")), fill="mean")
    with pytest.raises(DataError, match="column 'late' has no value in the training split"):
        fitted(raw, np.array([0, 1]), "standard")


def test_missing_values_are_refused_unless_a_rule_was_asked_for() -> None:
    """NaN is an error of the data by default."""
    with pytest.raises(DataError, match="nan in row 0, column 0; every value must be finite"):
        table([[NAN, 1], [1, 2]], (Column("a"), Column("b")))


@given(
    seed=st.integers(0, 2**32 - 1),
    normalize=st.sampled_from(["standard", "unit", "none"]),
    fill=st.sampled_from([None, "mean", "most_frequent"]),
)
def test_kept_preparation_gives_the_same_inputs_bit_by_bit(seed: int, normalize: Any, fill: Any) -> None:
    """What is kept with the weights as text prepares new samples as training did."""
    rng = np.random.default_rng(seed)
    columns = (Column("a"), Column("b", "category", CITIES), Column("c"))
    x = np.column_stack([rng.normal(0, 1e3, 20), rng.integers(0, 3, 20), rng.exponential(1e-3, 20)])
    if fill:
        x[rng.random(x.shape) < 0.1] = NAN
        x[0] = [1, 0, 2]
    raw = table(x, columns, fill=fill)
    before = fitted(raw, np.arange(10), normalize)
    after = Preparation.from_json(before.to_json())
    assert before(x, np.arange(20)).tobytes() == after(x, np.arange(20)).tobytes()
    assert before.columns == after.columns


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"shape": [2]}'])
def test_other_text_is_no_preparation(text: str) -> None:
    """A damaged text is refused, not half used."""
    with pytest.raises(ValueError, match="not a preparation"):
        Preparation.from_json(text)
