"""What key of a config a path leads to: the section that holds it, the types of its value, and keys of like name."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from clsbench.config.entries import ENTRY_TYPES, entry_type
from clsbench.config.optimizer import optimizer_type
from clsbench.config.schema import DEFAULT_ENTRIES, DEFAULT_OPTIMIZER, Experiment
from clsbench.config.tuning import tune_type
from clsbench.config.yaml_text import Path
from clsbench.registry import Kind, OptimizerSpec, UnknownName, catalogue, nearest_key
from clsbench.text import listed

LISTS = (list, tuple, Sequence)
MAPPINGS = (dict, Mapping)
NULLS = ("", "~", "null")
ENTRIES: tuple[Kind, ...] = ("dataset", "model", "loss")
MOST_NAMED = 3
COPIES = "grid"  # the section whose keys are those of `optimizer` again


def types_at(tree: Mapping[str, Any], path: Path) -> list[Any]:
    """The types that the value at a path may have, `Annotated` and unions taken apart; none if no key leads there."""
    section, rest = _start(tree, path)
    kinds: list[Any] = [section, str, list[str]] if path and path[0] in ENTRIES and not rest else [section]
    for part in rest:
        kinds = [each for kind in kinds for each in _inside(kind, part)]
    return kinds


def is_text(kinds: Sequence[Any]) -> bool:
    """Whether every single value of these types is text: words of a `Literal` are, and the items of a list count."""
    single = [each for kind in kinds for each in _single(kind)]
    return bool(single) and all(map(_is_words, single))


def takes_null(kinds: Sequence[Any]) -> bool:
    return type(None) in kinds


def takes_several(kinds: Sequence[Any]) -> bool:
    """Whether a list or a mapping is allowed."""
    return any((get_origin(kind) or kind) in (*LISTS, *MAPPINGS) or _is_section(kind) for kind in kinds)


def section_at(tree: Mapping[str, Any], path: Path) -> type[BaseModel] | None:
    """The model of the mapping at a path."""
    return next((kind for kind in types_at(tree, path) if _is_section(kind)), None)


def hint_at_unknown(tree: Mapping[str, Any], path: Path) -> str:
    """Where the unknown key at a path belongs: to another entry, to another section, or a misspelling in its own."""
    *_, key = path
    section = section_at(tree, path[:-1])
    own = [] if section is None else list(section.model_fields)
    if having := _others_with(str(path[0]), str(key)):
        return f"it is an option of {listed(having, MOST_NAMED, 'others')}"
    if elsewhere := _elsewhere(tree, str(key)):
        return f"did you mean {' or '.join(map(repr, elsewhere))}?"
    near = nearest_key(str(key), own)
    return f"did you mean {near!r}?" if near else f"one of {', '.join(own)}"


def sections(tree: Mapping[str, Any]) -> Iterator[tuple[str, type[BaseModel]]]:
    """Every section of an experiment with its dotted path, a section before those inside it."""
    yield "", Experiment
    for key in Experiment.model_fields:
        paths: list[Path] = [(key,)]
        if key in ENTRIES and isinstance(items := tree.get(key, DEFAULT_ENTRIES[key]), list | tuple):
            paths = [(key, index) for index in range(len(items))]
        for path in paths:
            found = section_at(tree, path)
            if found is not None:
                yield from _with_inner(key, found)


def _with_inner(path: str, section: type[BaseModel]) -> Iterator[tuple[str, type[BaseModel]]]:
    yield path, section
    for name, field in section.model_fields.items():
        for kind in alternatives(field.annotation):
            if _is_section(kind):
                yield from _with_inner(f"{path}.{name}", kind)


def _elsewhere(tree: Mapping[str, Any], key: str) -> list[str]:
    """The keys of this name in other sections: in those at the top, else in entries and inner sections."""
    top: dict[str, None] = {}
    inner: dict[str, None] = {}
    for path, section in sections(tree):
        if key in section.model_fields and not path.endswith(f".{COPIES}"):
            found = inner if "." in path or path in ENTRIES else top
            found[f"{path}.{key}".lstrip(".")] = None
    return list(top or inner)


def _others_with(kind: str, key: str) -> list[str]:
    """The other datasets, models or losses that have this option."""
    return [spec.name for known in ENTRIES if known == kind for spec in catalogue.all(known) if key in spec.options]


def _start(tree: Mapping[str, Any], path: Path) -> tuple[type[BaseModel], Path]:
    """The section that a path starts in, and the rest of the path below it."""
    key, rest = (str(path[0]), path[1:]) if path else ("", ())
    if key in ENTRIES:
        entry: Any = tree.get(key, DEFAULT_ENTRIES[key])
        if rest and isinstance(rest[0], int):
            entry = entry[rest[0]] if isinstance(entry, list | tuple) and rest[0] < len(entry) else None
            rest = rest[1:]
        return _entry_type(key, entry), rest
    if key in ("optimizer", "tune"):
        spec = _optimizer(tree)
        return (optimizer_type(spec) if key == "optimizer" else tune_type(spec)), rest
    return Experiment, path


def _entry_type(kind: str, entry: Any) -> type[BaseModel]:
    name = entry.get("name") if isinstance(entry, Mapping) else entry
    try:
        return entry_type(catalogue.get(next(known for known in ENTRIES if known == kind), str(name)))
    except UnknownName:
        return ENTRY_TYPES[kind]


def _optimizer(tree: Mapping[str, Any]) -> OptimizerSpec:
    given = tree.get("optimizer")
    name = given.get("name", DEFAULT_OPTIMIZER) if isinstance(given, Mapping) else DEFAULT_OPTIMIZER
    try:
        return catalogue.get("optimizer", str(name))
    except UnknownName:
        return catalogue.get("optimizer", DEFAULT_OPTIMIZER)


def _inside(kind: Any, part: str | int) -> list[Any]:
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return [Any]
    if isinstance(part, str) and _is_section(kind):
        field = kind.model_fields.get(part)
        return [] if field is None else alternatives(field.annotation)
    if (origin or kind) in (LISTS if isinstance(part, int) else MAPPINGS):
        return alternatives(arguments[-1 if isinstance(part, str) else 0]) if arguments else [Any]
    return []


def alternatives(annotation: Any) -> list[Any]:
    """The types that a type allows, `Annotated` and unions taken apart."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return alternatives(arguments[0])
    if origin in (Union, types.UnionType):
        return [each for argument in arguments for each in alternatives(argument)]
    return [annotation]


def _single(kind: Any) -> list[Any]:
    """The types of single values: those of a list's items, a section's words, none for null and mappings."""
    origin = get_origin(kind) or kind
    if origin in LISTS:
        return [each for item in alternatives((get_args(kind) or (Any,))[0]) for each in _single(item)]
    if _is_section(kind):
        return [Literal[word] for word in getattr(kind, "words", ())]
    return [] if origin in MAPPINGS or kind is type(None) else [kind]


def _is_words(kind: Any) -> bool:
    return kind is str or (get_origin(kind) is Literal and all(isinstance(word, str) for word in get_args(kind)))


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
