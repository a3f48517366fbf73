"""Whether a run met the expectations of its config, and by how much."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import Any

from clsbench.analysis.classes import problem_of
from clsbench.analysis.statistics import spread
from clsbench.analysis.verdicts import seen_from
from clsbench.config.expectations import (
    BEST,
    DIVERGED,
    VAL_BEST,
    Expectation,
    Measure,
    Side,
    VerdictOn,
    WarningCount,
    chosen_on,
)
from clsbench.metrics.measures import direction, headline
from clsbench.results import ArmSummary, ExpectationResult, Judged, Record, Records, Verdict
from clsbench.results.verdicts import EQUIVALENT, FAILURES

COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


def evaluate(
    expectations: Sequence[Expectation], records: Iterable[Record], summary: Judged
) -> list[ExpectationResult]:
    """The `expectations` of a summary, each `{text, met, left, right, slack}`.

    `left` and `right` are means over the seeds that have a number, null where none has. It is not met where a seed
    of an arm that it names diverged or has no number, unless it asks for `diverged` of that arm. Numbers are compared
    exactly, by `==` too, which is rarely useful for means. `slack` is the mean of left - right over its standard
    deviation over seeds (n - 1), paired by seed where both sides are arms, and positive on the side that meets the
    expectation; null if it is undefined: for one seed, values that do not vary, verdicts, counts and `==`.

    Args:
        expectations: what `parse` returned, their names checked.
        records: those of the run.
        summary: its `arms`, `verdicts` and `warnings`.
    """
    if not expectations:
        return []
    run = _Run.of(records, summary)
    return [_evaluated(expectation, run) for expectation in expectations]


@dataclass(frozen=True)
class _Run:
    """A run indexed: arms and records by the arm's name, verdicts by pair and metric; and its number of warnings.

    `headlines` has the headline metric on validation data of each arm.
    """

    arms: Mapping[str, ArmSummary]
    headlines: Mapping[str, str]
    records: Mapping[str, Records]
    verdicts: Mapping[tuple[frozenset[str], str], Verdict]
    num_warnings: int

    @classmethod
    def of(cls, records: Iterable[Record], summary: Judged) -> _Run:
        arms = {arm["name"]: arm for arm in summary["arms"]}
        rows = summary["verdicts"]
        verdicts = {(frozenset((row["a"], row["b"])), row["metric"]): row for row in rows}
        headlines = {name: headline(problem_of(summary, arm.get("dataset", "")), "val") for name, arm in arms.items()}
        return cls(arms, headlines, Records.of(records).by("arm"), verdicts, len(summary.get("warnings") or ()))


def _evaluated(expectation: Expectation, run: _Run) -> ExpectationResult:
    left, right = _reading(expectation.left, run), _reading(expectation.right, run)
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
    """The value of a side: the mean of `by_seed`. `whole`: no seed was lost or is missing."""

    value: float | str | None
    by_seed: Mapping[int, float] = field(default_factory=dict)
    whole: bool = True


def _reading(side: Side, run: _Run) -> _Reading:
    if isinstance(side, float | str):
        return _Reading(side)
    if isinstance(side, WarningCount):
        return _Reading(run.num_warnings)
    if isinstance(side, VerdictOn):
        row = run.verdicts.get((frozenset((side.a, side.b)), side.metric))
        if side.metric == FAILURES:
            return _Reading(EQUIVALENT if row is None else seen_from(row, side.a)["verdict"])
        word = None if row is None else seen_from(row, side.a)["verdict"]
        return _Reading(word, whole=word is not None and not any(_lost(run.arms[name]) for name in (side.a, side.b)))
    arm = run.arms[side.arm]
    if side.metric == DIVERGED:
        return _Reading(arm["diverged"])
    records = run.records.get(side.arm)
    by_seed = {} if records is None else _by_seed(side, records, run.headlines[side.arm])
    whole = not _lost(arm) and by_seed.keys() == set(arm["seeds"])
    return _Reading(mean(by_seed.values()) if by_seed else None, by_seed, whole)


def _lost(arm: ArmSummary) -> int:
    """Seeds that diverged or failed."""
    return arm["diverged"] + len(arm["failures"] or ())


def _by_seed(side: Measure, records: Records, headline: str) -> dict[int, float]:
    """The values of a side by seed; those of `@val_best` each at its own epoch."""
    if side.epoch == VAL_BEST:
        return _at_validated(side.metric, records, chosen_on(side.metric, headline))
    columns: dict[int, dict[int, float]] = {}
    if side.epoch is None:
        return _at_end(side.metric, records)
    for epoch, seed, value in _columns(records, "epoch", "seed", side.metric):
        column = columns.setdefault(epoch, {})
        if value is not None and math.isfinite(value):
            column[seed] = float(value)
    if side.epoch != BEST:
        return columns.get(side.epoch, {})
    most = max(map(len, columns.values()), default=0)
    full = [column for column in columns.values() if column and len(column) == most]
    best = max if direction(side.metric) == "higher" else min
    return best(full, key=lambda column: mean(column.values()), default={})


def _at_end(metric: str, records: Records) -> dict[int, float]:
    """By seed, the value at the last epoch, or at that at which it was stopped."""
    last = max(records.column("epoch"), default=0)
    rows = _columns(records, "epoch", "status", "seed", metric)
    values = {seed: value for epoch, status, seed, value in rows if epoch == last or status == "finished"}
    return {seed: value for seed, value in values.items() if value is not None and math.isfinite(value)}


def _at_validated(metric: str, records: Records, chooses: str) -> dict[int, float]:
    """By seed, the value at the epoch whose validation metric is best, the first of equals."""
    sign = 1 if direction(chooses) == "higher" else -1
    found: dict[int, tuple[float, float | None]] = {}
    for seed, score, value in _columns(records, "seed", chooses, metric):
        if score is None or not math.isfinite(score):
            continue
        if seed not in found or sign * score > found[seed][0]:
            found[seed] = (sign * score, value)
    return {seed: value for seed, (_, value) in found.items() if value is not None and math.isfinite(value)}


def _columns(records: Records, *fields: str) -> Iterator[tuple[Any, ...]]:
    """The values of some fields, record by record."""
    return zip(*(records.column(field) for field in fields), strict=True)


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
