"""Configs to fuzz with, as hypothesis strategies: valid ones, wrong ones, broken ones.

What a key may hold is asked of the schema and the catalogue: a value of the pool is good for a key where
the key's own check takes it. A new option is fuzzed without a line here.
"""

from __future__ import annotations

import copy
import functools
import json
import math
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

import clsbench.experiment  # noqa: F401 - registers all that there is
from clsbench.config.entries import ENTRY_TYPES, Frozen, entry_type
from clsbench.config.expectations import DIVERGED, OPERATORS
from clsbench.config.optimizer import optimizer_type
from clsbench.config.schema import DEFAULT_OPTIMIZER, Experiment, OptimizerConfig, TuneConfig
from clsbench.config.tuning import tune_type
from clsbench.metrics.measures import judged, measured, on_split
from clsbench.registry import KINDS, Spec, catalogue
from clsbench.results import WARNINGS
from clsbench.results.verdicts import VERDICTS

CONFIGS = Path(__file__).resolve().parents[2] / "configs"

NUMBERS = (0, 1, 2, 3, 5, 8, 10, 28, 100, 1000, 0.0, 1e-300, 1e-8, 0.01, 0.1, 0.25, 0.5, 0.9, 0.999, 1.0, 2.5)
LARGE = (10**4, 10**9, 10**9 + 1, 2**32 - 1, 2**32, 10**30, 10**400, 1e300, -1, -0.5, math.inf, -math.inf, math.nan)
TEXTS = [
    *("", "a", "no", "auto", "cpu", "cuda:0", "match", "per_seed", "1e-3", "log(1e-3, 1, 4)", "log(1, 0, 9)", "../x"),
    *("os:system", "<script>", "\x00", "\x1b[31m", "\u202e", "\u4ea4", "a b", "'", '"', "{}", "!!int 1", "&a", "~"),
]
SCALARS = (*NUMBERS, *LARGE, *TEXTS, None, True, False)
JUNK: tuple[Any, ...] = (*SCALARS, [], {}, [[]], [None], {"name": 3}, {"a": {"b": [{}]}}, [1, "a"], [0.1, 0.1])


@dataclass(frozen=True)
class Case:
    """What `clsbench check` is given."""

    config: bytes
    overrides: tuple[str, ...] = ()


def cases() -> st.SearchStrategy[Case]:
    """All kinds of configs, broken in all ways, one kind as likely as another."""
    trees = experiments()
    wrong = st.builds(_mutated, trees, st.randoms(use_true_random=False), st.integers(1, 3))
    text = st.one_of(st.sampled_from(shipped()), trees.map(_as_yaml)).map(str.encode)
    return st.one_of(
        st.builds(_case, trees.map(_as_yaml), st.just(())),
        st.builds(_case, trees.map(_as_json), st.lists(overrides(), max_size=3)),
        st.builds(_case, st.sampled_from(shipped()), st.lists(overrides(), min_size=1, max_size=3)),
        st.builds(_case, wrong.map(_as_yaml), st.just(())),
        st.builds(_case, wrong.map(_as_json), st.lists(overrides(), max_size=1)),
        st.builds(Case, st.builds(_bytes_mutated, text, text, st.lists(_DAMAGE, min_size=1, max_size=4))),
        st.builds(Case, st.binary(max_size=200)),
        st.builds(_case, st.lists(st.sampled_from(_TOKENS), max_size=30).map("".join), st.just(())),
    )


# Valid experiments.

_SECTIONS = tuple(key for key in Experiment.model_fields if key not in (*ENTRY_TYPES, "expect"))


@st.composite
def experiments(draw: st.DrawFn) -> dict[str, Any]:
    """An experiment whose every key holds what that key takes; whether the keys fit together is left to chance."""
    tree: dict[str, Any] = {}
    for kind in ENTRY_TYPES:
        entries = st.lists(_entries(kind), min_size=1, max_size=3 if kind == "loss" else 2)
        tree[kind] = draw(st.one_of(_entries(kind), entries))
    tree |= draw(_mapping(Experiment, _SECTIONS))
    tree["expect"] = draw(st.lists(_expectations(tree), max_size=2))
    return {key: tree[key] for key in draw(st.sets(st.sampled_from(sorted(tree))))}


@functools.cache
def _entries(kind: str) -> st.SearchStrategy[Any]:
    specs = [spec for known in KINDS if known == kind for spec in catalogue.all(known)]
    names = [name for spec in specs for name in (spec.name, *spec.aliases)]
    return st.one_of(st.sampled_from(names), st.sampled_from(specs).flatmap(_entry))


@functools.cache
def _entry(spec: Spec) -> st.SearchStrategy[dict[str, Any]]:
    kind = entry_type(spec)
    needed = {option.name: "a" for option in spec.options.values() if option.required}
    keys = tuple(key for key in kind.model_fields if key != "name")
    return _mapping(kind, keys).map(lambda own: {"name": spec.name, **needed, **own})


@functools.cache
def _mapping(model: type[BaseModel], keys: tuple[str, ...]) -> st.SearchStrategy[dict[str, Any]]:
    """Up to four of the keys of a section, each with a value that the section takes."""
    values = {key: _values(model, key) for key in keys}
    chosen = st.lists(st.sampled_from(sorted(keys)), max_size=4, unique=True)
    return chosen.flatmap(lambda some: st.fixed_dictionaries({key: values[key] for key in some}))


def _values(model: type[BaseModel], key: str) -> st.SearchStrategy[Any]:
    inner = [_full(part) for part in _parts(model.model_fields[key].annotation) if _is_section(part)]
    if inner:
        return st.one_of(*(_mapping(section, tuple(section.model_fields)) for section in inner))
    literals = tuple(part for part in _parts(model.model_fields[key].annotation) if isinstance(part, str))
    scalars = (*literals, *on_split("val"), *WARNINGS, *SCALARS)
    lists = [[value] for value in scalars] + [[value, other] for value in NUMBERS for other in NUMBERS[:6]]
    mappings = [{metric: value} for metric in ("accuracy", "nll") for value in NUMBERS]
    taken = [value for value in (*scalars, *lists, *mappings) if _takes(model, key, value)]
    return st.sampled_from(taken)


def _full(section: type[BaseModel]) -> type[BaseModel]:
    """A section with the keys that the default optimizer adds to it."""
    spec = catalogue.get("optimizer", DEFAULT_OPTIMIZER)
    return {OptimizerConfig: optimizer_type(spec), TuneConfig: tune_type(spec)}.get(section, section)


def _parts(annotation: Any) -> Iterator[Any]:
    """Whatever an annotation is made of."""
    yield annotation
    for part in typing.get_args(annotation):
        yield from _parts(part)


def _is_section(part: Any) -> bool:
    return isinstance(part, type) and issubclass(part, Frozen)


def _takes(model: type[BaseModel], key: str, value: Any) -> bool:
    try:
        model.model_validate({"name": "a", key: value})
    except ValidationError as error:
        return all(mistake["loc"][0] != key for mistake in error.errors(include_url=False))
    return True


def _expectations(tree: Mapping[str, Any]) -> st.SearchStrategy[str]:
    """Expectations on the arms of an experiment, most of which name what there is."""
    losses = tree["loss"] if isinstance(tree["loss"], list) else [tree["loss"]]
    names = [str(loss.get("label") or loss["name"]) if isinstance(loss, dict) else loss for loss in losses]
    arms = st.sampled_from([*names, "bce", "'bce lr=0.1'", "'a", ""])
    metrics = st.sampled_from([*measured(), DIVERGED, "seconds", "acuracy"])
    epochs = st.sampled_from(["", "", "@best", "@0", "@3", "@-1", "@1e9"])
    measures = st.builds("{}.{}{}".format, arms, metrics, epochs)
    words = st.sampled_from([*VERDICTS, "'no difference'", "'too few seeds'"])
    on = st.builds("verdict({}, {}, {})".format, arms, arms, st.sampled_from([*judged(), "test_ece"]))
    sides = st.one_of(measures, measures, on, words, st.sampled_from(NUMBERS).map(str), st.text(max_size=8))
    return st.builds("{} {} {}".format, sides, st.sampled_from([*OPERATORS, "=", ""]), sides)


# Wrong ones.


def overrides() -> st.SearchStrategy[str]:
    """`KEY=VALUE`: keys that there are, with values that they take or do not, and no such thing at all."""
    entries = [st.fixed_dictionaries({kind: _entries(kind)}) for kind in ENTRY_TYPES]
    sections = st.one_of(_mapping(Experiment, _SECTIONS), *entries)
    right = sections.flatmap(lambda tree: st.sampled_from(list(_dotted(tree)) or [("name", "a")]))
    anything = st.builds(lambda pair, value: (pair[0], value), right, st.sampled_from(JUNK))
    written = st.one_of(right, right, anything).map(lambda pair: f"{pair[0]}={_flow(pair[1])}")
    return st.one_of(written, written, st.text(st.characters(exclude_categories=["Cs"]), max_size=12))


def _dotted(tree: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        yield f"{before}{key}", value
        if isinstance(value, dict):
            yield from _dotted(value, f"{before}{key}.")


def _mutated(tree: dict[str, Any], random: Any, times: int) -> dict[str, Any]:
    """A tree with some values replaced, taken out or added."""
    tree = copy.deepcopy(tree)
    for _ in range(times):
        there = list(places(tree))
        if not there:
            break
        holder, key = random.choice(there)
        match random.choice(["replace", "replace", "delete", "add"]):
            case "delete":
                del holder[key]
            case "add" if isinstance(holder, dict):
                holder[random.choice(["nmae", "lr", "label", "name", "x", "<<", ""])] = random.choice(JUNK)
            case _:
                holder[key] = copy.deepcopy(random.choice(JUNK))
    return tree


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every value of a tree, as what holds it and its key there."""
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in inner:
        yield tree, key
        yield from places(value)


# Broken ones.


@functools.cache
def shipped() -> tuple[str, ...]:
    """Every config that comes along, `clsbench init`'s included."""
    own = [path.read_text(encoding="utf-8") for path in sorted(CONFIGS.glob("*.yaml"))]
    return (*own, files("clsbench.config").joinpath("starter.yaml").read_text(encoding="utf-8"))


_TOKENS = [
    *("name", "loss", "train", "seeds", "optimizer", "lr", "dataset", "model", "mlp", "focal", "expect", "tune", "no"),
    *(": ", ":\n  ", "\n", "\n- ", "- ", "[", "]", "{", "}", ", ", ",", "'", '"', "\\", "0.1", "1e-3", "~", " "),
    *("*a", "&a ", "!!int ", "!!python/object/apply:os.getcwd []", "!<", "<<: ", "\t", "#", "|", "|2-\n", ">", "? "),
    *("---\n", "...\n", "%", "%YAML 1.1\n", "%TAG ! !\n", "\\x", "\\UFFFFFFFF", "012", "1:30", "\ufeff", "\x85"),
]

_DAMAGE = st.tuples(
    st.sampled_from(["flip", "cut", "double", "splice", "insert", "insert"]),
    st.floats(0, 1, exclude_max=True),
    st.integers(1, 40),
    st.one_of(st.sampled_from(_TOKENS).map(str.encode), st.binary(min_size=1, max_size=4)),
)


def _bytes_mutated(data: bytes, other: bytes, damages: list[tuple[str, float, int, bytes]]) -> bytes:
    for what, where, length, inserted in damages:
        at = int(where * len(data))
        piece = data[at : at + length]
        match what:
            case "flip" if piece:
                data = data[:at] + bytes([piece[0] ^ 1 << length % 8]) + data[at + 1 :]
            case "cut":
                data = data[:at] + data[at + length :]
            case "double":
                data = data[:at] + piece * 3 + data[at + length :]
            case "splice":
                data = data[:at] + other[int(where * len(other)) :]
            case _:
                data = data[:at] + inserted + data[at:]
    return data


# Writing them.


def _case(text: str, overrides: Any) -> Case:
    return Case(text.encode("utf-8", "surrogatepass"), tuple(overrides))


def _as_yaml(tree: Any) -> str:
    return _yaml(tree, default_flow_style=False)


def _flow(value: Any) -> str:
    return _yaml(value, default_flow_style=True).removesuffix("\n").removesuffix("\n...")


def _yaml(value: Any, **style: Any) -> str:
    # Values are drawn from a pool, so that one object may stand twice: written out, not as an alias.
    dumper = type("Dumper", (yaml.SafeDumper,), {"ignore_aliases": lambda self, data: True})
    return str(yaml.dump(value, Dumper=dumper, sort_keys=False, allow_unicode=True, width=10**6, **style))


def _as_json(tree: Any) -> str:
    return json.dumps(tree)
