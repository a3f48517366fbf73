"""`KEY=VALUE` of the command line put into a document, and bare words made text where a key's type is text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from clsbench.config.keys import NULLS, is_text, takes_null, takes_several, types_at
from clsbench.config.schema import DEFAULT_ENTRIES
from clsbench.config.wording import dotted
from clsbench.config.yaml_text import Document, Path, Position, Written, parse, shown


def apply(document: Document, override: str, number: int) -> None:
    """Put one `KEY=VALUE` of the command line, the argument `number` (from 1), into the tree.

    A number in a dotted key is the place of an entry in a list, from 0.
    """
    key, equals, text = override.partition("=")
    start = Position(number, 1, "command line")
    if not equals or not all(key.split(".")):
        document.mistakes.append((start, (), f"{shown(override)} is not KEY=VALUE"))
        return
    try:
        holder, path = _holder(document, key.split("."), start)
    except LookupError as error:
        document.mistakes.append((start, tuple(key.split(".")), str(error.args[0])))
        return
    read = parse(text, "command line", line=number, column=len(key) + 2)
    mistakes = [(place, (*path, *inner), what) for place, inner, what in read.mistakes]
    document.forget(path)
    holder[path[-1]] = read.value
    document.mistakes += mistakes
    document.keys[path] = start
    document.values |= {(*path, *inner): place for inner, place in read.values.items()}
    document.keys |= {(*path, *inner): place for inner, place in read.keys.items()}
    document.values.setdefault(path, start)
    for inner, written in read.bare.items() if isinstance(read.value, list | dict) else ():
        own = tuple((place, (*path, *at), what) for place, at, what in written.mistakes)
        document.bare[(*path, *inner)] = replace(written, mistakes=own)
    is_quoted = isinstance(read.value, str) and () not in read.bare and not mistakes
    if not is_quoted:
        document.bare[path] = Written(text, tuple(mistakes))


def settle(document: Document) -> None:
    """Give every key whose type is text its text as it was written: `no`, `2024` and `1e3` too."""
    tree, known = document.value, dict[Path, list[Any]]()
    for path in list(document.bare):
        alike = (*path[:-1], 0) if len(path) > 2 and isinstance(path[-1], int) else path  # one type for all of a list
        kinds = known.setdefault(alike, types_at(tree, path) if alike not in known else [])
        written = document.bare.get(path)
        if not kinds:  # a key that is unknown is mistake enough
            document.take(path)
        if written is None or not is_text(kinds):
            continue
        if takes_several(kinds) and written.text.lstrip()[:1] in ("[", "{"):
            continue
        is_null = written.text in NULLS and (takes_null(kinds) or not written.text)
        value = None if is_null else written.text
        document.take(path)
        _put(tree, path, value)


def _put(tree: Any, path: Path, value: Any) -> None:
    for part in path[:-1]:
        tree = tree[part]
    tree[path[-1]] = value


def _holder(document: Document, parts: list[str], start: Position) -> tuple[Any, Path]:
    """The mapping or list that an override changes, made where it is missing, and the path of what it changes.

    Raises:
        LookupError: a part leads nowhere; the message says what there is.
    """
    holder, path = document.value, tuple[str | int, ...]()
    for part in parts[:-1]:
        path = (*path, _place(holder, part, path))
        inner = _inside(holder, path)
        if isinstance(inner, str) and path[0] in DEFAULT_ENTRIES and len(path) <= 2:
            inner = {"name": inner}
            document.take(path)
        if not isinstance(inner, dict | list):
            raise LookupError(f"{dotted(path)} has no keys of its own")
        holder[path[-1]] = inner = inner.copy()
        document.keys.setdefault(path, start)
        holder = inner
    return holder, (*path, _place(holder, parts[-1], path))


def _inside(holder: Any, path: Path) -> Any:
    if isinstance(holder, list):
        return holder[int(path[-1])]
    return holder.get(path[-1], DEFAULT_ENTRIES.get(str(path[0]), {}) if len(path) == 1 else {})


def _place(holder: Any, part: str, path: Path) -> str | int:
    """A key of a mapping as it is, the place of an entry in a list as a number."""
    if not isinstance(holder, list):
        if part.isdecimal() and len(path) == 1 and path[0] in DEFAULT_ENTRIES:
            raise LookupError(f"{path[0]} is one entry, not a list; leave out .{part}")
        return part
    if part.isascii() and part.isdecimal() and len(part) < 10 and int(part) < len(holder):
        return int(part)
    there = ", ".join(f"{place} {_named(entry)}" for place, entry in enumerate(holder[:20]))
    raise LookupError(f"{dotted(path)} is a list of {len(holder)}, counted from 0: {there or 'it is empty'}")


def _named(entry: Any) -> str:
    name = entry.get("name", entry) if isinstance(entry, Mapping) else entry
    return name if isinstance(name, str) and name.isprintable() and len(name) <= 60 else shown(name)
