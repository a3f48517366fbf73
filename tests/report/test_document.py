"""Text and values of a document: how they are joined and written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clsbench.report.document import ArmRef, Mark, joined, listed
from clsbench.report.renderers import look, panels
from clsbench.report.sections.arms import MAX_DRAWN
from clsbench.report.text import number, percent
from clsbench.report.values import (
    Difference,
    EpochsToTarget,
    MeanRange,
    MeanStd,
    Proportion,
    PValue,
    Seconds,
    Tried,
    Value,
    mean_range,
    mean_std,
)

A, B, C = (ArmRef(name, mark) for mark, name in enumerate("abc"))


def test_texts_are_joined_with_their_arms() -> None:
    """Arms stay what they are between the words."""
    assert () == joined([])
    assert (A, ", ", B, " 5%") == joined([A, (B, " 5%")])
    assert (Mark(A),) == listed([Mark(A)])
    assert (A, ", ", B, " and ", C) == listed([A, B, C])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (MeanStd(0.9532, 0.0101), "0.953 ± 0.010"),
        (MeanStd(123.456, 0.5), "123.5 ± 0.5"),
        (MeanStd(0.00012, 0.00001), "1.2e-04 ± 1.0e-05"),
        (MeanStd(0.5, None), "0.500"),
        (MeanRange(0.95, 0.9, 1.0), "0.950 [0.900, 1.000]"),
        (Difference(0.25, 0.125, 0.375), "+0.250 [+0.125, +0.375]"),
        (Difference(26.0, 19.0, 133.0), "+26.0 [+19.0, +133.0]"),
        (Difference(-0.1, None, None), "-0.100"),
        (PValue(0.0421), "0.042"),
        (PValue(0.0004), "<0.001"),
        (Proportion(2, 3), "2 of 3"),
        (Seconds(185.0), "3:05"),
        (EpochsToTarget(7, 30, 5, 5), "7"),
        (EpochsToTarget(7.5, 30, 3, 4), "7.5 (3 of 4)"),
        (EpochsToTarget(None, 30, 2, 5), "> 30 (2 of 5)"),
        (EpochsToTarget(None, 30, 0, 5), "> 30"),
        (Tried(0.9, 0, 3, chosen=True), "0.900*"),
        (Tried(0.9, 1, 3, chosen=False), "1/3 div."),
        (Tried(None, 0, 3, chosen=False), "-"),
    ],
)
def test_a_value_has_one_way_to_be_written(value: Value, text: str) -> None:
    """Its type decides the format; what belongs together has one precision."""
    assert text == str(value)


@given(st.integers(5, 9995))
def test_a_share_has_the_same_digits_in_a_sentence_and_a_table(ten_thousandths: int) -> None:
    """Percent and decimals round alike: 0.9605 is 0.961 and 96.1%."""
    share = ten_thousandths / 10_000
    assert f"{int(number(share).replace('.', '')) / 10}%" == percent(share)


def test_statistics_of_nothing_are_no_value() -> None:
    """A metric that an arm lacks, or that no seed has, gives no value."""
    nothing = {"mean": None, "std": None, "n": 0, "values": [None]}
    assert [None] * 4 == [mean_std(None), mean_range(None), mean_std(nothing), mean_range(nothing)]
    known = {"mean": 2.0, "std": 1.0, "n": 2, "values": [1.0, None, 3.0]}
    assert (MeanStd(2.0, 1.0), MeanRange(2.0, 1.0, 3.0)) == (mean_std(known), mean_range(known))


def test_every_drawn_arm_looks_different() -> None:
    """There are as many letters, styles, colours and markers as arms that can be drawn."""
    for choice in (look.LETTERS, look.STYLES, panels.COLOURS, panels.MARKERS):
        assert MAX_DRAWN == len(set(choice))
