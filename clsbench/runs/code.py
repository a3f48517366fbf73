"""The hash of a function or an object of the user's: of its code, and of all values that the code uses."""

from __future__ import annotations

import dis
import functools
import hashlib
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import CodeType, ModuleType
from typing import Any

PLAIN = (type(None), bool, int, float, complex, str, bytes)


def hash_of_code(thing: Any) -> str:
    """A SHA-256 that differs if another function, class or object of the user's would compute something else.

    It covers the compiled code, defaults, the variables that a function uses, and those functions and objects in turn.
    What is imported from a library has its name alone: versions are compared by themselves.
    """
    digest = hashlib.sha256()
    for part in _parts(thing, {}):
        digest.update(part)
    return digest.hexdigest()


def _parts(thing: Any, seen: dict[int, Any]) -> Iterator[bytes]:
    if isinstance(thing, PLAIN):
        yield repr(thing).encode(errors="surrogatepass")
        return
    yield f"\0{type(thing).__qualname__} ".encode()
    if id(thing) in seen:  # it contains itself
        return
    seen[id(thing)] = thing  # kept, so that no other thing gets its id
    for part in _inside(thing):
        yield from _parts(part, seen)


def _inside(thing: Any) -> Iterator[Any]:
    """What a thing is made of."""
    if isinstance(thing, list | tuple):
        yield from thing
    elif isinstance(thing, Mapping):
        for item in thing.items():
            yield from item
    elif isinstance(thing, set | frozenset):
        yield from sorted(map(repr, thing))  # their order differs between processes
    elif isinstance(thing, ModuleType):
        yield thing.__name__
    elif isinstance(thing, functools.partial):
        yield from (thing.func, thing.args, thing.keywords)
    elif isinstance(thing, CodeType):
        yield from (thing.co_code, thing.co_consts, thing.co_names, thing.co_varnames)
    elif hasattr(thing, "dtype") and hasattr(thing, "shape"):
        values = thing.detach().cpu().numpy() if hasattr(thing, "detach") else thing
        yield from (str(values.dtype), values.shape, values.tobytes())
    elif isinstance(thing, type):
        yield thing.__qualname__
        if not _of_a_library(thing):
            yield from thing.__bases__
            yield {name: each for name, each in vars(thing).items() if not name.startswith("__") or callable(each)}
    elif isinstance(thing, staticmethod | classmethod):
        yield thing.__func__
    elif isinstance(thing, property):
        yield from (thing.fget, thing.fset)
    elif isinstance(getattr(thing, "__code__", None), CodeType):
        yield from _inside_function(thing)
    else:
        yield type(thing)
        if hasattr(thing, "named_modules") or not _of_a_library(type(thing)):  # a module has its settings as attributes
            yield vars(thing) if hasattr(thing, "__dict__") else ()


def _inside_function(function: Any) -> Iterator[Any]:
    yield function.__qualname__
    if _of_a_library(function):
        return
    function = getattr(function, "__func__", function)
    yield from (function.__code__, function.__defaults__, function.__kwdefaults__)
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # it has no value yet
            yield cell.cell_contents
    names = sorted(set(_global_names(function.__code__)) & function.__globals__.keys())
    yield {name: function.__globals__[name] for name in names}
    yield getattr(function, "__wrapped__", None)


def _global_names(code: CodeType) -> Iterator[str]:
    """The global variables that a function and the functions inside it read."""
    yield from (step.argval for step in dis.get_instructions(code) if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)


def _of_a_library(thing: Any) -> bool:
    """Whether it comes from clsbench, an installed package or Python itself, or is written in C."""
    name = str(getattr(thing, "__module__", None))
    module = sys.modules.get(name)
    if name == "__main__" or module is None:
        return False
    file = getattr(module, "__file__", None)
    if file is None or name.partition(".")[0] == "clsbench":
        return True
    return "site-packages" in file or "dist-packages" in file or file.startswith(sysconfig.get_path("stdlib"))
