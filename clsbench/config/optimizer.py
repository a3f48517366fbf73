"""The section `optimizer`: its options are read from the optimizer's signature."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Iterable, Mapping
from typing import Any, cast

from pydantic import ValidationError, create_model

from clsbench.config.options import numbers_of, others_of
from clsbench.config.schema import DEFAULT_OPTIMIZER, Named, OptimizerConfig, TuneConfig
from clsbench.config.values import Sweep
from clsbench.config.wording import Mistake, mistakes_of
from clsbench.registry import Spec, UnknownName, catalogue


@functools.cache
def optimizer_type(spec: Spec) -> type[OptimizerConfig]:
    """The type of an optimizer's section: its options in the order of the signature; every number can be swept."""
    sweep: Any = Sweep
    numbers, others = numbers_of(spec), others_of(spec)
    types = {name: sweep[kind] for name, kind in numbers.items()} | others
    own: dict[str, Any] = {
        option.name: (types[option.name], (option.default,) if option.name in numbers else option.default)
        for option in spec.options.values()
    }

    class Swept(OptimizerConfig):
        own_numbers = tuple(numbers)

    # Fields come from the last base to the first: the name, the options, then what every optimizer has.
    bases: Any = (Swept, create_model(f"options of {spec.name}", __base__=Named, **own))
    made: Any = create_model(f"{spec.name} optimizer", __base__=bases)
    return cast(type[OptimizerConfig], made)


def read_optimizer(value: Any, mistakes: list[Mistake]) -> tuple[Spec | None, OptimizerConfig]:
    """The optimizer (None if its name is unknown) and its settings (the defaults if they are mistaken)."""
    spec = catalogue.get("optimizer", DEFAULT_OPTIMIZER)
    if isinstance(value, Mapping) and isinstance(name := value.get("name", DEFAULT_OPTIMIZER), str):
        try:
            spec = catalogue.get("optimizer", name)
        except UnknownName as error:
            mistakes.append((("optimizer", "name"), str(error)))
            return None, optimizer_type(spec).model_validate({"name": spec.name})
        value, foreign = without_foreign({**value, "name": spec.name}, spec)
        mistakes.extend((("optimizer", key), text) for key, text in foreign)
    kind = optimizer_type(spec)
    try:
        return spec, kind.model_validate(value)
    except ValidationError as error:
        mistakes.extend((("optimizer", *where), text) for where, text in mistakes_of(error))
        return spec, kind.model_validate({"name": spec.name})


def without_foreign(
    given: Mapping[str, Any], spec: Spec, *, tuned: bool = False
) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The section without the options that only other optimizers have, and the mistakes among those, by key.

    An option of another optimizer that has its default value is dropped: a config may serve several optimizers, and
    older runs wrote the options of all. It cannot be tuned.
    """
    own, mistakes = dict(given), []
    for key in given:
        having = [other for other in catalogue.all("optimizer") if key in other.options]
        if having and spec not in having:
            value = own.pop(key)
            if tuned or not any(_is_default(key, value, other) for other in having):
                names = " and ".join(other.name for other in having)
                mistakes.append((key, f"{spec.name} has no {key}; {names} ha{'ve' if len(having) > 1 else 's'} it"))
    return own, mistakes


def _is_default(key: str, value: Any, spec: Spec) -> bool:
    kind = optimizer_type(spec)
    try:
        given = kind.model_validate({"name": spec.name, key: value})
    except ValidationError:
        return False
    return bool(getattr(given, key) == kind.model_fields[key].default)


def conflict_mistakes(optimizer: OptimizerConfig, tune: TuneConfig | None) -> Iterable[Mistake]:
    """Options that cannot be used together, at any of the values that are swept or tuned."""
    spec = catalogue.get("optimizer", optimizer.name)
    if not optimizer.decay_biases and not spec.decays:
        yield ("optimizer", "decay_biases"), f"{spec.name} has no weight decay that could spare biases; leave it out"
    check = spec.conflicts
    if check is None:
        return
    tuned = {} if tune is None else tune.grid.axes
    options = optimizer.sweeping(tuned).options
    named = list(inspect.signature(check).parameters)
    values = [options[name] if name in optimizer.own_numbers else [options[name]] for name in named]
    found: dict[str, str] = {}
    for combination in itertools.product(*values):
        found |= check(**dict(zip(named, combination, strict=True)))
    for key, text in found.items():
        yield ("tune", "grid", key) if key in tuned else ("optimizer", key), text
