"""From the text of a file to typed data: strict JSON of a known version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from clsbench.errors import RunError

FORMAT_VERSION = 2  # of summary.json and environment.json; files without one are of version 1

# For every type that is read: no value is converted, unknown keys are kept, and every number is finite.
STRICT = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)

T = TypeVar("T")

Bounds = tuple[float | None, float | None]  # smallest and largest; None where there is none
MOST_DIGITS = 20
LARGEST = 2**53  # a double holds every whole number up to here
ROUNDING = 1e-6  # a mean in floating point may pass the bounds of its terms

Count = Annotated[int, Field(ge=0, le=LARGEST)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Seconds = Annotated[float, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, le=1)]
# A key that a later version of the file added: None if it is missing.
ADDED: Any = Field(default=None)


def parsed(name: str, text: str) -> dict[str, Any]:
    """A mapping in strict JSON, of no newer version than is known.

    Raises:
        RunError: it is not one; `name` is the damaged file.
    """
    try:
        value = from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise damaged(name, str(error)) from error
    if not isinstance(value, dict):
        raise damaged(name, "it is not a mapping")
    require_known_format(name, value)
    return value


def require_known_format(name: str, value: Mapping[str, Any], newest: int = FORMAT_VERSION) -> None:
    """Refuse a file whose meaning may have changed since, of a version after the `newest` that is known.

    Raises:
        RunError: it is of a newer major version.
    """
    version = value.get("format_version")
    if isinstance(version, int | float) and version >= newest + 1:
        shown = str(version)[:MOST_DIGITS]  # a damaged one may have thousands
        raise RunError(
            f"{name} was written by a newer clsbench: its format_version is {shown}, and {newest} is "
            "the newest known here; update clsbench"
        )


def validated(name: str, adapter: TypeAdapter[T], value: Any, at: str = "") -> T:
    """Plain data with the types that they must have, and None for what an older version lacks.

    Args:
        name: the file.
        adapter: what checks them.
        value: the data.
        at: their place in the file; nothing for the whole of it.

    Raises:
        RunError: with the place of the first value that is wrong.
    """
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise damaged(name, f"{at} {first_mistake(error)}".strip()) from error


def first_mistake(error: ValidationError) -> str:
    """`arms[0].lr should be a valid number`."""
    mistake = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in mistake["loc"]).removeprefix(".")
    what = {"missing": "is missing", "json_invalid": mistake["msg"]}.get(mistake["type"], mistake["msg"])
    return f"{place} {what.replace('Input should', 'should')}".strip()


def damaged(name: str, what: str) -> RunError:
    """The error for a damaged file of a run; `name` is its path, perhaps with a line."""
    return RunError(f"{name} is damaged: {what}; restore it, or run again")
