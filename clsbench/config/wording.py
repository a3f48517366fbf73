"""pydantic's errors in this project's words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from clsbench.config.yaml_text import Path, shown

UNKNOWN_KEY = "unknown key"
Mistake = tuple[Path, str]  # path in the tree, message with a hint

WORDS = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "model_type": "must be a mapping of keys",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be above {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be below {lt}",
    "too_short": "must have at least {min_length} values",
    "literal_error": "must be {expected}",
}


def mistakes_of(error: ValidationError) -> Iterable[Mistake]:
    """Every mistake of an error, with its path below the model that raised it."""
    for detail in error.errors(include_url=False):
        where, got = detail["loc"], detail["input"]
        if detail["type"] == "extra_forbidden":
            yield where, UNKNOWN_KEY
        elif detail["type"] == "missing":
            yield where, "must be given"
        elif detail["type"] == "clsbench":
            yield where, detail["msg"]
        elif detail["type"] == "string_type":
            yield where, f"must be text, got {shown(got)}; quote it if it is meant as text"
        else:
            yield where, f"{_must(detail)}, got {shown(got)}"


def _must(detail: Any) -> str:
    if detail["type"] in WORDS:
        return WORDS[detail["type"]].format_map(detail.get("ctx", {}))
    message = detail["msg"].replace("Input should be", "must be")
    return f"{message[0].lower()}{message[1:]}"


def dotted(path: Path) -> str:
    """A path as it is written in an override, without the places in lists."""
    # A user's key may contain a line break, and a mistake is printed on one line.
    return ".".join(part if part.isprintable() else shown(part) for part in path if isinstance(part, str))
