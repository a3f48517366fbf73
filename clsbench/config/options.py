"""What an optimizer's signature allows in a config: numbers with their bounds, kept as they were written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import AfterValidator, BeforeValidator, PlainValidator

from clsbench.config.values import mistake, number, without_nul
from clsbench.config.yaml_text import shown
from clsbench.registry import Spec, is_number


def numbers_of(spec: Spec) -> dict[str, Any]:
    """The options that are a single number, by name, as the types that check a config's value."""
    options = spec.options.values()
    return {option.name: _number(option.annotation) for option in options if is_number(option.annotation)}


def others_of(spec: Spec) -> dict[str, Any]:
    """The other options, by name, as `numbers_of`; they cannot be swept."""
    options = spec.options.values()
    return {option.name: _other(option.annotation) for option in options if not is_number(option.annotation)}


def is_single(annotation: Any) -> bool:
    """Whether no value of this type is a list, so that a list of values can only be a sweep."""
    origin = get_origin(annotation) or annotation
    if origin in (Annotated, Union, UnionType):
        return all(map(is_single, get_args(annotation)[: 1 if origin is Annotated else None]))
    return annotation is not Any and origin not in (list, tuple, Sequence)


def _number(annotation: Any) -> Any:
    kind = get_args(annotation)[0] if hasattr(annotation, "__metadata__") else annotation
    if kind is int:
        return annotation
    return Annotated[int | float, PlainValidator(number(**_bounds(annotation)))]


def _bounds(annotation: Any) -> dict[str, Any]:
    words = {"gt": "above", "ge": "least", "lt": "below", "le": "most"}
    constraints = getattr(annotation, "__metadata__", ())
    found = [(word, getattr(each, name, None)) for each in constraints for name, word in words.items()]
    return {word: float(bound) for word, bound in found if bound is not None}


def _other(annotation: Any) -> Any:
    members = get_args(annotation)
    if get_origin(annotation) is tuple and all(map(is_number, members)):
        return Annotated[annotation, BeforeValidator(_tuple(members))]
    return Annotated[annotation, AfterValidator(without_nul)]


def _tuple(members: tuple[Any, ...]) -> Callable[[Any], tuple[float, ...]]:
    checks = [number(**_bounds(member)) for member in members]

    def check(value: Any) -> tuple[float, ...]:
        if not isinstance(value, list | tuple) or len(value) != len(checks):
            raise mistake(f"must be a list of {len(checks)} numbers, got {shown(value)}")
        return tuple(float(one(each) or 0) for one, each in zip(checks, value, strict=True))

    return check
