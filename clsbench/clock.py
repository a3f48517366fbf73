"""What a run takes by the wall clock, and where that time goes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal, get_args

Part = Literal["imports", "data", "compiling", "training", "measuring"]

PARTS: tuple[Part, ...] = get_args(Part)
_began: float | None = None


def begin_command() -> None:
    """The command line calls this in its first line: a run of it takes as long as the command."""
    global _began
    _began = time.monotonic()


class Clock:
    """Counts the seconds of one run: from its call, or as a command's from the first line of that, until it is asked.

    What passed before the clock was made counts as imports.
    """

    def __init__(self, *, of_command: bool = False) -> None:
        now = time.monotonic()
        self._began = _began if of_command and _began is not None else now
        self._parts = dict.fromkeys(PARTS, 0.0)
        self._parts["imports"] = now - self._began

    @contextmanager
    def counting(self, part: Part) -> Iterator[None]:
        """The time of this block is of one part."""
        before = time.monotonic()
        yield
        self._parts[part] += time.monotonic() - before

    @contextmanager
    def dividing(self, spent: Mapping[Part, float]) -> Iterator[None]:
        """The time of this block is divided as processes side by side have `spent` theirs, which the block adds up."""
        before = time.monotonic()
        yield
        passed, total = time.monotonic() - before, sum(spent.values())
        for part, seconds in spent.items():
            self._parts[part] += passed * seconds / total if total else 0.0

    def passed(self) -> float:
        """The seconds until now; what is in no part of them is judging and writing."""
        return round(time.monotonic() - self._began, 3)

    def parts(self) -> dict[Part, float]:
        """The seconds of each part until now."""
        return {part: round(seconds, 3) for part, seconds in self._parts.items()}
