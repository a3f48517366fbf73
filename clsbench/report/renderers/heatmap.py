"""Heat maps in characters: two pixels a character by half blocks and colour, else shades of ASCII."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rich.color import Color
from rich.console import Console
from rich.style import Style
from rich.text import Text

SHADES = " .:-=+*#%@"
# Points of matplotlib's viridis, which keeps its order in greyscale and for every kind of colour vision.
VIRIDIS = ((68, 1, 84), (65, 68, 135), (42, 120, 142), (34, 168, 132), (122, 209, 81), (253, 231, 37))


@dataclass(frozen=True)
class HeatMap:
    """Numbers `[rows][columns]`, top row first, on their own scale from the least to the greatest; None is shown as ?.

    `marks` puts a character over a pixel, by (row, column); of two in a character the upper is shown.
    """

    title: str
    values: Sequence[Sequence[float | None]]
    marks: Mapping[tuple[int, int], str]


def pixels_per_line(console: Console) -> int:
    """How many rows of a map one line of the console shows."""
    return 2 if _has_blocks(console) else 1


def draw_beside(maps: Sequence[HeatMap], console: Console, labels: Sequence[str], foot: str) -> Iterator[Text]:
    """Maps of equal size side by side, each with a title above, a label for every line and a foot below."""
    gutter = max(map(len, labels)) + 1
    columns = len(maps[0].values[0])
    yield _joined([Text(f"{' ' * gutter}{each.title:<{columns}}", "bold", no_wrap=True) for each in maps])
    drawn = [list(_lines(each, console)) for each in maps]
    for number, line in enumerate(zip(*drawn, strict=True)):
        label = labels[number] if number < len(labels) else ""
        yield _joined([Text(f"{label:>{gutter - 1}} ", no_wrap=True) + part for part in line])
    yield _joined([Text(f"{' ' * gutter}{foot:<{columns}}", no_wrap=True) for _ in maps])


def _joined(parts: Sequence[Text]) -> Text:
    return Text("  ", no_wrap=True, overflow="crop").join(parts)


def _has_blocks(console: Console) -> bool:
    return console.encoding.startswith("utf") and console.color_system is not None


def _lines(each: HeatMap, console: Console) -> Iterator[Text]:
    finite = [value for row in each.values for value in row if value is not None] or [0.0]
    low, high = min(finite), max(finite)
    shares = [[0.0 if value is None else (value - low) / ((high - low) or 1.0) for value in row] for row in each.values]
    unknown = ((r, c) for r, row in enumerate(each.values) for c, value in enumerate(row) if value is None)
    marks = {**dict.fromkeys(unknown, "?"), **each.marks}
    if _has_blocks(console):
        for upper in range(0, len(shares), 2):
            yield _blocks(shares, upper, marks)
    else:
        for number, row in enumerate(shares):
            shades = (SHADES[min(int(share * len(SHADES)), len(SHADES) - 1)] for share in row)
            yield Text("".join(marks.get((number, column), shade) for column, shade in enumerate(shades)))


def _blocks(shares: Sequence[Sequence[float]], upper: int, marks: Mapping[tuple[int, int], str]) -> Text:
    """Two rows of pixels as one line: the upper one is the foreground of a half block."""
    line = Text()
    for column, share in enumerate(shares[upper]):
        below = _colour(shares[upper + 1][column] if upper + 1 < len(shares) else share)
        mark = marks.get((upper, column)) or marks.get((upper + 1, column))
        if mark is None:
            line.append("▀", Style(color=_colour(share), bgcolor=below))
        else:
            line.append(mark, Style(color=Color.parse("bright_red"), bgcolor=below, bold=True))
    return line


def _colour(share: float) -> Color:
    """Viridis at a share of its range."""
    place = min(max(share, 0.0), 1.0) * (len(VIRIDIS) - 1)
    lower = min(int(place), len(VIRIDIS) - 2)
    part = place - lower
    mixed = (a + (b - a) * part for a, b in zip(VIRIDIS[lower], VIRIDIS[lower + 1], strict=True))
    return Color.from_rgb(*map(round, mixed))
