"""Expectations: what a config says must come out, such as `cross_entropy.test_accuracy >= 0.95`.

An expectation is `SIDE OP SIDE`, OP one of `< <= > >= == !=`, a SIDE one of

    0.95                            a number
    ARM.METRIC                      the mean over seeds at the last epoch; `ARM.diverged` counts the diverged seeds
    ARM.METRIC@EPOCH                at that epoch, 0 being before training
    ARM.METRIC@best                 at the epoch whose mean over seeds is best, the metric's direction considered
    verdict(ARM, ARM, METRIC)       what the run says of the first arm; compared by == or != with
    better, worse, 'no difference', 'too few seeds'

A name is split at its last dot. Quotes, single or double, keep blanks and signs in a name, as in a shell, and a
backslash keeps a quote or a backslash in them: `'mse lr=0.3'.test_accuracy`. Text is read, never evaluated.
"""

from __future__ import annotations

import math
import operator
import re
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean
from typing import Any, Literal

from clsbench.analysis.statistics import spread
from clsbench.analysis.verdicts import TOLERANCES, VERDICTS, direction, opposite
from clsbench.config.yaml_text import shown
from clsbench.registry import suggestion

Record = Mapping[str, Any]

DIVERGED = "diverged"
OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


@dataclass(frozen=True)
class Measure:
    """`ARM.METRIC`, at an epoch; None for the last."""

    arm: str
    metric: str
    epoch: int | Literal["best"] | None = None


@dataclass(frozen=True)
class VerdictOn:
    """`verdict(A, B, METRIC)`."""

    a: str
    b: str
    metric: str


Side = float | str | Measure | VerdictOn  # text is a verdict's word


@dataclass(frozen=True)
class Expectation:
    """A text that was understood."""

    text: str
    left: Side
    operator: str
    right: Side


def parse(text: str) -> Expectation:
    """Read an expectation.

    Raises:
        ValueError: it is none; the message says at which column, what is wrong, and a hint.
    """
    tokens = deque(_Token(str(match.lastgroup), match[0], match.start() + 1) for match in _TOKEN.finditer(text))
    tokens.append(_Token("end", "", len(text) + 1))
    left = _side(tokens)
    sign = tokens.popleft()
    if sign.kind != "operator":
        raise sign.unexpected(f"one of {' '.join(OPERATORS)}", "a name with blanks or signs stands in quotes")
    right = _side(tokens)
    if tokens[0].kind != "end":
        raise tokens[0].unexpected("the end", "an expectation is one comparison, and a name with blanks is quoted")
    kinds = {type(left), type(right)}
    if kinds & {VerdictOn, str} and kinds != {VerdictOn, str}:
        raise sign.mistake("a verdict stands against one of its words", f"{_VERDICT} == {_WORDS}")
    if VerdictOn in kinds and sign.text not in ("==", "!="):
        raise sign.mistake(f"verdicts have no order to ask for with {sign.text}", "use == or !=")
    if kinds == {float}:
        raise sign.mistake("two numbers say nothing of a run", "one side must be ARM.METRIC")
    return Expectation(text, left, sign.text, right)


def check_names(
    expectation: Expectation, comparisons: Sequence[Collection[str]], metrics: Collection[str], epochs: int
) -> list[str]:
    """What an expectation names that the run will not have, with the nearest right name; empty if all is well.

    Args:
        expectation: what `parse` returned.
        comparisons: the names of the arms, by comparison.
        metrics: the names of a record's metrics.
        epochs: how many the run has.
    """
    found: list[str] = []
    for side in (expectation.left, expectation.right):
        if isinstance(side, Measure):
            found += _measure_mistakes(side, comparisons, metrics, epochs)
        elif isinstance(side, VerdictOn):
            found += _verdict_mistakes(side, comparisons)
    return list(dict.fromkeys(found))


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
        "met": whole and OPERATORS[expectation.operator](left.value, right.value),
        "left": left.value,
        "right": right.value,
        "slack": _slack(expectation.operator, left, right) if whole else None,
    }


# Reading a text.

_WANTED = "a number, ARM.METRIC or a verdict"
_VERDICT = "verdict(ARM, ARM, METRIC)"
_WORDS = "better, worse, 'no difference' or 'too few seeds'"
_QUOTED = r"""'(?:[^'\\]|\\['"\\])*'|"(?:[^"\\]|\\['"\\])*\""""
_TOKEN = re.compile(
    rf"""(?P<operator>[<>=!]=|[<>])
       | (?P<mark>[(),@])
       | (?P<name>(?:{_QUOTED}|[^\s'"<>=!(),@])+)
       | (?P<other>['"].*|\S)  # a quote without an end takes all that follows""",
    re.VERBOSE | re.DOTALL,
)
_PIECE = re.compile(rf"{_QUOTED}|[^'\"]+")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_EPOCH = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class _Token:
    kind: str  # operator, mark, name, other or end
    text: str
    column: int

    @property
    def name(self) -> str:
        """A name without its quotes."""
        pieces = _PIECE.findall(self.text)
        return "".join(re.sub(r"\\(.)", r"\1", p[1:-1]) if p[0] in "'\"" else p for p in pieces)

    def mistake(self, what: str, hint: str) -> ValueError:
        return ValueError(f"column {self.column}: {what}; {hint}")

    def unexpected(self, wanted: str, hint: str) -> ValueError:
        if self.kind == "other" and self.text[0] in "'\"":
            return self.mistake(f"{shown(self.text)} has no closing quote", "in quotes, \\ stands before a quote or \\")
        return self.mistake(f"expected {wanted}, got {shown(self.text) if self.text else 'the end'}", hint)


def _side(tokens: deque[_Token]) -> Side:
    token = tokens.popleft()
    if token.kind != "name":
        raise token.unexpected(_WANTED, "for example cross_entropy.test_accuracy")
    if tokens[0].text == "(":
        if token.text != "verdict":
            raise token.mistake(f"{shown(token.text)} cannot be called", f"only {_VERDICT} can")
        return _verdict_on(tokens)
    if _NUMBER.fullmatch(token.text):
        if not math.isfinite(number := float(token.text)):
            raise token.mistake(f"{shown(token.text)} is too large for a number", "write one below 1e308")
        return number
    if token.name in VERDICTS:
        return token.name
    arm, _, metric = token.name.rpartition(".")
    if not arm or not metric:
        raise token.unexpected(_WANTED, f"verdicts are {_WORDS}, and a name with blanks is quoted")
    return Measure(arm, metric, _epoch(tokens))


def _epoch(tokens: deque[_Token]) -> int | Literal["best"] | None:
    if tokens[0].text != "@":
        return None
    tokens.popleft()
    token = tokens.popleft()
    if token.text == "best":
        return "best"
    if not _EPOCH.fullmatch(token.text):
        raise token.unexpected("an epoch after @", "a whole number from 0, or best")
    return int(token.text)


def _verdict_on(tokens: deque[_Token]) -> VerdictOn:
    names: list[str] = []
    for mark in ("(", ",", ","):
        _take(tokens, "mark", mark)
        names.append(_take(tokens, "name", "a name").name)
    _take(tokens, "mark", ")")
    return VerdictOn(*names)


def _take(tokens: deque[_Token], kind: str, wanted: str) -> _Token:
    token = tokens.popleft()
    if token.kind != kind or (kind == "mark" and token.text != wanted):
        raise token.unexpected(shown(wanted) if kind == "mark" else wanted, f"a verdict is written {_VERDICT}")
    return token


# Checking names.


def _measure_mistakes(
    side: Measure, comparisons: Sequence[Collection[str]], metrics: Collection[str], epochs: int
) -> Iterator[str]:
    yield from _unknown("arm", side.arm, [arm for arms in comparisons for arm in arms])
    yield from _unknown("metric", side.metric, [*metrics, DIVERGED])
    if side.epoch is None or side.metric not in (*metrics, DIVERGED):
        return
    if side.metric == DIVERGED:
        yield f"{DIVERGED} is counted over the whole run; leave out @{side.epoch}"
    elif side.epoch == "best":
        if direction(side.metric) is None:
            yield f"{side.metric} has no best: neither more nor less of it is better; name an epoch"
    elif side.epoch > epochs:
        yield f"there is no epoch {side.epoch}; the last is {epochs}"


def _verdict_mistakes(side: VerdictOn, comparisons: Sequence[Collection[str]]) -> Iterator[str]:
    arms = [arm for names in comparisons for arm in names]
    yield from _unknown("arm", side.a, arms)
    yield from _unknown("arm", side.b, arms)
    yield from _unknown("metric of a verdict", side.metric, TOLERANCES)
    if side.a == side.b:
        yield f"a verdict needs two arms, got {side.a!r} twice; name another"
    elif {side.a, side.b} <= set(arms) and not any({side.a, side.b} <= set(names) for names in comparisons):
        yield f"there is no verdict on {side.a!r} and {side.b!r}: they differ in dataset, model or batch size"


def _unknown(kind: str, name: str, known: Collection[str]) -> Iterator[str]:
    if name not in known:
        yield f"unknown {kind} {shown(name)}; {suggestion(name, known)}"


# Measuring a run.


@dataclass(frozen=True)
class _Reading:
    """What a side came to. `by_seed` is what it is the mean of; `whole`: no seed of it diverged or is missing."""

    value: float | str | None
    by_seed: Mapping[int, float] = field(default_factory=dict)
    whole: bool = True


def _reading(side: Side, records: Sequence[Record], summary: Mapping[str, Any]) -> _Reading:
    if isinstance(side, float | str):
        return _Reading(side)
    arms = {arm["name"]: arm for arm in summary["arms"]}
    if isinstance(side, VerdictOn):
        word = _verdict_word(side, summary["verdicts"])
        return _Reading(word, whole=word is not None and not any(arms[name]["diverged"] for name in (side.a, side.b)))
    if side.metric == DIVERGED:
        return _Reading(arms[side.arm]["diverged"])
    by_seed = _by_seed(side, records)
    whole = not arms[side.arm]["diverged"] and by_seed.keys() == set(arms[side.arm]["seeds"])
    return _Reading(mean(by_seed.values()) if by_seed else None, by_seed, whole)


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


def _verdict_word(side: VerdictOn, rows: Sequence[Mapping[str, Any]]) -> str | None:
    for row in rows:
        if row["metric"] == side.metric and {row["a"], row["b"]} == {side.a, side.b}:
            word = str(row["verdict"])
            return word if row["a"] == side.a else opposite(word)
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
