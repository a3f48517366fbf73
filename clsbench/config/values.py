"""The types of values in the schema; each refuses other values with a message of its own."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Interval
from pydantic import AfterValidator, BeforeValidator, PlainSerializer, PlainValidator
from pydantic_core import PydanticCustomError

from clsbench.config.yaml_text import shown
from clsbench.system import is_portable_name

DEVICES = r"auto|cpu|cuda(:\d{1,4})?"
MAX_SEED = 2**32 - 1
MAX_COUNT = 10**9
MAX_THREADS = 1024
MAX_SPACED = 1000
LARGEST = sys.float_info.max

T = TypeVar("T")


def mistake(text: str) -> PydanticCustomError:
    return PydanticCustomError("clsbench", "{text}", {"text": text})


def number(
    *,
    above: float = -math.inf,
    least: float = -math.inf,
    below: float = math.inf,
    most: float = math.inf,
    nullable: bool = False,
) -> Callable[[Any], int | float | None]:
    """A check for a finite number, kept as it was written: `10` stays 10, also in an arm's name."""
    named = (("above", above), ("at least", least), ("below", below), ("at most", most))
    bounds = [f"{word} {bound:g}" for word, bound in named]
    range_text = " and ".join(text for text in bounds if "inf" not in text)
    allowed = f"a number {range_text}".rstrip() + " or null" * nullable

    def check(value: Any) -> int | float | None:
        if value is None and nullable:
            return None
        is_number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= LARGEST
        if not is_number or not (above < value < below and least <= value <= most):
            raise mistake(f"must be {allowed}, got {shown(value)}")
        checked: int | float = value
        return checked

    words = {"exclusiveMinimum": above, "minimum": least, "exclusiveMaximum": below, "maximum": most}
    kind: str | list[str] = ["number", "null"] if nullable else "number"
    return _described(check, {"type": kind} | {word: bound for word, bound in words.items() if math.isfinite(bound)})


Check = TypeVar("Check", bound=Callable[..., Any])


def _described(check: Check, json_schema: dict[str, Any]) -> Check:
    """A check with the JSON Schema of what it takes."""
    check.json_schema = json_schema  # type: ignore[attr-defined]
    return check


def _auto_or_count(most: int) -> Callable[[Any], int | str]:
    def check(value: Any) -> int | str:
        is_count = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most
        if not is_count and value != "auto":
            raise mistake(f"must be auto or a whole number from 1 to {most}, got {shown(value)}")
        chosen: int | str = value
        return chosen

    return _described(check, {"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 1, "maximum": most}]})


def _weight(value: Any) -> int | float | str:
    if value == "match":
        return "match"
    try:
        weight: int | float | str = number(above=0)(value) or 0
    except PydanticCustomError:
        raise mistake(f"must be a number above 0 or match, got {shown(value)}") from None
    return weight


def _class_weight(value: Any) -> Any:
    if value is None or value == "balanced":
        return value
    if not isinstance(value, Mapping) or not value:
        wanted = "must be balanced, null or numbers by the names of classes"
        raise mistake(f"{wanted}, got {shown(value)}; as in {{cat: 2, dog: 1}}")
    weigh = number(above=0)
    return {str(name): weigh(weight) for name, weight in value.items()}


def _margin(value: Any) -> Any:
    if not isinstance(value, Mapping):
        raise mistake(f"must be numbers by the names of metrics, got {shown(value)}; as in {{accuracy: 0.02}}")
    smallest = number(least=0)
    return {str(name): smallest(size) for name, size in value.items()}


def _device(value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(DEVICES, value):
        return value
    raise mistake(f"must be auto, cpu, cuda or cuda:N, got {shown(value)}")


def _split_seed(value: Any) -> int | str | None:
    is_seed = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_SEED
    if not is_seed and value not in ("per_seed", None):
        raise mistake(f"must be a whole number from 0 to {MAX_SEED}, per_seed or null, got {shown(value)}")
    chosen: int | str | None = value
    return chosen


def _run_name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,99}", value):
        rule = "must start with a-z or 0-9, then contain only those, '.', '_' and '-', 100 characters at most"
        raise mistake(f"{rule}, got {shown(value)}")
    if not is_portable_name(value):
        what = "Windows reserves it for a device" if not value.endswith(".") else "Windows drops a dot at the end"
        raise mistake(f"names a folder, and {shown(value)} cannot be one everywhere: {what}; give another name")
    return value


def without_nul(value: Any) -> Any:
    """A check for text that may be a file's name."""
    if isinstance(value, str) and "\0" in value:
        raise mistake(f"{shown(value)} contains a NUL character, which no file's name can; remove it")
    return value


Positive = Annotated[int | float, PlainValidator(number(above=0))]
NonNegative = Annotated[int | float, PlainValidator(number(least=0))]
Share = Annotated[int | float, PlainValidator(number(least=0, below=1))]
ShareOrNull = Annotated[int | float | None, PlainValidator(number(least=0, below=1, nullable=True))]
PositiveOrNull = Annotated[int | float | None, PlainValidator(number(above=0, nullable=True))]
AtLeastOneOrNull = Annotated[int | float | None, PlainValidator(number(least=1, nullable=True))]
PositiveOrMatch = Annotated[
    int | float | Literal["match"],
    PlainValidator(_described(_weight, {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"const": "match"}]})),
]
ClassWeight = Annotated[
    Literal["balanced"] | dict[str, int | float] | None,
    PlainValidator(
        _described(
            _class_weight,
            {
                "anyOf": [
                    {"const": "balanced"},
                    {"type": "object", "additionalProperties": {"type": "number", "minimum": 0}},
                    {"type": "null"},
                ]
            },
        )
    ),
]
Margin = Annotated[
    Mapping[str, int | float],
    PlainValidator(_described(_margin, {"type": "object", "additionalProperties": {"type": "number", "minimum": 0}})),
]
Count = Annotated[int, Interval(ge=1, le=MAX_COUNT)]
Device = Annotated[str, PlainValidator(_described(_device, {"type": "string", "pattern": f"^({DEVICES})$"}))]
SplitSeed = Annotated[
    int | Literal["per_seed"] | None,
    PlainValidator(
        _described(
            _split_seed,
            {
                "anyOf": [
                    {"type": "integer", "minimum": 0, "maximum": MAX_SEED},
                    {"const": "per_seed"},
                    {"type": "null"},
                ]
            },
        )
    ),
]


def _listed(value: Any) -> Any:
    if isinstance(value, list | tuple):
        if not value:
            raise mistake("an empty list; give at least one value")
        return tuple(value)
    return (value,)


def _unlisted(values: tuple[Any, ...]) -> Any:
    return values[0] if len(values) == 1 else list(values)


def _spaced(value: Any) -> Any:
    """The values that `log(1e-3, 1, 7)` means, both ends included; other values than text are returned as they are."""
    if not isinstance(value, str):
        return value
    form = re.fullmatch(r"\s*log\(([^,]*),([^,]*),([^,]*)\)\s*", value)
    try:
        low, high, count = (float(form[1]), float(form[2]), int(form[3])) if form else (0.0, 0.0, 0)
    except ValueError:
        low, high, count = 0.0, 0.0, 0
    if not 0 < low < high <= LARGEST or not 2 <= count <= MAX_SPACED:
        rule = f"must be a list of numbers, or log(LOW, HIGH, N) with 0 < LOW < HIGH and N from 2 to {MAX_SPACED}"
        raise mistake(f"{rule}, got {shown(value)}")
    start, end = math.log10(low), math.log10(high)
    inner = (10 ** (start + (end - start) * place / (count - 1)) for place in range(1, count - 1))
    # Twelve digits: powers of ten are exact, and rounding errors do not get into a name.
    return [low, *(float(f"{value:.12g}") for value in inner), high]


def _chosen(names: list[str]) -> list[str]:
    if len(set(names)) < max(2, len(names)):
        raise mistake(f"must be two or more different classes, got {shown(names)}")
    return names


ClassNames = Annotated[list[str], AfterValidator(_chosen)]


def _distinct(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) < len(values):
        raise mistake(f"a value is listed twice: {shown(list(values))}")
    return values


# A value, or a list of values to sweep over.
Sweep = Annotated[tuple[T, ...], BeforeValidator(_listed), PlainSerializer(_unlisted)]


class Several(tuple[Any, ...]):
    """The values of one option of a loss or a model that is swept."""

    __slots__ = ()


def _several(values: tuple[Any, ...]) -> Any:
    if len({repr(value) for value in values}) < len(values):
        raise mistake(f"a value is listed twice: {shown(list(values))}")
    return values[0] if len(values) == 1 else Several(values)


def _written(value: Any) -> Any:
    return list(value) if isinstance(value, Several) else value


# One value, or `Several` to sweep over.
SweptOption = Annotated[tuple[T, ...], AfterValidator(_several), BeforeValidator(_listed), PlainSerializer(_written)]
# Values to try, as a list or as `log(LOW, HIGH, N)`.
Trials = Annotated[
    tuple[T, ...],
    AfterValidator(_distinct),
    BeforeValidator(_listed),
    BeforeValidator(_spaced),  # the last one is the first to run
    PlainSerializer(list),
]


def _seeds(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1 or value > MAX_SEED:
            raise mistake(f"must be a number of seeds of at least 1, or a list of seeds, got {shown(value)}")
        return value
    if not isinstance(value, list | tuple) or not value:
        raise mistake(f"must be a number of seeds, or a list of seeds, got {shown(value)}")
    for seed in value:
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= MAX_SEED:
            raise mistake(f"a seed must be a whole number from 0 to {MAX_SEED}, got {shown(seed)}")
    if len(set(value)) < len(value):
        raise mistake("a seed is listed twice")
    return tuple(value)


Seeds = Annotated[int | tuple[int, ...], BeforeValidator(_seeds)]
RunName = Annotated[str, AfterValidator(_run_name)]
AutoOrThreads = Annotated[Literal["auto"] | int, PlainValidator(_auto_or_count(MAX_THREADS))]
AutoOrCount = Annotated[Literal["auto"] | int, PlainValidator(_auto_or_count(MAX_COUNT))]
