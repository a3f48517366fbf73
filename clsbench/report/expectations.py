"""The expectations of a run and their outcomes, a line each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clsbench.analysis.expectations import COMPARE
from clsbench.config.expectations import DIVERGED, Measure, Side, VerdictOn, parse

SAFE_SLACK = (
    2.0  # standard deviations over seeds; below it, other seeds or another machine may not meet the expectation
)

Row = Mapping[str, Any]


def outcome_line(row: Row, summary: Mapping[str, Any]) -> str:
    """An expectation, whether it is met, and the values of its sides."""
    if not row["met"]:
        return f"{row['text']}: not met, {shortfall(row, summary)}"
    if row["slack"] is None:
        return f"{row['text']}: met, {_sides(row)}"
    doubt = "; other seeds may not meet it" if row["slack"] < SAFE_SLACK else ""
    return f"{row['text']}: met, {_sides(row)} ({row['slack']:.1f} standard deviations{doubt})"


def unmet(summary: Mapping[str, Any]) -> list[str]:
    """The expectations that were not met, each with the reason."""
    rows = [row for row in summary["expectations"] if not row["met"]]
    return [f"not met: {row['text']}: {shortfall(row, summary)}" for row in rows]


def failures(summary: Mapping[str, Any]) -> list[str]:
    """The arms with trials that raised, each with the reasons."""
    found = []
    for arm in summary["arms"]:
        reasons = arm.get("failures") or {}
        if reasons:
            why = "; ".join(dict.fromkeys(reasons.values()))
            found.append(f"{arm['name']}: {len(reasons)} of {len(arm['seeds'])} seeds failed: {why}")
    if summary["status"] == "failed" and not found:
        return ["a trial of tuning failed, and counts as diverged"]
    return found


def shortfall(row: Row, summary: Mapping[str, Any]) -> str:
    """Why an expectation was not met: what is missing, or else the values of its sides."""
    expectation = parse(row["text"])
    sides = (expectation.left, row["left"]), (expectation.right, row["right"])
    lost = [*dict.fromkeys(text for side, _ in sides for text in _lost(side, summary))]
    missing = [_missing(side) for side, value in sides if value is None]
    if lost or missing:
        return "; ".join([*lost, *missing])
    holds = COMPARE[expectation.operator](row["left"], row["right"])
    return f"{_sides(row)}{', but not every seed has a number' * holds}"


def _sides(row: Row) -> str:
    expectation = parse(row["text"])
    for side, value in (expectation.left, row["left"]), (expectation.right, row["right"]):
        if isinstance(side, VerdictOn):
            return f"the verdict is {value}"
    left, right = (f"{value:.4g}" if isinstance(value, float) else str(value) for value in (row["left"], row["right"]))
    if left == right and row["left"] != row["right"]:
        left, right = repr(row["left"]), repr(row["right"])
    return f"{left} against {right}"


def _lost(side: Side, summary: Mapping[str, Any]) -> Iterator[str]:
    if isinstance(side, VerdictOn):
        names = [side.a, side.b]
    else:
        names = [side.arm] if isinstance(side, Measure) and side.metric != DIVERGED else []
    for arm in summary["arms"]:
        if arm["name"] in names:
            for lost, what in (arm["diverged"], "diverged"), (len(arm.get("failures") or ()), "failed"):
                if lost:
                    yield f"{lost} of {len(arm['seeds'])} seeds of {arm['name']} {what}"


def _missing(side: Side) -> str:
    if isinstance(side, VerdictOn):
        return f"there is no verdict on {side.a} and {side.b} by {side.metric}"
    assert isinstance(side, Measure)
    return f"{side.arm} has no {side.metric}"
