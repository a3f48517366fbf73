"""Whether a run met what its config expected of it, by how much, and why not."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import Any

from clsbench.analysis.statistics import spread
from clsbench.analysis.verdicts import Row, direction, seen_from
from clsbench.config.expectations import DIVERGED, Expectation, Measure, Side, VerdictOn

Record = Mapping[str, Any]

COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


def evaluate(expectation: Expectation, records: Sequence[Record], summary: Mapping[str, Any]) -> dict[str, Any]:
    """One entry of the summary's `expectations`: `{text, met, left, right, slack}`.

    `left` and `right` are means over the seeds that have a number, null where none has. It is not met where a seed
    of an arm that it names diverged or has no number, unless it asks for `diverged` of that arm. Numbers are compared
    exactly, by `==` too: of means that is rarely what is meant. `slack` is the mean of left - right over its standard
    deviation over seeds (n - 1), paired by seed where both sides are arms, and positive on the side that meets the
    expectation; null where it cannot be said: for one seed, values that do not vary, verdicts, counts and `==`.

    Args:
        expectation: what `parse` returned, its names checked.
        records: those of the run.
        summary: its `arms` and its `verdicts`.
    """
    left = _reading(expectation.left, records, summary)
    right = _reading(expectation.right, records, summary)
    whole = left.whole and right.whole
    return {
        "text": expectation.text,
        "met": whole and COMPARE[expectation.operator](left.value, right.value),
        "left": left.value,
        "right": right.value,
        "slack": _slack(expectation.operator, left, right) if whole else None,
    }


@dataclass(frozen=True)
class _Reading:
    """What a side came to. `by_seed` is what it is the mean of; `whole`: no seed of it was lost or is missing."""

    value: float | str | None
    by_seed: Mapping[int, float] = field(default_factory=dict)
    whole: bool = True


def _reading(side: Side, records: Sequence[Record], summary: Mapping[str, Any]) -> _Reading:
    if isinstance(side, float | str):
        return _Reading(side)
    arms = {arm["name"]: arm for arm in summary["arms"]}
    if isinstance(side, VerdictOn):
        word = _verdict_word(side, summary["verdicts"])
        return _Reading(word, whole=word is not None and not any(_lost(arms[name]) for name in (side.a, side.b)))
    if side.metric == DIVERGED:
        return _Reading(arms[side.arm]["diverged"])
    by_seed = _by_seed(side, records)
    whole = not _lost(arms[side.arm]) and by_seed.keys() == set(arms[side.arm]["seeds"])
    return _Reading(mean(by_seed.values()) if by_seed else None, by_seed, whole)


def _lost(arm: Mapping[str, Any]) -> int:
    """Seeds that diverged or failed."""
    return int(arm["diverged"]) + len(arm.get("failures", ()))


def _by_seed(side: Measure, records: Sequence[Record]) -> dict[int, float]:
    columns: dict[int, dict[int, float]] = {}
    for record in records:
        if record["arm"] == side.arm:
            column = columns.setdefault(record["epoch"], {})
            value = record.get(side.metric)
            if value is not None and math.isfinite(value):
                column[record["seed"]] = float(value)
    if side.epoch != "best":
        return columns.get(max(columns, default=0) if side.epoch is None else side.epoch, {})
    most = max(map(len, columns.values()), default=0)
    full = [column for column in columns.values() if column and len(column) == most]
    best = max if direction(side.metric) == "higher" else min
    return best(full, key=lambda column: mean(column.values()), default={})


def _verdict_word(side: VerdictOn, rows: Sequence[Row]) -> str | None:
    for row in rows:
        if row["metric"] == side.metric and {row["a"], row["b"]} == {side.a, side.b}:
            return str(seen_from(row, side.a)["verdict"])
    return None


def _slack(sign: str, left: _Reading, right: _Reading) -> float | None:
    seeds = left.by_seed or right.by_seed
    if not seeds or sign == "==":
        return None
    pairs: list[tuple[Any, Any]] = [
        (left.by_seed.get(seed, left.value), right.by_seed.get(seed, right.value)) for seed in seeds
    ]
    margins = [x - y for x, y in pairs]
    deviation = spread(margins, scale=max(abs(value) for pair in pairs for value in pair))
    if not deviation:
        return None
    slack: float = mean(margins) / deviation
    return abs(slack) if sign == "!=" else -slack if sign.startswith("<") else slack
