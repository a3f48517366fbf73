"""Losses and models that are handed over in Python, without a decorator.

Each is registered as `LABEL()`, a name that nothing else can have. Another one under the same label replaces it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any

from clsbench.errors import ConfigError, RegistrationError
from clsbench.registry.catalogue import catalogue, given_name
from clsbench.registry.specs import Kind, LinkName, LossSpec, ModelSpec, ProblemName, Spec
from clsbench.signatures import HANDED_OVER, place_of, require_signature


def given_loss(label: str, loss: Any, problem: ProblemName, link: LinkName) -> str:
    """The name under which a loss is now known: a function `(logits, targets)`, or a module that is called so.

    It is a loss for this kind of problem, with this link; one that is registered keeps its own.

    Raises:
        ConfigError: it cannot be called so.
    """
    if hasattr(loss, "parameters") and not isinstance(loss, type) and next(iter(loss.parameters()), None) is not None:
        raise ConfigError(f"loss {label!r} has parameters, which are not trained; give a loss without any")
    if isinstance(loss, type):
        raise ConfigError(f"loss {label!r} is the class {loss.__name__}; give an object of it, {loss.__name__}()")
    spec_of = partial(LossSpec, link=link, problems=(problem,))
    return _known("loss", loss) or _registered("loss", label, loss, spec_of)


def given_model(label: str, model: Any) -> str:
    """The name under which a model is now known: a function or class `(shape, num_outputs)` that makes a module.

    Raises:
        ConfigError: it cannot be called so.
    """
    if hasattr(model, "parameters") and not isinstance(model, type):
        hint = "give a function that makes a new one for each trial: lambda shape, outputs: ..."
        raise ConfigError(f"model {label!r} is a {type(model).__name__}; {hint}")
    return _known("model", model) or _registered("model", label, model, ModelSpec)


def _known(kind: Kind, thing: Any) -> str | None:
    """The name of what is registered already."""
    return next((spec.name for spec in catalogue.all(kind) if spec.factory is thing), None)


def _registered(kind: Kind, label: str, thing: Any, spec_of: Callable[[str, Callable[..., Any]], Spec]) -> str:
    if not callable(thing):
        raise ConfigError(f"{kind} {label!r} is {thing!r}; give a name, a function or a dict with `name`")
    factory = thing if isinstance(thing, FunctionType | type) else _as_function(kind, thing)
    name = given_name(label)
    try:
        require_signature(kind, label, factory)
        catalogue.replace(spec_of(name, factory))
    except RegistrationError as error:
        raise ConfigError(f"{error} ({place_of(factory)})") from error
    return name


def _as_function(kind: Kind, thing: Callable[..., Any]) -> Callable[..., Any]:
    """A function of exactly what is passed, for a module, a `partial` or another callable."""

    def function(*arguments: Any) -> Any:
        buffers = getattr(thing, "buffers", None)
        if buffers is not None and next(buffers(), None) is not None:  # weights of classes, to the device of the logits
            return thing.to(arguments[0].device)(*arguments)  # type: ignore[attr-defined]
        return thing(*arguments)

    # Messages name the place of what the user wrote.
    function.__wrapped__ = _written(thing)  # type: ignore[attr-defined]
    function.__module__ = str(getattr(function.__wrapped__, "__module__", ""))  # type: ignore[attr-defined]
    function.__doc__ = getattr(thing, "__doc__", None)
    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY) for name in HANDED_OVER[kind]]
    function.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return function


def _written(thing: Any) -> Any:
    """The function that runs when `thing` is called."""
    thing = getattr(thing, "func", thing)
    return thing if inspect.isroutine(thing) else getattr(type(thing), "forward", type(thing).__call__)
