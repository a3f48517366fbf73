"""A line plot in characters.

Why not uniplot: its braille lines differ by colour alone, and its ASCII lines have no finer steps than a character.
Here each line carries its arm's letter, so colour only helps.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rich.text import Text

from clsbench.report.document import Curves, Scale, Series
from clsbench.report.renderers.look import Look, letter_of, style_of

# Dots of a braille cell by (column, row), as bits over U+2800.
BRAILLE = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
LETTER_SPACING = 12


@dataclass(frozen=True)
class Ticks:
    """The limits and ticks of an axis, all as powers of ten if `log`."""

    low: float
    high: float
    ticks: tuple[float, ...]
    decimals: int
    log: bool = False

    def fraction(self, value: float) -> float:
        return self.place(math.log10(value) if self.log else value)

    def place(self, tick: float) -> float:
        return (tick - self.low) / (self.high - self.low)

    def label(self, tick: float) -> str:
        return f"{10**tick:g}" if self.log else f"{tick:.{self.decimals}f}"


def ticks(values: Sequence[float], num_ticks: int, scale: Scale) -> Ticks:
    """An axis over `values` with about `num_ticks` ticks at 1, 2 or 5 times a power of ten."""
    log, whole = scale == "log", scale == "integer"
    low, high = (math.log10(limit) if log else float(limit) for limit in (min(values), max(values)))
    if math.isclose(low, high, rel_tol=1e-9, abs_tol=1e-300):  # a curve that is flat but for its last bits
        margin = 1.0 if whole else abs(low) / 10 or 1.0
        low, high = low - (0 if whole else margin), high + margin
    spacing = (high - low) / max(num_ticks - 1, 1)
    if whole or log:
        spacing = max(spacing, 1.0)
    step, found = _at_step(low, high, spacing)
    while len(found) < 2 and not (whole or log):  # one number makes no scale
        step, found = _at_step(low, high, step / 2.5)  # the next smaller one: 5, 2, 1, 0.5
    return Ticks(low, high, found, max(0, -math.floor(math.log10(step))), log)


def _at_step(low: float, high: float, spacing: float) -> tuple[float, tuple[float, ...]]:
    """The least step of 1, 2 or 5 times a power of ten from `spacing` on, and its multiples between the limits."""
    power = 10.0 ** math.floor(math.log10(spacing))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= spacing * (1 - 1e-9))
    rounding = 1e-9 * min(1.0, (high - low) / step)
    first, last = math.ceil(low / step - rounding), math.floor(high / step + rounding)
    return step, tuple(index * step for index in range(first, last + 1))


def draw_curves(curves: Curves, look: Look, *, width: int, height: int) -> Iterator[Text]:
    """The plot, `width` characters wide and `height` + 2 high; nothing where no series makes a line."""
    # One epoch is a point of a curve; a lone setting shows no dependence.
    least = 1 if curves.x.scale == "integer" else 2
    lines = [line for line in curves.series if len(line.x) >= least]
    if lines:
        level = [] if curves.level is None else [curves.level.value]
        y_axis = ticks([*(y for line in lines for y in line.y), *level], max(2, height // 2), curves.y.scale)
        end = [] if curves.x.end is None else [curves.x.end]
        x_axis = ticks([*(x for line in lines for x in line.x), *end], max(3, width // 14), curves.x.scale)
        dashed = [round((1 - y_axis.fraction(value)) * (height - 1)) for value in level]
        yield _plot(lines, x_axis, y_axis, width, height, look.ascii_only, dashed)


def _plot(
    lines: Sequence[Series],
    x_axis: Ticks,
    y_axis: Ticks,
    width: int,
    height: int,
    ascii_only: bool,
    dashed: Sequence[int],
) -> Text:
    """The plot, with a dashed line behind the others in some rows."""
    rows = _rows(y_axis, height)
    gutter = max(len(y_axis.label(tick)) for tick in y_axis.ticks) + 2
    columns = max(width - gutter, 2)
    cells = _cells(lines, x_axis, y_axis, columns, height, (1, 1) if ascii_only else (2, 4))
    letters = _letters(lines, cells, columns)
    text = Text(no_wrap=True, overflow="crop")
    for row in range(height):
        label = y_axis.label(rows[row]) if row in rows else ""
        notch = ("+" if ascii_only else "┤") if row in rows else ("|" if ascii_only else "│")
        text.append(f"{label:>{gutter - 2}} {notch}")
        dash = ("-" if ascii_only else "╌") if row in dashed else ""
        end = columns - 1 if dash else max((column for column, filled in cells if filled == row), default=-1)
        for column in range(end + 1):
            cell, lettered = cells.get((column, row), {}), letters.get((column, row))
            text.append(*_character(lines, cell, lettered, column, ascii_only) if cell else (dash or " ", "dim"))
        text.append("\n")
    return text.append(_foot(x_axis, gutter, columns, ascii_only))


def _rows(axis: Ticks, height: int) -> dict[int, float]:
    """The ticks by row; every second one where two would share a row."""
    ticks = axis.ticks
    while True:
        rows = {round((1 - axis.place(tick)) * (height - 1)): tick for tick in ticks}
        if len(rows) == len(ticks):
            return rows
        ticks = ticks[::2]


def _cells(
    lines: Sequence[Series], x_axis: Ticks, y_axis: Ticks, columns: int, height: int, dots: tuple[int, int]
) -> dict[tuple[int, int], dict[int, int]]:
    """For every (column, row) touched: the index of each line in it, and which dots it sets there."""
    across, down = dots
    cells: dict[tuple[int, int], dict[int, int]] = {}
    for index, line in enumerate(lines):
        points = [
            (
                round(x_axis.fraction(x) * (columns * across - 1)),
                round((1 - y_axis.fraction(y)) * (height * down - 1)),
            )
            for x, y in zip(line.x, line.y, strict=True)
        ]
        for x, y in _trace(points):
            cell = cells.setdefault((x // across, y // down), {})
            cell[index] = cell.get(index, 0) | BRAILLE[x % across][y % down]
    return cells


def _trace(points: Sequence[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    yield points[0]
    for (x0, y0), (x1, y1) in pairwise(points):
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        for step in range(1, steps + 1):
            yield x0 + round((x1 - x0) * step / steps), y0 + round((y1 - y0) * step / steps)


def _letters(
    lines: Sequence[Series], cells: dict[tuple[int, int], dict[int, int]], columns: int
) -> dict[tuple[int, int], int]:
    """Where each line shows its letter: at its end, and at columns staggered so that lines that coincide all show."""
    letters: dict[tuple[int, int], int] = {}
    for index in range(len(lines)):
        own = sorted(place for place, cell in cells.items() if index in cell)
        by_column = {column: (column, row) for column, row in own}
        start = LETTER_SPACING * (2 * index + 1) // (2 * len(lines))
        for column in [max(by_column), *range(start, columns, LETTER_SPACING)]:
            if column in by_column:
                letters.setdefault(by_column[column], index)
    return letters


def _character(
    lines: Sequence[Series], cell: dict[int, int], lettered: int | None, column: int, ascii_only: bool
) -> tuple[str, str]:
    """What is at a place, with its style; `lettered` is the line whose letter is there."""
    if lettered is not None:
        arm = lines[lettered].arm
        return letter_of(arm), f"bold {style_of(arm)}"
    if not cell:
        return " ", ""
    # Lines that share a cell take turns along the columns, so that neither covers the other.
    arm = lines[sorted(cell)[column % len(cell)]].arm
    if ascii_only:
        return letter_of(arm), style_of(arm)
    dots = 0
    for bits in cell.values():
        dots |= bits
    return chr(0x2800 + dots), style_of(arm)


def _foot(x_axis: Ticks, gutter: int, columns: int, ascii_only: bool) -> str:
    """The line under the plot and its numbers, each under its notch unless it would touch the one before."""
    rule = ["-" if ascii_only else "─"] * columns
    numbers = [" "] * (gutter + columns)
    free = 0
    for tick in x_axis.ticks:
        column = round(x_axis.place(tick) * (columns - 1))
        label = x_axis.label(tick)
        start = min(gutter + column - len(label) // 2, len(numbers) - len(label))
        if start >= free:
            rule[column] = "+" if ascii_only else "┬"
            numbers[start : start + len(label)] = label
            free = start + len(label) + 1
    corner = "+" if ascii_only else "└"
    return f"{' ' * (gutter - 1)}{corner}{''.join(rule)}\n{''.join(numbers).rstrip()}"
