"""A comparison as the terminal shows it: what the console can do, and what each arm is called."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from rich.text import Text

from clsbench.analysis.curves import Arm, Comparison, leading
from clsbench.report.text import printable

STYLES = ("cyan", "yellow", "magenta", "green", "red", "blue", "bright_cyan", "bright_yellow")
LETTERS = "ABCDEFGH"
MOST_ROWS = 30  # of a table: more arms fill screens, and the summary has them all
NARROW = 40  # below it neither a plot nor a table can be read: lines of text remain


@dataclass(frozen=True)
class Look:
    """What the console can show."""

    width: int
    encoding: str

    @property
    def ascii_only(self) -> bool:
        return not self.encoding.startswith("utf")

    @property
    def plus_minus(self) -> str:
        return "+-" if self.ascii_only else "±"

    @property
    def narrow(self) -> bool:
        return self.width < NARROW

    def words(self, text: object) -> str:
        """A user's words, made harmless."""
        return printable(str(text), self.encoding)


@dataclass(frozen=True)
class Page:
    """A comparison as it is shown: the arms that are drawn have a letter, which names them from the legend on."""

    comparison: Comparison
    look: Look
    letters: Mapping[str, str]

    @cached_property
    def arms(self) -> list[Arm]:
        """The arms that have a row in tables: with many of them those that have the highest final test accuracy."""
        return leading(self.comparison.arms, MOST_ROWS)

    def style(self, name: str) -> str:
        return STYLES[LETTERS.index(self.letters[name])] if name in self.letters else ""

    def row(self, name: str) -> tuple[Text, Text]:
        """The letter and the name, as a table's first cells."""
        return Text(self.letters.get(name, " "), f"bold {self.style(name)}"), Text(self.look.words(name))

    def name(self, name: str) -> str:
        """The letter and the name, as in a sentence."""
        return f"{self.letters.get(name, '')} {self.look.words(name)}".strip()
