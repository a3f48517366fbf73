"""Checks of the signatures of users' functions, when they are registered."""

from __future__ import annotations

import inspect
import json
import re
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import CodeType
from typing import Any

from clsbench.errors import RegistrationError

# The positional arguments that clsbench passes; a metric's parameters name its inputs.
HANDED_OVER: Mapping[str, tuple[str, ...]] = {
    "dataset": ("seed",),
    "model": ("shape", "num_outputs"),
    "loss": ("logits", "targets"),
    "optimizer": ("weights", "gradients", "state"),
}
LONGEST_TEXT = 500
UNNAMED = "give it a name in quotes, as in @clsbench.{kind}('mine')"


def require_name(kind: str, name: Any) -> None:
    """Refuse what cannot be a registered name.

    Raises:
        RegistrationError: it is not made of letters, digits, `_`, `.` and `-`, or begins otherwise.
    """
    if not isinstance(name, str):
        raise RegistrationError(f"{kind} {shortened(repr(name))} has no name; {UNNAMED.format(kind=kind)}")
    if not re.fullmatch(r"\w[\w.-]{0,99}", name):
        allowed = "use up to 100 letters, digits, '_', '.' and '-', the first a letter, a digit or '_'"
        raise RegistrationError(f"{kind} {shortened(name)!r} cannot be its name; {allowed}")


def require_signature(kind: str, name: str, factory: Any) -> None:
    """Refuse a function that clsbench could not call, or whose options it could not read.

    Raises:
        RegistrationError: with what is wrong, and what is allowed.
    """
    about = f"{kind} {name!r}"
    if not callable(factory):
        raise RegistrationError(f"{about} is a {type(factory).__name__}; register a function")
    try:
        parameters = list(inspect.signature(factory).parameters.values())
    except (ValueError, TypeError) as error:
        raise RegistrationError(
            f"{about}: its signature cannot be read: {described(error)}; register a function"
        ) from error
    if kind in HANDED_OVER:
        _require_positions(about, HANDED_OVER[kind], parameters)
    for parameter in parameters:
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            _require_option(about, parameter)


def _require_positions(about: str, given: Sequence[str], parameters: Sequence[inspect.Parameter]) -> None:
    form = f"write ({', '.join(given)}, *, options)"
    for parameter in parameters:
        if parameter.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            raise RegistrationError(f"{about}: {parameter} does not show what it takes; {form}")
    places = [p for p in parameters if p.kind is not inspect.Parameter.KEYWORD_ONLY]
    needed = [p.name for p in places if p.default is inspect.Parameter.empty]
    if not len(needed) <= len(given) <= len(places):
        got = f"takes ({', '.join(p.name for p in places)}) by position and is given {len(given)} arguments"
        raise RegistrationError(f"{about} {got}; {form}")


def _require_option(about: str, option: inspect.Parameter) -> None:
    """A run's config is written with every default: one that cannot be read back could not be resumed."""
    if option.annotation is inspect.Parameter.empty:
        shown = "float" if option.default is inspect.Parameter.empty else type(option.default).__name__
        raise RegistrationError(f"{about}: option {option.name} has no type; write {option.name}: {shown}")
    if option.default is inspect.Parameter.empty:
        return
    try:
        json.dumps(option.default, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        what = f"the default of {option.name}, {shortened(repr(option.default))}, cannot be in a config"
        raise RegistrationError(f"{about}: {what}; use plain, finite data or None") from error


def evaluated(annotation: Any, factory: Callable[..., Any]) -> Any:
    """An annotation as a type, where it was postponed to a text.

    Raises:
        RegistrationError: it cannot be evaluated.
    """
    # Only the options' annotations are evaluated: those of tensors may name types that are not imported yet.
    if not isinstance(annotation, str):
        return annotation
    try:
        kind = eval(annotation, _names_at(factory))
        return eval(kind, _names_at(factory)) if isinstance(kind, str) else kind  # quoted, and postponed beside
    except Exception as error:
        what = f"its type {shortened(annotation)!r} cannot be evaluated: {described(error)}"
        raise RegistrationError(f"{what}; import or define it above the function") from error


def _names_at(factory: Any) -> dict[str, Any]:
    """The names that are known where a function, a class or another callable was written."""
    function = inspect.unwrap(getattr(factory, "func", factory))
    if isinstance(function, type):
        function = function.__init__  # type: ignore[misc]
    elif not hasattr(function, "__globals__"):
        function = type(function).__call__
    # Not the globals of the module by name: two plugins in two folders may have one name.
    names: dict[str, Any] = getattr(function, "__globals__", {})
    return names


def is_own(factory: Any) -> bool:
    """Whether it is part of clsbench."""
    return str(getattr(factory, "__module__", "")).startswith("clsbench.")


def written_again(before: Any, now: Any) -> bool:
    """Whether a function takes the place of one that the same file or notebook defined before.

    It does not if one execution of the file defines both, under two names.
    """
    if _home_of(before) != _home_of(now):
        return False
    old, new = _function_of(before), _function_of(now)
    again = file_of(old) != file_of(new) or getattr(old, "__globals__", old) is not getattr(new, "__globals__", new)
    return bool(again or old.__qualname__ == new.__qualname__)


def _home_of(factory: Any) -> str:
    """The file that a function is written in; every cell of a notebook or a console is of `__main__`."""
    file, module = file_of(factory), str(factory.__module__)
    return module if file is None or (module == "__main__" and not Path(file).is_file()) else file


def place_of(factory: Any, error: BaseException | None = None) -> str:
    """`FILE:LINE` of a user's function: the line of the error in its file, else the first line."""
    code = _code_of(factory)
    if code is None:  # written in C
        return str(getattr(factory, "__module__", ""))
    frames = traceback.extract_tb(error.__traceback__) if error is not None else []
    lines = [frame.lineno for frame in frames if frame.filename == code.co_filename]
    return f"{shown_file(code.co_filename)}:{lines[-1] if lines else code.co_firstlineno}"


def shown_file(file: str) -> str:
    """The name of a file of code as messages show it; a cell of a notebook is `In[3]`."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    name_of = getattr(getattr(shell, "compile", None), "format_code_name", lambda file: None)
    cell: tuple[str, str] | None = name_of(file)
    return Path(file).name if cell is None else cell[-1]


def file_of(factory: Any) -> str | None:
    """The file that a function or class is written in, as tracebacks name it; None if it is written in C."""
    code = _code_of(factory)
    return None if code is None else code.co_filename


def _code_of(factory: Any) -> CodeType | None:
    code: CodeType | None = getattr(_function_of(factory), "__code__", None)
    return code


def _function_of(factory: Any) -> Any:
    """The function that runs when a function or another callable of the user's is called; of a class, its first."""
    function = inspect.unwrap(getattr(factory, "func", factory))
    if isinstance(function, type):
        own = [getattr(each, "__func__", each) for each in vars(function).values()]
        return next((each for each in own if hasattr(each, "__code__")), function.__init__)  # type: ignore[misc]
    return function if hasattr(function, "__code__") else type(function).__call__


def described(error: BaseException) -> str:
    """An error on one line, `Type: text`, even if its text raises."""
    try:
        text = str(error)
    except (Exception, SystemExit) as broken:
        text = f"its text cannot be shown, {type(broken).__name__}"
    return shortened(f"{type(error).__name__}: {text}")


def shortened(text: str) -> str:
    """A text of the user's in one line of bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_TEXT else f"{line[:LONGEST_TEXT]}..."
