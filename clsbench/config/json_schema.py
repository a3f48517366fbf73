"""The experiment file as JSON Schema, and every key of it with type, default and meaning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from clsbench.config.entries import ENTRY_TYPES, entry_type
from clsbench.config.keys import COPIES, ENTRIES, alternatives, is_text, sections
from clsbench.config.optimizer import optimizer_type
from clsbench.config.schema import DEFAULT_OPTIMIZER, Experiment, ReportConfig
from clsbench.config.values import MAX_COUNT
from clsbench.registry import Kind, Spec, catalogue

TEXT = ["string", "number", "boolean"]
BOUNDS = (("minimum", "at least"), ("exclusiveMinimum", "above"), ("maximum", "at most"), ("exclusiveMaximum", "below"))
DRAFT = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True)
class Key:
    """A key of a config: its dotted name, the JSON Schema of its value, its default as YAML has it, its meaning."""

    name: str
    schema: Mapping[str, Any]
    default: Any
    required: bool
    meaning: str


class _Plain(GenerateJsonSchema):
    """Values as a file has them: one value or a list where a key sweeps; no titles."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def function_plain_schema(self, schema: Any) -> dict[str, Any]:
        return dict(getattr(schema["function"]["function"], "json_schema", {}))

    def function_before_schema(self, schema: Any) -> dict[str, Any]:
        inner: dict[str, Any] = super().function_before_schema(schema)
        if schema["function"]["function"].__name__ == "_listed":
            return {"anyOf": [inner["items"], {"type": "array", "items": inner["items"], "minItems": 1}]}
        if schema["function"]["function"].__name__ == "_spaced":
            return {"anyOf": [inner, {"type": "string", "pattern": r"^\s*log\("}]}
        return inner


def keys_of(section: type[BaseModel], path: str, spec: Spec | None = None) -> Iterator[Key]:
    """The keys of one section; `spec` has the meaning of its own options."""
    known = _schema_of(section)
    for name, schema in known["properties"].items():
        field, default = section.model_fields[name], schema.get("default")
        meaning = field.description or (spec.meaning_of(name) if spec and name in spec.options else "")
        yield Key(f"{path}.{name}".lstrip("."), schema, default, field.is_required(), meaning)


def all_keys() -> Iterator[Key]:
    """Every key of an experiment: those of the sections, then the options of everything registered."""
    for path, section in sections({"loss": "cross_entropy"}):
        if path == f"tune.{COPIES}":
            continue
        own = catalogue.get("optimizer", DEFAULT_OPTIMIZER) if path == "optimizer" else None
        yield from keys_of(ENTRY_TYPES.get(path, section), path, own)
    for kind in ENTRIES:
        for spec in catalogue.all(kind):
            yield from (
                k
                for k in keys_of(entry_type(spec), f"{kind}.{spec.name}", spec)
                if k.name.rpartition(".")[2] in spec.options
            )


def keys_named(name: str) -> tuple[list[Key], list[str]]:
    """The keys that a name stands for, and the names of all: a key in full or by its last parts, or a whole section."""
    known = list(all_keys())
    inside = [key for key in known if name and key.name.rpartition(".")[0] == name]
    exact = [key for key in known if name and f".{key.name}".endswith(f".{name}")]
    names = [part for key in known for part in (key.name, key.name.rpartition(".")[2])]
    return inside or exact, names


def experiment_schema() -> dict[str, Any]:
    """JSON Schema of an experiment file, with the options of everything that is registered."""
    whole = _schema_of(Experiment)
    definitions: dict[str, Any] = {}
    properties = dict(whole["properties"])
    for kind in ENTRIES:
        properties[kind] = {"anyOf": [_one_of(kind, definitions), {"type": "array", "items": _one_of(kind, {})}]}
    properties["optimizer"] = _one_of("optimizer", definitions)
    properties["report"] = {"anyOf": [whole["properties"]["report"], {"enum": list(ReportConfig.words)}]}
    properties["tune"] = {"type": ["object", "null"], "description": "settings that every arm tries"}
    return {
        "$schema": DRAFT,
        "title": "a clsbench experiment",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "$defs": definitions | _referred(properties, whole["$defs"]),
    }


def _referred(schema: Any, known: Mapping[str, Any]) -> dict[str, Any]:
    """The definitions among `known` that a schema refers to, and those that these refer to."""
    if isinstance(schema, list):
        return {name: found for part in schema for name, found in _referred(part, known).items()}
    if not isinstance(schema, Mapping):
        return {}
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    own = {name: known[name]} | _referred(known[name], known) if name in known else {}
    return own | _referred([*schema.values()], known)


def _one_of(kind: Kind, definitions: dict[str, Any]) -> dict[str, Any]:
    """A component by its name alone or with options, which depend on the name."""
    specs = catalogue.all(kind)
    names = [name for spec in specs for name in (spec.name, *spec.aliases)]
    needy = [spec.name for spec in specs if any(option.required for option in spec.options.values())]
    cases = []
    for spec in specs:
        at = f"{kind}.{spec.name}"
        made = optimizer_type(spec) if kind == "optimizer" else entry_type(spec)
        own = _schema_of(made)
        definitions |= own.pop("$defs", {})
        for name, schema in own["properties"].items():
            if name in spec.options:
                schema.setdefault("description", spec.meaning_of(name))
        own["properties"]["name"] = {"enum": [spec.name, *spec.aliases]}
        own["required"] = [name for name in own.get("required", ()) if name != "name"]
        definitions[at] = own | {"title": spec.name, "description": spec.summary}
        given = {} if spec.name == DEFAULT_OPTIMIZER else {"required": ["name"]}  # no name: the default
        cases.append(
            {
                "if": {"properties": {"name": {"enum": [spec.name, *spec.aliases]}}} | given,
                "then": {"$ref": f"#/$defs/{at}"},
            }
        )
    described = {"type": "object", "properties": {"name": {"enum": names}}, "allOf": cases}
    if kind == "optimizer":
        return described
    alone = [name for name in names if catalogue.get(kind, name).name not in needy]
    return {"anyOf": [{"enum": alone}, described | {"required": ["name"]}]}


def _schema_of(section: type[BaseModel]) -> dict[str, Any]:
    schema: dict[str, Any] = section.model_json_schema(schema_generator=_Plain)
    for name, field in section.model_fields.items():
        known = schema["properties"][name]
        if _sweeps(known) and isinstance(known.get("default"), list) and len(known["default"]) == 1:
            (known["default"],) = known["default"]
        for part in [known, *known.get("anyOf", ())]:
            if is_text(alternatives(field.annotation)) and part.get("type") == "string":
                part["type"] = TEXT  # the reader takes 2024 and true as text, where other readers of YAML do not
    return schema


def _sweeps(schema: Mapping[str, Any]) -> bool:
    parts = schema.get("anyOf", ())
    return len(parts) == 2 and parts[1].get("items") == parts[0] and "minItems" in parts[1]


def in_words(schema: Mapping[str, Any]) -> str:
    """What a JSON Schema allows: `a whole number, at least 1`."""
    if "enum" in schema or "const" in schema:
        return " or ".join(as_yaml(value) for value in schema.get("enum", [schema.get("const")]))
    if "$ref" in schema:
        return "a section of keys"
    parts = schema.get("anyOf", ())
    if _sweeps(schema):
        return f"{in_words(parts[0])}; or a list of them, a sweep"
    if parts:
        return " or ".join(map(in_words, parts))
    kind = schema.get("type")
    if kind == TEXT:
        return "text"
    if isinstance(kind, list):
        return " or ".join(in_words({**schema, "type": each} if each != "null" else {"type": each}) for each in kind)
    if kind == "array":
        return f"a list, each {in_words(schema['items'])}" if "items" in schema else "a list"
    words = {"integer": "a whole number", "number": "a number", "string": "text", "boolean": "true or false"}
    words |= {"null": "null", "object": "a mapping of names"}
    return ", ".join(
        [
            words.get(str(kind), "a value"),
            *(f"{text} {schema[key]:g}" for key, text in BOUNDS if abs(schema.get(key, MAX_COUNT)) < MAX_COUNT),
        ]
    )


def as_yaml(value: Any) -> str:
    words = {"None": "null", "True": "true", "False": "false"}
    return words.get(str(value), str(value))
