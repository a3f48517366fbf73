"""Figures with their spread: contenders take turns, must agree in accuracy, and are printed as tables and as JSON."""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


class RefusedError(Exception):
    """A contender does not reach the others' accuracy, so it did other work."""


@dataclass(frozen=True)
class Outcome:
    """One measurement: how much, in the part's unit, and its test accuracy, if there is one.

    `more` holds other numbers of the same measurement, by name.
    """

    value: float
    accuracy: float | None = None
    more: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Spread:
    """Values of one quantity over the repeats."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    def __str__(self) -> str:
        return f"{_short(self.median)} [{_short(min(self.values))}, {_short(max(self.values))}]"

    def to_dict(self) -> dict[str, Any]:
        return {"median": self.median, "min": min(self.values), "max": max(self.values), "values": list(self.values)}


@dataclass(frozen=True)
class Target:
    """A bound on a quantity's median: at most `limit`, or at least it."""

    text: str
    measured: Spread
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        median = self.measured.median
        return median >= self.limit if self.at_least else median <= self.limit

    def to_dict(self) -> dict[str, Any]:
        bound = "at least" if self.at_least else "at most"
        return {"text": self.text, bound: self.limit, "met": self.met, **self.measured.to_dict()}


@dataclass(frozen=True)
class Race:
    """The measurements of a part's contenders, repeat by repeat. `load` is the machine's load average in each."""

    unit: str
    outcomes: Mapping[str, tuple[Outcome, ...]]
    load: tuple[float, ...]

    def spread(self, name: str) -> Spread:
        return Spread(tuple(outcome.value for outcome in self.outcomes[name]))

    def more(self, name: str, key: str) -> Spread:
        return Spread(tuple(outcome.more[key] for outcome in self.outcomes[name]))

    def ratio(self, name: str, other: str) -> Spread:
        """How many times `other` a contender takes, repeat by repeat: both saw the same noise."""
        pairs = zip(self.outcomes[name], self.outcomes[other], strict=True)
        return Spread(tuple(mine.value / theirs.value for mine, theirs in pairs))

    def target(self, name: str, other: str, limit: float) -> list[Target]:
        """The bound on a ratio; none where the other contender is not installed."""
        if other not in self.outcomes:
            return []
        return [Target(f"{name} / {other}", self.ratio(name, other), limit)]

    def to_dict(self) -> dict[str, Any]:
        lines = {
            name: {
                **self.spread(name).to_dict(),
                "accuracy": [outcome.accuracy for outcome in outcomes],
                **{key: self.more(name, key).to_dict() for key in outcomes[0].more},
            }
            for name, outcomes in self.outcomes.items()
        }
        return {"unit": self.unit, "load": list(self.load), "lines": lines}


def race(
    contenders: Mapping[str, Callable[[], Outcome]], repeats: int, *, unit: str, tolerance: float | None = None
) -> Race:
    """Measure every contender `repeats` times, taking turns (A B C A B C), so that noise hits all alike.

    Raises:
        RefusedError: after the first turn, accuracies differ by more than `tolerance`.
    """
    outcomes: dict[str, list[Outcome]] = {name: [] for name in contenders}
    load = []
    for turn in range(1, repeats + 1):
        for name, measure in contenders.items():
            outcomes[name].append(measure())
            print(f"  turn {turn} of {repeats}: {name} {_short(outcomes[name][-1].value)} {unit}", file=sys.stderr)
        load.append(round(os.getloadavg()[0], 2))
        if tolerance is not None:
            agree({name: turns[-1].accuracy for name, turns in outcomes.items()}, tolerance)
    return Race(unit, {name: tuple(turns) for name, turns in outcomes.items()}, tuple(load))


def agree(accuracies: Mapping[str, float | None], tolerance: float) -> None:
    """Check that every accuracy lies within `tolerance` of the median one.

    Raises:
        RefusedError: naming the contenders that do not.
    """
    known = {name: accuracy for name, accuracy in accuracies.items() if accuracy is not None}
    middle = statistics.median(known.values())
    off = {name: accuracy for name, accuracy in known.items() if not abs(accuracy - middle) <= tolerance}
    if off:
        listed = ", ".join(f"{name} {accuracy:.4f}" for name, accuracy in off.items())
        raise RefusedError(f"not the same work: accuracy {listed}, but the median is {middle:.4f} +- {tolerance}")


@dataclass(frozen=True)
class Result:
    """The result of a part: its races by title, its targets and notes."""

    races: Mapping[str, Race]
    targets: Sequence[Target] = ()
    notes: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "races": {title: race.to_dict() for title, race in self.races.items()},
            "targets": [target.to_dict() for target in self.targets],
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """The result as text: medians [least, most] over the repeats."""
        text: list[str] = []
        for title, race in self.races.items():
            width = max(len(name) for name in race.outcomes)
            text += [f"{title} ({race.unit}; load average {min(race.load)} to {max(race.load)})"]
            for name, outcomes in race.outcomes.items():
                more = [f"{key} {race.more(name, key)}" for key in outcomes[0].more]
                if outcomes[0].accuracy is not None:
                    more.append(f"accuracy {statistics.mean(o.accuracy or 0.0 for o in outcomes):.3f}")
                text.append(f"  {name:<{width}}  {race.spread(name)!s:<28} {'  '.join(more)}".rstrip())
        for target in self.targets:
            bound = "at least" if target.at_least else "at most"
            verdict = "met" if target.met else "NOT MET"
            text.append(f"  {target.text}: {target.measured}, wanted {bound} {_short(target.limit)}: {verdict}")
        return text + [f"  {note}" for note in self.notes]


@dataclass(frozen=True)
class Options:
    """What the command line asks of every part. `data_dir` is torchvision's root; None where there is none."""

    repeats: int = 5
    quick: bool = False
    data_dir: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
