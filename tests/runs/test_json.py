"""JSON files of a run: strict, whatever is in them, and bounded in size."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clsbench.runs.files import as_json, as_json_line, as_wide_json

NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | st.text(st.characters(codec="utf-8"))
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3), inner), max_leaves=30
)


@pytest.mark.parametrize("write", [as_json, as_wide_json, as_json_line])
@given(DOCUMENTS)
def test_what_is_written_is_read_back(write: Callable[[Any], bytes], document: Any) -> None:
    """Newlines, brackets and blanks in strings are not taken for layout."""
    nested = {"a": [[{"b": {"c": [document, "[\n      {\n", document]}}]], "d": document}
    assert nested == json.loads(write(nested))


def test_a_metric_of_an_arm_takes_one_line() -> None:
    """The summary of hundreds of arms would else be blanks for the most part."""
    statistic = {"mean": 0.5, "std": None, "n": 1, "values": [0.5, None]}
    text = as_wide_json({"arms": [{"name": "bce", "metrics": {"test_nll": statistic}}]}).decode()
    assert f'    "test_nll": {json.dumps(statistic)}'.replace("[0.5, None]", "[0.5, null]") in text.splitlines()
    assert 10 == len(text.splitlines())


def test_a_large_summary_takes_little_more_memory_than_its_text() -> None:
    """A number on a line of its own, with its blanks, would be several times that."""
    metrics = {f"metric {number}": {"mean": 0.5, "values": [number / 7] * 2000} for number in range(40)}
    tracemalloc.start()
    try:
        text = as_wide_json({"arms": [{"name": "bce", "metrics": metrics}]})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(text) < peak < 3 * len(text)


@pytest.mark.parametrize("write", [as_json, as_wide_json, as_json_line])
def test_nan_is_refused(write: Callable[[Any], bytes]) -> None:
    """Strict JSON has no word for it."""
    with pytest.raises(ValueError, match="line"):
        write({"a": {"b": [float("nan")]}})
