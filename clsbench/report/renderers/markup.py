"""The texts and cells of a document as HTML, every character of theirs escaped; how an arm looks is the caller's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from clsbench.report.document import ArmRef, Cell, Mark, Part
from clsbench.report.text import number, printable

ShowArm = Callable[[ArmRef], str]


def safe(words: str) -> str:
    """Text that stays text."""
    return escape(printable(words))


def text_of(parts: Sequence[Part], arm: ShowArm) -> str:
    """Words and the arms that they name."""
    return "".join(_part(part, arm) for part in parts)


def cell_of(cell: Cell, arm: ShowArm) -> str:
    """What stands in a cell of a table."""
    if isinstance(cell, tuple):
        return text_of(cell, arm)
    if isinstance(cell, str | ArmRef):
        return _part(cell, arm)
    return safe(number(cell) if cell is None or isinstance(cell, int | float) else str(cell))


def _part(part: Part, arm: ShowArm) -> str:
    if isinstance(part, str):
        return safe(part)
    return arm(part.arm if isinstance(part, Mark) else part)
