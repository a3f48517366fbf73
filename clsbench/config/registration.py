"""Which options a config can give a registered function; checked by the schema when it is registered."""

from __future__ import annotations

import json
from typing import Any

from pydantic import PydanticUserError, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

from clsbench.config.entries import ENTRY_TYPES, Frozen, entry_type
from clsbench.config.optimizer import optimizer_type
from clsbench.errors import RegistrationError
from clsbench.registry import Option, Spec, catalogue
from clsbench.signatures import described, is_own, shortened

UNUSABLE = (PydanticSchemaGenerationError, PydanticUserError, TypeError, ValueError, NameError, AttributeError)


def require_options(spec: Spec) -> None:
    """Refuse options that a config cannot give because of their names, types or defaults.

    Raises:
        RegistrationError: naming the option, the mistake and what is allowed.
    """
    base = ENTRY_TYPES.get(spec.kind)
    for option in spec.options.values():
        if base is None:
            break
        if option.name in base.model_fields:
            raise _refused(spec, option, f"every {spec.kind} has a key of this name; rename the option")
        if option.name.startswith("_") or hasattr(base, option.name):
            raise _refused(spec, option, "this name is reserved; rename the option")
    if is_own(spec.factory):  # tests check these: at startup the check would take most of the time
        return
    for option in spec.options.values() if base else ():
        _require_type(spec, option)
    try:
        if base:
            entry_type(spec)
        elif spec.kind == "optimizer":
            optimizer_type(spec)
    except UNUSABLE as error:
        raise RegistrationError(
            f"{spec.kind} {spec.name!r}: a config cannot give its options: {described(error)}"
        ) from error


def _require_type(spec: Spec, option: Option) -> None:
    allowed = "use bool, int, float, str, Literal, lists of them, None, and bounds by Annotated"
    try:
        reads: TypeAdapter[Any] = TypeAdapter(option.annotation, config=Frozen.model_config)
        if not option.required:
            reads.validate_python(json.loads(json.dumps(option.default)))
    except ValidationError as error:
        what = f"its default {shortened(repr(option.default))} does not fit its type {_name_of(option)}"
        raise _refused(spec, option, f"{what}: {error.errors()[0]['msg']}; change one of them") from error
    except UNUSABLE as error:
        raise _refused(spec, option, f"a config cannot hold its type {_name_of(option)}; {allowed}") from error


def _name_of(option: Option) -> str:
    kind = option.annotation
    return shortened(kind.__name__ if isinstance(kind, type) else repr(kind))


def _refused(spec: Spec, option: Option, what: str) -> RegistrationError:
    return RegistrationError(f"{spec.kind} {spec.name!r}: option {option.name}: {what}")


catalogue.require(require_options)
