"""Where a dataset that takes long to read says how far it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_TELL: ContextVar[Callable[[str], None] | None] = ContextVar("tell", default=None)


@contextmanager
def told_to(tell: Callable[[str], None]) -> Iterator[None]:
    """In this block `tell` is called with what is being read, often."""
    before = _TELL.set(tell)
    try:
        yield
    finally:
        _TELL.reset(before)


def told(text: str) -> None:
    """Say what is being read, and how much of it is done."""
    if tell := _TELL.get():
        tell(text)
