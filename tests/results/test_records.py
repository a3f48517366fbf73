"""Records in columns: what comes back is what was put in, in a small part of the memory."""

from __future__ import annotations

import pickle
import tracemalloc
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from clsbench.execution.events import fields
from clsbench.problems import SingleLabel
from clsbench.results import Records, Table, value_of
from clsbench.results.records import AT_ONCE

NUMBERS = st.floats(allow_nan=False) | st.none()
BY_CLASS = st.dictionaries(st.sampled_from(["yes", "no", "é"]), NUMBERS)
VALUES = NUMBERS | BY_CLASS | st.text(max_size=3) | st.integers() | st.booleans() | st.lists(NUMBERS, max_size=2)
ROWS = st.lists(st.dictionaries(st.sampled_from("abcdef"), VALUES), max_size=12)
# As a run has them: a field is of one type in all records.
USUAL = st.fixed_dictionaries(
    {"trial": st.integers(0, 99), "arm": st.sampled_from("xyz"), "m": NUMBERS, "of": BY_CLASS}
)


def record(trial: int, epoch: int) -> dict[str, Any]:
    """With numbers of its own in every field that holds one."""
    names = fields(SingleLabel(2))
    known = {"trial": trial, "epoch": epoch, "arm": "bce lr=0.3", "loss": "bce", "dataset": "moons", "model": "mlp"}
    numbers = {name: trial + epoch / 7 + place / 1000 for place, name in enumerate(names)}
    of_class = {"no": trial / 3, "yes": epoch / 3}
    return {**numbers, "test_recall": of_class, **known, "seed": trial, "step": 9 * epoch, "status": "running"}


@given(ROWS | st.lists(USUAL, max_size=12))
def test_records_come_back_as_they_were(rows: list[dict[str, Any]]) -> None:
    """Each value with its type, each record with its keys in their order; also after being sent to another process."""
    found = Records.of(rows)
    for known in (found, pickle.loads(pickle.dumps(found))):
        assert repr(rows) == repr(list(known))
        assert (rows, len(rows)) == (known, len(known))
        assert repr(rows[::-2]) == repr(list(known[::-2]))
        assert all(repr(rows[place]) == repr(known[place]) for place in range(-len(rows), len(rows)))


@given(ROWS | st.lists(USUAL, max_size=12), st.sampled_from(["a", "b", "m", "of[yes]", "a[no]", "none", "none[no]"]))
def test_a_column_has_the_value_of_each_record(rows: list[dict[str, Any]], field: str) -> None:
    """`METRIC[CLASS]` that of the class; None where a record has none."""
    if any(isinstance(row.get("a"), str | list | int | float) for row in rows) and field == "a[no]":
        return  # only numbers by class are asked for a class
    assert repr([value_of(row, field) for row in rows]) == repr(Records.of(rows).column(field))


def test_records_that_are_added_are_kept_as_they_are() -> None:
    """Neither a change to a record after it was added, nor reading between two additions, has an effect."""
    table, wanted = Table(), [record(trial, 0) for trial in range(2 * AT_ONCE + 1)]
    for place, row in enumerate(wanted):
        given = record(place, 0)
        table.extend([given])
        given["test_recall"]["no"] = given["trial"] = -1
        if place % 7 == 0:
            assert row == table.record(place)
    assert wanted == list(Records(table))


def test_records_are_parted_by_a_field_in_the_order_of_their_first() -> None:
    """`by` gives those of each value, `where` those that have one of some values."""
    rows = [{"arm": name, "epoch": epoch} for epoch in (0, 1) for name in ("b", "a")]
    found = Records.of(rows)
    parted = found.by("arm")
    assert ["b", "a"] == list(parted)
    assert [{"arm": "a", "epoch": 0}, {"arm": "a", "epoch": 1}] == parted["a"]
    assert rows[2:] == found.where("epoch", 1, 5)
    assert [1] == parted["b"].where("epoch", 1).column("epoch")
    assert (True, True) == (found != rows[:3], found != "rows")


def test_a_field_of_one_record_costs_the_others_nothing() -> None:
    """Three thousand records, each with a field that no other has."""
    tracemalloc.start()
    try:
        found = Records.of({"epoch": place, f"odd {place}": 0.5 + place} for place in range(3000))  # type: ignore[misc]
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 3000 * 3000 > size
    assert {"epoch": 2000, "odd 2000": 2000.5} == found[2000]
    assert [None, 7.5, None] == found[6:9].column("odd 7")


def test_a_record_takes_less_than_a_kilobyte() -> None:
    """With a number of its own in each of fifty fields, and two by class."""
    tracemalloc.start()
    try:
        found = Records.of(record(trial, epoch) for epoch in range(4) for trial in range(500))
        each = tracemalloc.get_traced_memory()[0] / len(found)
    finally:
        tracemalloc.stop()
    assert record(499, 3) == found[-1]
    assert each < 1000
