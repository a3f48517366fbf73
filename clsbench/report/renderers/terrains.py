"""Terrains in characters: the height of a loss over the margin, marbles on it, histograms of marbles under it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.text import Text

from clsbench.analysis.terrain import Terrain

BLOCKS = " ▁▂▃▄▅▆▇█"


@dataclass(frozen=True)
class Stage:
    """Where terrains are drawn: margins from `low` to `high` over `width` characters."""

    low: float
    high: float
    width: int
    ascii_only: bool

    def column(self, margin: float) -> int:
        """The column of a margin; those beyond the edges are in the first and the last."""
        place = (margin - self.low) / (self.high - self.low) * self.width
        return min(max(int(place), 0), self.width - 1)

    def margin(self, column: int) -> float:
        """The margin in the middle of a column."""
        return self.low + (self.high - self.low) * (column + 0.5) / self.width

    def bars(self, shares: Sequence[float], height: int) -> list[str]:
        """Bars of heights from 0 to 1, as lines from the top."""
        if self.ascii_only:
            return ["".join("#" if share * height > row + 0.5 else " " for share in shares) for row in _down(height)]
        eighths = [round(share * height * 8) for share in shares]
        return ["".join(BLOCKS[min(max(each - 8 * row, 0), 8)] for each in eighths) for row in _down(height)]

    def axis(self) -> Text:
        """The numbers under a terrain: its edges, and 0, where a sample becomes right."""
        zero, line = self.column(0.0), [" "] * self.width
        for label, start in ((f"{self.low:g}", 0), ("0", zero), (f"{self.high:g}", self.width - len(f"{self.high:g}"))):
            line[start : start + len(label)] = label
        return Text("".join(line), "dim", no_wrap=True)


def draw_terrain(
    stage: Stage, terrain: Terrain, least_concentration: float, height: int, style: str, marble: float | None = None
) -> list[Text]:
    """The terrain as filled lines; where it is a band, what lies between its edges is shaded lighter."""
    columns = [stage.margin(column) for column in range(stage.width)]
    upper = [terrain.height(margin, 1.0) for margin in columns]
    top = max(upper)
    ground = height - 1  # a line is left above, for the marble
    solid = stage.bars([terrain.height(m, least_concentration) / top for m in columns], ground)
    whole = stage.bars([value / top for value in upper], ground)
    shade = ":" if stage.ascii_only else "░"
    lines = [" " * stage.width]
    for inner, outer in zip(solid, whole, strict=True):
        lines.append("".join(a if a != " " else shade if b != " " else " " for a, b in zip(inner, outer, strict=True)))
    drawn = [Text(line, style, no_wrap=True) for line in lines]
    if marble is not None:
        column = stage.column(marble)
        row = next(number for number, line in enumerate([*lines[1:], "#" * stage.width]) if line[column] != " ")
        ball = Text("O" if stage.ascii_only else "●", "bold red")
        drawn[row] = Text("", no_wrap=True).join([drawn[row][:column], ball, drawn[row][column + 1 :]])
    return drawn


def draw_histogram(stage: Stage, margins: Sequence[float], most: int, height: int, style: str) -> list[Text]:
    """How many marbles lie in each column; `most` fills the height, and one is always seen."""
    counts = counts_of(stage, margins)
    least = 1 / height if stage.ascii_only else 1 / (8 * height)
    shares = [max(min(count / most, 1.0), least) if count else 0.0 for count in counts]
    return [Text(line, style, no_wrap=True) for line in stage.bars(shares, height)]


def counts_of(stage: Stage, margins: Sequence[float]) -> list[int]:
    """The number of marbles in each column."""
    counts = [0] * stage.width
    for margin in margins:
        counts[stage.column(margin)] += 1
    return counts


def beside(left: Sequence[Text], right: Sequence[Text], width: int, gap: int = 3) -> list[Text]:
    """Lines of two panels, each of a width, as one."""
    return [
        Text("", no_wrap=True, overflow="crop").join([_filled(a, width), Text(" " * gap), b])
        for a, b in zip(left, right, strict=True)
    ]


def centred(text: str, width: int, style: str = "") -> Text:
    """A line of a panel."""
    return Text(f"{text[:width]:^{width}}", style, no_wrap=True)


def paired(width: int, make: Callable[[int], Sequence[Text]]) -> list[Text]:
    """The panels 0 and 1 beside each other."""
    return beside(make(0), make(1), width)


def _filled(text: Text, width: int) -> Text:
    filled = text.copy()
    filled.truncate(width, pad=True)
    return filled


def _down(height: int) -> range:
    return range(height - 1, -1, -1)
