"""What a report says, as plain data: sections of curves, tables and text, without widths, colours or encodings.

`report.sections` makes it from the records and the summary of a run; `report.renderers` show it. Text is never escaped
here: a user's words stand in it as they were written, and each renderer makes them safe for where they go.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from clsbench.report.values import Value

Scale = Literal["linear", "log", "integer"]


@dataclass(frozen=True)
class ArmRef:
    """An arm by name.

    `mark` numbers, from 0, the arms of a comparison that are drawn: a renderer shows it as a letter, a colour or both.
    It is None for an arm that is in tables alone.
    """

    name: str
    mark: int | None = None


@dataclass(frozen=True)
class Mark:
    """A drawn arm by its mark alone, where the name was given before."""

    arm: ArmRef


Part: TypeAlias = str | ArmRef | Mark
Text: TypeAlias = tuple[Part, ...]
"""A piece of text: plain words, and the arms that it names."""


@dataclass(frozen=True)
class Paragraph:
    """Sentences. A `note` explains what is next to it; a `warning` asks for attention."""

    text: Text
    role: Literal["text", "note", "warning"] = "text"


@dataclass(frozen=True)
class ArmList:
    """A remark on each arm; `heads` are over the arms and over the remarks."""

    entries: tuple[tuple[ArmRef, str], ...]
    heads: tuple[str, str] | None = None


@dataclass(frozen=True)
class Axis:
    """What an axis shows. `end` is its last value where that is not the last point's."""

    label: str
    scale: Scale = "linear"
    end: float | None = None


@dataclass(frozen=True)
class Series:
    """A line of one arm: the means `y` at `x`, with a band from `low` to `high`. It may have no points."""

    arm: ArmRef
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class Level:
    """A value that the lines of a plot are read against, and what it is."""

    value: float
    label: str


@dataclass(frozen=True)
class Curves:
    """Lines of a metric on shared axes, one for each arm that is drawn; `metric` is its name in the records.

    `level` is a horizontal line across it.
    """

    title: str
    metric: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    level: Level | None = None


Cell: TypeAlias = str | float | Value | ArmRef | Text | None


@dataclass(frozen=True)
class Column:
    """The header of a column, in the lines that it may be broken into, and the side that its cells are aligned to."""

    header: tuple[str, ...]
    align: Literal["left", "right"] = "right"


@dataclass(frozen=True)
class Table:
    """Rows of plain values; the type of a value is its formatting rule.

    The first `num_heads` columns say what a row is about: a table that is cut for its width repeats them. `omitted`
    counts the rows that were left out, so that no reader takes the table for all there is.
    """

    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    num_heads: int = 1
    omitted: int = 0


@dataclass(frozen=True)
class Bin:
    """Predictions of similar confidence: how many there are, their mean confidence, and the share that is correct."""

    count: int
    confidence: float | None
    accuracy: float | None


@dataclass(frozen=True)
class Reliability:
    """How reliable the confidence of an arm is: `bins` of equal width from 0 to 1, none without probabilities."""

    arm: ArmRef
    ece: float | None
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Ranks:
    """A critical-difference diagram: arms at their mean ranks, 1 being the best, on an axis from 1 to `worst`.

    `groups` are sets of arms, next to each other by rank, that no test tells apart: a bar spans each.
    """

    entries: tuple[tuple[ArmRef, float], ...]
    groups: tuple[tuple[ArmRef, ...], ...]
    worst: int

    def span(self, group: tuple[ArmRef, ...]) -> tuple[float, float]:
        """The best and the worst mean rank of a group."""
        ranks = [rank for arm, rank in self.entries if arm in group]
        return min(ranks), max(ranks)


@dataclass(frozen=True)
class Files:
    """Files that a run wrote, by name, and the directory that holds them."""

    folder: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Section:
    """Blocks under a title. `name` says what they are about, so that a reader of the document can choose and order."""

    name: str
    title: Text = ()
    blocks: tuple[Block, ...] = ()


Block: TypeAlias = Paragraph | ArmList | Curves | Table | Reliability | Ranks | Files | Section


@dataclass(frozen=True)
class Document:
    """A report: its title and its sections, in the order in which they are read."""

    title: str
    sections: tuple[Section, ...]


def joined(items: Iterable[Part | Text], separator: str = ", ", last: str | None = None) -> Text:
    """The items with `separator` between them, and `last`, where it is given, before the last one."""
    texts = [item if isinstance(item, tuple) else (item,) for item in items]
    found: list[Part] = []
    for place, text in enumerate(texts):
        if place:
            found.append(last if last is not None and place == len(texts) - 1 else separator)
        found += text
    return tuple(found)


def listed(items: Iterable[Part | Text]) -> Text:
    """`a, b and c`."""
    return joined(items, last=" and ")
