"""The expectations of a run and their outcomes, a line each."""

from __future__ import annotations

from collections.abc import Iterator

from clsbench.analysis.expectations import COMPARE
from clsbench.config.expectations import DIVERGED, Measure, Side, VerdictOn, parse
from clsbench.results import ExpectationResult, Summary

# Standard deviations over seeds; below it, other seeds or another machine may not meet the expectation.
SAFE_SLACK = 2.0


def outcome_line(row: ExpectationResult, summary: Summary) -> str:
    """An expectation, whether it is met, and the values of its sides."""
    if not row["met"]:
        return f"{row['text']}: not met, {shortfall(row, summary)}"
    if row["slack"] is None:
        return f"{row['text']}: met, {_sides(row)}"
    doubt = "; other seeds may not meet it" if row["slack"] < SAFE_SLACK else ""
    return f"{row['text']}: met, {_sides(row)} ({row['slack']:.1f} standard deviations{doubt})"


def unmet(summary: Summary) -> list[str]:
    """The expectations that were not met, each with the reason."""
    rows = [row for row in summary["expectations"] if not row["met"]]
    return [f"not met: {row['text']}: {shortfall(row, summary)}" for row in rows]


def shortfall(row: ExpectationResult, summary: Summary) -> str:
    """Why an expectation was not met: what is missing, or else the values of its sides."""
    expectation = parse(row["text"])
    sides = (expectation.left, row["left"]), (expectation.right, row["right"])
    lost = [*dict.fromkeys(text for side, _ in sides for text in _lost(side, summary))]
    missing = [_missing(side) for side, value in sides if value is None]
    if lost or missing:
        return "; ".join([*lost, *missing])
    holds = COMPARE[expectation.operator](row["left"], row["right"])
    return f"{_sides(row)}{', but not every seed has a number' * holds}"


def _sides(row: ExpectationResult) -> str:
    expectation = parse(row["text"])
    for side, value in (expectation.left, row["left"]), (expectation.right, row["right"]):
        if isinstance(side, VerdictOn):
            return f"the verdict is {value}"
    left, right = (f"{value:.4g}" if isinstance(value, float) else str(value) for value in (row["left"], row["right"]))
    if left == right and row["left"] != row["right"]:
        left, right = repr(row["left"]), repr(row["right"])
    return f"{left} against {right}"


def _lost(side: Side, summary: Summary) -> Iterator[str]:
    if isinstance(side, VerdictOn):
        names = [side.a, side.b]
    else:
        names = [side.arm] if isinstance(side, Measure) and side.metric != DIVERGED else []
    for arm in summary["arms"]:
        if arm["name"] in names:
            for lost, what in (arm["diverged"], "diverged"), (len(arm["failures"] or ()), "failed"):
                if lost:
                    yield f"{lost} of {len(arm['seeds'])} seeds of {arm['name']} {what}"


def _missing(side: Side) -> str:
    if isinstance(side, VerdictOn):
        return f"there is no verdict on {side.a} and {side.b} by {side.metric}"
    assert isinstance(side, Measure)
    return f"{side.arm} has no {side.metric}"
