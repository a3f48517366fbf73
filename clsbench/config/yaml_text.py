"""YAML as plain values with their positions, and all mistakes.

A small, strict dialect: it has no anchors, aliases, merge keys or tags, so nothing expands and no object is
constructed. Bare words that YAML 1.1 and 1.2 read differently (`no`, `012`, `1:30`) are refused. `1e-3` is a
number. What a bare word looked like is kept, for keys whose type is text.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

Path = tuple[str | int, ...]

MAX_DEPTH = 12
MAX_CHARACTERS = 1_000_000  # takes about 15 s to read

_NULLS = {"", "~", "null", "Null", "NULL"}
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL_FLOAT = re.compile(r"([-+]?)\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_NO_COMMENT = re.compile(r"[ \t]+#[^\s#](?:(?![ \t]+#(?:\s|$))[^\r\n])*(?<![ \t])", re.MULTILINE)
_SURPRISES = (
    (re.compile(r"(?i)y|n|yes|no|on|off"), "is a truth value in YAML 1.1 and a word in 1.2"),
    (re.compile(r"[-+]?0[0-9_]+"), "is octal in YAML 1.1 and decimal in 1.2"),
    (re.compile(r"[-+]?0[xob][0-9a-fA-F_]+"), "is a number in one version of YAML and text in another"),
    (re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"), "is a base-60 number in YAML 1.1"),
    (re.compile(r"[-+]?[0-9][0-9_.]*_[0-9_.]*"), "is a number in YAML 1.1 and text in 1.2"),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?"), "is a date in YAML 1.1"),
)


class Surprise(ValueError):
    """A bare word that different YAML readers read differently."""


@dataclass(frozen=True, order=True)
class Position:
    """A position in a source (a file's name or `command line`): line and column, from 1."""

    line: int
    column: int
    source: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}"


Misread = tuple[Position, Path, str]


@dataclass(frozen=True)
class Written:
    """What was written where a value stands without quotes, and the mistakes of reading it as a value."""

    text: str
    mistakes: tuple[Misread, ...] = ()


@dataclass
class Document:
    """A parsed text. `values` and `keys` map a path to the positions of its value and its key, `bare` to bare words."""

    value: Any = None
    values: dict[Path, Position] = field(default_factory=dict)
    keys: dict[Path, Position] = field(default_factory=dict)
    bare: dict[Path, Written] = field(default_factory=dict)
    mistakes: list[Misread] = field(default_factory=list)

    def forget(self, path: Path) -> None:
        """Drop what is known of the value at a path: it is replaced."""
        for known in [known for known in self.bare if known[: len(path)] == path]:
            self.take(known)
        for places in (self.values, self.keys):
            for known in [known for known in places if known[: len(path)] == path]:
                del places[known]

    def take(self, path: Path) -> None:
        """Drop what was written at a path; the mistakes of reading it as a value are none."""
        written = self.bare.pop(path, None)
        if written is not None and written.mistakes:
            self.mistakes = [mistake for mistake in self.mistakes if mistake not in written.mistakes]


def scalar(text: str) -> str | int | float | bool | None:
    """The value of a bare word.

    Raises:
        Surprise: YAML 1.1 and 1.2 read it differently, or it is too long for a number.
    """
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    for pattern, meaning in _SURPRISES:
        if pattern.fullmatch(text):
            raise Surprise(f"{shown(text)} {meaning}; quote it if it is text, else write it out")
    if _INTEGER.fullmatch(text) or _FLOAT.fullmatch(text):
        if len(text) > 40:
            raise Surprise(f"{shown(text)} is too long for a number; quote it if it is text")
        return int(text) if _INTEGER.fullmatch(text) else float(text)
    special = _SPECIAL_FLOAT.fullmatch(text)
    if special:
        return math.nan if special[3] else float(special[1] + "inf")
    return text


def is_text(value: str) -> bool:
    """Whether a string can be written to a file: one with an unpaired Unicode surrogate cannot."""
    return not any("\ud800" <= char <= "\udfff" for char in value)


def shown(value: Any, length: int = 60) -> str:
    """A value as YAML or Python writes it, cut to a length that fits a message."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and abs(value) > 10**length:
        return "a very large number"
    text = repr(value)
    return text if len(text) <= length else f"{text[: length - 3]}..."


def parse(text: str, source: str, *, line: int = 1, column: int = 1) -> Document:
    """Read one YAML document; its first character is at `line`, `column` of `source`."""
    return _Composer(source, line, column).compose(text)


class _Composer:
    def __init__(self, source: str, line: int, column: int) -> None:
        self.document = Document()
        self._source = source
        self._line = line
        self._column = column
        self._text = ""
        self._flows = 0  # how many lists and mappings in brackets the reader is inside of

    def compose(self, text: str) -> Document:
        self._text = text
        if len(text) > MAX_CHARACTERS:
            self._mistake(Position(1, 1, self._source), (), f"longer than {MAX_CHARACTERS:,} characters")
            return self.document
        try:
            loader = yaml.SafeLoader(text)
        except yaml.reader.ReaderError as error:
            before = text[: error.position]
            place = self._place(before.count("\n"), len(before) - before.rfind("\n") - 1)
            self._mistake(place, (), f"the character {chr(error.character)!r} is not allowed in YAML")
            return self.document
        events = iter(loader.get_event, None)
        try:
            next(events)
            first = next(events)
            if isinstance(first, yaml.StreamEndEvent):
                return self.document
            self.document.value = self._node(next(events), events, ())
            next(events)
            second = next(events)
            if not isinstance(second, yaml.StreamEndEvent):
                self._mistake(self._at(second.start_mark), (), "a second document; one file is one experiment")
        except _Refused:
            pass
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            self._mistake(self._at(mark), (), f"not valid YAML: {error.problem or error.context}")
        except (ValueError, OverflowError):
            # PyYAML turns `"\\UFFFFFFFF"`, and a `%YAML` of 5,000 digits, into numbers that Python refuses.
            self._mistake(self._at(loader.get_mark()), (), "not valid YAML: a number that is too large")
        return self.document

    def _node(self, event: Any, events: Any, path: Path) -> Any:
        position = self._at(event.start_mark)
        self.document.values[path] = position
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            self._refuse(position, path, "anchors and aliases are not allowed; write the value out")
        if event.tag is not None:
            self._refuse(position, path, f"the tag {shown(event.tag)} is not allowed; a config is plain data")
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, position, path)
        if len(path) >= MAX_DEPTH:
            self._refuse(position, path, f"nested more than {MAX_DEPTH} levels deep")
        self._flows += bool(event.flow_style)
        read = self._sequence if isinstance(event, yaml.SequenceStartEvent) else self._mapping
        value = read(events, path)
        self._flows -= bool(event.flow_style)
        return value

    def _scalar(self, event: Any, position: Position, path: Path) -> Any:
        if not is_text(event.value):
            self._mistake(
                position, path, f"{shown(event.value)} contains an unpaired surrogate, which no file can hold"
            )
            return ""
        if not event.implicit[0]:
            return event.value
        written = self._as_written(event)
        try:
            value = scalar(event.value)
        except Surprise as surprise:
            self._mistake(position, path, str(surprise))
            self.document.bare[path] = Written(written, (self.document.mistakes[-1],))
            return event.value
        self.document.bare[path] = Written(written)
        return value

    def _as_written(self, event: Any) -> str:
        """A bare word with what YAML takes for a comment though no blank follows its sign: `my #1.csv`."""
        if not event.value or self._flows:
            return str(event.value)
        rest = _NO_COMMENT.match(self._text, event.end_mark.index)
        return f"{event.value}{rest[0] if rest else ''}"

    def _sequence(self, events: Any, path: Path) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            items.append(self._node(event, events, (*path, len(items))))
        return items

    def _mapping(self, events: Any, path: Path) -> dict[str, Any]:
        items: dict[str, Any] = {}
        first_lines: dict[str, int] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            place = self._at(event.start_mark)
            if not isinstance(event, yaml.ScalarEvent) or event.anchor is not None or event.tag is not None:
                self._refuse(place, path, "a key must be a plain word")
            key = event.value
            inner = (*path, key)
            if key == "<<":
                self._refuse(place, path, "merge keys are not allowed; write the values out")
            if key in items:
                self._mistake(place, inner, f"given twice; first on line {first_lines[key]}")
                self._pass_over(next(events), events, inner)
                continue
            first_lines[key] = place.line
            self.document.keys[inner] = place
            items[key] = self._node(next(events), events, inner)
        return items

    def _pass_over(self, event: Any, events: Any, path: Path) -> None:
        """Read a value for its mistakes alone: what is known of the path is said of the value that stands there."""
        standing = self.document
        self.document = Document(mistakes=standing.mistakes)
        try:
            self._node(event, events, path)
        finally:
            self.document = standing

    def _at(self, mark: Any) -> Position:
        return self._place(mark.line, mark.column)

    def _place(self, line: int, column: int) -> Position:
        """A position in the source, from the line and column in this text, counted from 0."""
        return Position(line + self._line, column + (self._column if line == 0 else 1), self._source)

    def _mistake(self, position: Position, path: Path, text: str) -> None:
        self.document.mistakes.append((position, path, text))

    def _refuse(self, position: Position, path: Path, text: str) -> None:
        self._mistake(position, path, text)
        raise _Refused


class _Refused(Exception):
    """Reading stops: what follows may be misread."""
