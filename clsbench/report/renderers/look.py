"""What a console can show, and how text, arms and values are written on it."""

from __future__ import annotations

from dataclasses import dataclass

from rich.text import Text

from clsbench.report.document import ArmRef, Cell, Mark, Part
from clsbench.report.text import number, printable

STYLES = ("cyan", "yellow", "magenta", "green", "red", "blue", "bright_cyan", "bright_yellow")
LETTERS = "ABCDEFGH"
NARROW = 40  # below it neither a plot nor a table can be read: lines of text remain


@dataclass(frozen=True)
class Look:
    """The width and the encoding of a console."""

    width: int
    encoding: str

    @property
    def ascii_only(self) -> bool:
        return not self.encoding.startswith("utf")

    @property
    def narrow(self) -> bool:
        return self.width < NARROW

    def words(self, text: str) -> str:
        """Text made harmless, in characters that the console has."""
        return printable(text.replace("±", "+-") if self.ascii_only else text, self.encoding)

    def line(self, text: Cell) -> str:
        """A cell, or the parts of a text, as one string."""
        return "".join(map(self._part, text)) if isinstance(text, tuple) else self._cell(text)

    def _part(self, part: Part) -> str:
        if isinstance(part, ArmRef):
            return f"{letter_of(part)} {self.words(part.name)}".strip()
        if isinstance(part, Mark):
            return letter_of(part.arm) or self.words(part.arm.name)
        return self.words(part)

    def _cell(self, cell: Cell) -> str:
        if isinstance(cell, str | ArmRef):
            return self._part(cell)
        return self.words(number(cell) if cell is None or isinstance(cell, int | float) else str(cell))

    def row(self, arm: ArmRef) -> tuple[Text, Text]:
        """The letter, blank for an arm that is not drawn, and the name, as the first cells of a row."""
        return Text(letter_of(arm) or " ", f"bold {style_of(arm)}"), Text(self.words(arm.name))


def letter_of(arm: ArmRef) -> str:
    return "" if arm.mark is None else LETTERS[arm.mark]


def style_of(arm: ArmRef) -> str:
    return "" if arm.mark is None else STYLES[arm.mark]
