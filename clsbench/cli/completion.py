"""What a shell may complete an argument to: names of configs, datasets, losses, keys and their values.

Each function gives pairs of a word and its meaning, for Typer, which keeps those that begin as what is typed.
"""

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from clsbench.config.json_schema import Key
    from clsbench.registry import Kind

Words = list[tuple[str, str]]

MEANING_WIDTH = 60  # Typer breaks longer ones into lines, which fish takes for more words


def shipped_configs() -> Words:
    """The configs that clsbench brings."""
    from clsbench.config.shipped import shipped, title_of

    return [_word(name, title_of(path)) for name, path in shipped().items()]


def configs(incomplete: str) -> Words:
    """The shipped configs, and the YAML files of the folder that is typed."""
    from clsbench.config.shipped import SUFFIX

    files: list[str] = []
    with suppress(OSError, ValueError):
        files = sorted(map(str, Path(incomplete or ".").parent.glob(f"*{SUFFIX}")))
    start = "./" if incomplete.startswith("./") else ""
    return [(f"{start}{file}", "") for file in files] + shipped_configs()


def downloads() -> Words:
    """The datasets that are downloaded."""
    from clsbench.data.vision import SOURCES

    return [(name, meaning) for name, meaning in _names("dataset") if name in SOURCES]


def surface_losses() -> Words:
    """The losses that have a surface over the logits of three classes."""
    import clsbench.losses  # noqa: F401 - registers them
    from clsbench.problems import SingleLabel

    return [_word(spec.name, spec.summary) for spec in SingleLabel(3).losses_by_class()]


def listed() -> Words:
    """All that `list` explains: kinds, names, keys."""
    from clsbench.config.json_schema import all_keys
    from clsbench.problems import KINDS as PROBLEMS
    from clsbench.registry import KINDS
    from clsbench.report.renderers.listing import LISTED, plural

    names = [_word(each.kind, each.meaning) for each in PROBLEMS.values()]
    names += [name for kind in KINDS for name in _names(kind)]
    return [(plural(kind), "") for kind in LISTED] + names + [_word(key.name, key.meaning) for key in all_keys()]


def overrides(context: typer.Context, incomplete: str) -> Words:
    """Keys of the config that the command line names, and behind `KEY=`, or where one key is left, its values."""
    given = [str(each) for each in context.params.get("overrides") or ()]
    key, equals, _ = incomplete.partition("=")
    start = f"{key}="
    if not equals and given and (given[-1] == "=" or "=" not in given[-1]):  # bash makes three words of KEY=VALUE
        given = given[:-1] if given[-1] == "=" else given
        key, equals, start = given.pop() if given else "", "=", ""
    known = {each.name: each for each in _keys(context.params.get("config"), [each for each in given if "=" in each])}
    if equals:
        return [(f"{start}{value}", meaning) for value, meaning in _values(known[key])] if key in known else []
    begun = [each for name, each in known.items() if name.startswith(key)]
    if len(begun) == 1 and (values := _values(begun[0])):
        return [(f"{begun[0].name}={value}", meaning) for value, meaning in values]
    return [_word(f"{each.name}=", each.meaning) for each in begun]


def _keys(config: str | Path | None, given: Sequence[str]) -> Iterator["Key"]:
    """The keys that a config and overrides leave to be given, with the options of its entries."""
    import clsbench.experiment  # noqa: F401 - registers all that there is
    from clsbench.config.json_schema import keys_of
    from clsbench.config.keys import ENTRIES, sections
    from clsbench.config.reader import read_tree
    from clsbench.config.shipped import located

    tree = read_tree(None if config is None else located(Path(config)), given)
    known, entries = list(sections(tree)), Counter[str]()
    whole = {path for path, _ in known} - {*ENTRIES}  # a section is given by its keys
    for path, section in known:
        kind, _, inner = path.partition(".")
        if kind in ENTRIES and isinstance(tree.get(kind), list):
            entries[kind] += not inner
            path = f"{kind}.{entries[kind] - 1}{path.removeprefix(kind)}"
        yield from (key for key in keys_of(section, path) if key.name not in whole)


def _values(key: "Key") -> Words:
    """The words that a key takes: names, else those of its type, else its default."""
    from clsbench.config.json_schema import as_yaml
    from clsbench.config.keys import ENTRIES
    from clsbench.registry import KINDS

    kind = next((kind for kind in KINDS if kind == key.name.partition(".")[0]), None)
    if kind is not None and (key.name in ENTRIES or key.name.endswith(".name")):
        return _names(kind)
    words = list(_words(key.schema))
    if not words and isinstance(key.default, str | int | float):
        words = [as_yaml(key.default)]
    return [_word(word, key.meaning) for word in words]


def _words(schema: Mapping[str, Any]) -> Iterator[str]:
    from clsbench.config.json_schema import as_yaml

    yield from map(as_yaml, schema.get("enum", [schema["const"]] if "const" in schema else []))
    if schema.get("type") == "boolean":
        yield from ("true", "false")
    for part in schema.get("anyOf", ()):
        yield from _words(part)


def _names(kind: "Kind") -> Words:
    import clsbench.experiment  # noqa: F401 - registers all that there is
    from clsbench.registry import catalogue

    return [_word(spec.name, spec.summary) for spec in catalogue.all(kind)]


def _word(word: str, meaning: str) -> tuple[str, str]:
    from rich.markup import escape  # Typer reads it as markup

    return word, escape(textwrap.shorten(meaning, MEANING_WIDTH, placeholder="..."))
