"""Expectations: results that a config requires, such as `cross_entropy.diverged == 0`.

An expectation is `SIDE OP SIDE`, OP one of `< <= > >= == !=`, a SIDE one of

    0.95                            a number
    ARM.METRIC                      the mean over seeds at the last epoch; `ARM.diverged` counts the diverged seeds
    ARM.METRIC@EPOCH                at that epoch; epoch 0 is before training
    ARM.METRIC@best                 at the epoch whose mean over seeds is best, the metric's direction considered
    ARM.METRIC@val_best             of each seed at the epoch that its validation data choose: see `chosen_on`
    verdict(ARM, ARM, METRIC)       the verdict on the first arm; compared by == or != with
    better, worse, equivalent, undecided
    warnings                        the number of warnings

A name is split at its last dot. Quotes, single or double, keep blanks and signs in a name, as in a shell, and a
backslash keeps a quote or a backslash in them: `'mse lr=0.3'.seconds`. A class may have blanks; one with quotes
or unpaired brackets stands in quotes itself: `a.test_recall['x]']`. Text is read, never evaluated.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from clsbench.config.wording import Mistake
from clsbench.config.yaml_text import Path, shown
from clsbench.metrics.measures import field_of, judged, measured, parts_of
from clsbench.registry import SPLITS
from clsbench.results.verdicts import OLD_WORDS, VERDICTS

DIVERGED = "diverged"
WARNINGS = "warnings"
BEST: Final = "best"
VAL_BEST: Final = "val_best"
Epoch = int | Literal["best", "val_best"]
OPERATORS = ("<", "<=", ">", ">=", "==", "!=")


@dataclass(frozen=True)
class Measure:
    """`ARM.METRIC`, at an epoch; None for the last. `metric` may be `METRIC[CLASS]`."""

    arm: str
    metric: str
    epoch: Epoch | None = None


@dataclass(frozen=True)
class VerdictOn:
    """`verdict(A, B, METRIC)`."""

    a: str
    b: str
    metric: str


@dataclass(frozen=True)
class WarningCount:
    """`warnings`."""


Side = float | str | Measure | VerdictOn | WarningCount  # text is a verdict's word


@dataclass(frozen=True)
class Expectation:
    """A parsed expectation."""

    text: str
    left: Side
    operator: str
    right: Side


def parse(text: str) -> Expectation:
    """Read an expectation.

    Raises:
        ValueError: it is not one; the message gives the column, the mistake and a hint.
    """
    tokens = deque(_Token(str(match.lastgroup), match[0], match.start() + 1) for match in _TOKEN.finditer(text))
    tokens.append(_Token("end", "", len(text) + 1))
    left = _side(tokens)
    sign = tokens.popleft()
    if sign.kind != "operator":
        raise sign.unexpected(f"one of {' '.join(OPERATORS)}", "quote a name that has blanks or signs")
    right = _side(tokens)
    if tokens[0].kind != "end":
        raise tokens[0].unexpected("the end", "an expectation is one comparison; quote a name that has blanks")
    kinds = {type(left), type(right)}
    if kinds & {VerdictOn, str} and kinds != {VerdictOn, str}:
        raise sign.mistake("compare a verdict with one of its words", f"{_VERDICT} == {_WORDS}")
    if VerdictOn in kinds and sign.text not in ("==", "!="):
        raise sign.mistake(f"verdicts have no order, so they cannot be compared by {sign.text}", "use == or !=")
    if kinds == {float}:
        raise sign.mistake("two numbers say nothing about a run", "one side must be ARM.METRIC")
    return Expectation(text, left, sign.text, right)


def pairs_of(expectations: Iterable[Expectation]) -> set[tuple[str, str]]:
    """The pairs of arms whose verdicts are expected."""
    sides = [side for expectation in expectations for side in (expectation.left, expectation.right)]
    return {(side.a, side.b) for side in sides if isinstance(side, VerdictOn)}


def metrics_of(expectations: Iterable[Expectation]) -> set[str]:
    """The metrics whose verdicts are expected."""
    sides = [side for expectation in expectations for side in (expectation.left, expectation.right)]
    return {side.metric for side in sides if isinstance(side, VerdictOn)}


def chosen_on(metric: str, headline: str) -> str:
    """The validation field whose best epoch `@val_best` takes: of the same metric, else `headline`, the problem's.

    There is none of the same metric for losses, diagnostics and times, nor where neither direction is better.
    """
    field, of_class = parts_of(metric)
    split, _, name = field.partition("_")
    same = measured().get(f"val_{name}") if split in SPLITS else None
    if same is None or same.better is None:
        return headline
    return same.name if of_class is None else field_of(same.name, of_class)


def chosen_on_test(expectations: Iterable[Expectation]) -> Iterator[tuple[Expectation, Measure]]:
    """The sides of expectations whose epoch is the best on test data."""
    for expectation in expectations:
        for side in (expectation.left, expectation.right):
            if isinstance(side, Measure) and side.epoch == BEST and side.metric.startswith("test_"):
                yield expectation, side


def outcome_mistake(text: str, left: object, right: object) -> str | None:
    """What is inconsistent between an expectation and the values of its sides; None if nothing is."""
    try:
        expectation = parse(text)
    except ValueError as error:
        return str(error)
    for side, value in ((expectation.left, left), (expectation.right, right)):
        if isinstance(side, WarningCount):
            fits = isinstance(value, int)
        elif isinstance(side, Measure):
            fits = value is None or isinstance(value, int | float)
        elif isinstance(side, VerdictOn):
            fits = value is None or isinstance(value, str)
        else:
            fits = value == side
        if not fits:
            return f"a side of {text} cannot be {value!r}"
    return None


def read_expectations(value: Any, mistakes: list[Mistake]) -> dict[Path, Expectation]:
    """The expectations of a config, by their paths; those that cannot be parsed are added to `mistakes`."""
    example = f"hinge.{next(iter(judged()))} > 0.9"
    if not isinstance(value, list | tuple):
        mistakes.append((("expect",), f"must be a list of expectations, got {shown(value)}; as in [{example}]"))
        return {}
    found: dict[Path, Expectation] = {}
    for index, text in enumerate(value):
        path = ("expect", index)
        if not isinstance(text, str):
            mistakes.append((path, f"must be text such as {example!r}, got {shown(text)}"))
            continue
        try:
            found[path] = parse(text)
        except ValueError as error:
            mistakes.append((path, str(error)))
    return found


_WANTED = "a number, ARM.METRIC, a verdict or warnings"
_VERDICT = "verdict(ARM, ARM, METRIC)"
_WORDS = "better, worse, equivalent or undecided"
_QUOTED = r"""'(?:[^'\\]|\\['"\\])*'|"(?:[^"\\]|\\['"\\])*\""""
_CLASS = rf"\[(?:{_QUOTED}|(?:\[[^\[\]'\"]{{0,99}}\]|[^\[\]'\"]){{1,200}})\]"
_TOKEN = re.compile(
    rf"""(?P<operator>[<>=!]=|[<>])
       | (?P<mark>[(),@])
       | (?P<name>(?:{_QUOTED}|\.[\w-]+{_CLASS}|[^\s'"<>=!(),@])+)
       | (?P<other>['"].*|\S)  # an unclosed quote takes all that follows""",
    re.VERBOSE | re.DOTALL,
)
_PIECE = re.compile(rf"{_QUOTED}|[^'\"]+")
_BY_CLASS = re.compile(rf"(.*?)\.([\w-]+)({_CLASS})", re.DOTALL)
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_EPOCH = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class _Token:
    kind: str  # operator, mark, name, other or end
    text: str
    column: int

    @property
    def name(self) -> str:
        return _unquoted(self.text)

    def mistake(self, what: str, hint: str) -> ValueError:
        return ValueError(f"column {self.column}: {what}; {hint}")

    def unexpected(self, wanted: str, hint: str) -> ValueError:
        if self.kind == "other" and self.text[0] in "'\"":
            return self.mistake(
                f"{shown(self.text)} has no closing quote", "inside quotes, write \\ before a quote or a \\"
            )
        return self.mistake(f"expected {wanted}, got {shown(self.text) if self.text else 'the end'}", hint)


def _unquoted(text: str) -> str:
    """A name without its quotes."""
    pieces = _PIECE.findall(text)
    return "".join(re.sub(r"\\(.)", r"\1", p[1:-1]) if p[0] in "'\"" else p for p in pieces)


def _side(tokens: deque[_Token]) -> Side:
    token = tokens.popleft()
    if token.kind != "name":
        raise token.unexpected(_WANTED, f"for example cross_entropy.{next(iter(judged()))}")
    if tokens[0].text == "(":
        if token.text != "verdict":
            raise token.mistake(f"{shown(token.text)} cannot be called", f"only {_VERDICT} can")
        return _verdict_on(tokens)
    if _NUMBER.fullmatch(token.text):
        if not math.isfinite(number := float(token.text)):
            raise token.mistake(f"{shown(token.text)} is too large for a number", "write one below 1e308")
        return number
    if (word := OLD_WORDS.get(token.name, token.name)) in VERDICTS:
        return word
    if token.text == WARNINGS:
        return WarningCount()
    if found := _BY_CLASS.fullmatch(token.text):
        arm, metric = _unquoted(found[1]), field_of(found[2], _unquoted(found[3][1:-1]))
    else:
        arm, _, metric = token.name.rpartition(".")
    if not arm or not metric:
        raise token.unexpected(_WANTED, f"verdicts are {_WORDS}; quote a name that has blanks")
    return Measure(arm, metric, _epoch(tokens))


def _epoch(tokens: deque[_Token]) -> Epoch | None:
    if tokens[0].text != "@":
        return None
    tokens.popleft()
    token = tokens.popleft()
    if token.text == BEST:
        return BEST
    if token.text == VAL_BEST:
        return VAL_BEST
    if not _EPOCH.fullmatch(token.text):
        raise token.unexpected("an epoch after @", "a whole number from 0, best or val_best")
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
