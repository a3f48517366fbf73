"""Tables cut into as many as the width needs, so that no number is ever shortened."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.box import SIMPLE_HEAD, Box
from rich.cells import cell_len
from rich.table import Table as Grid
from rich.text import Text

from clsbench.report.document import ArmList, ArmRef, Cell, Column, Table
from clsbench.report.renderers.look import Look

# rich's own ASCII boxes are full grids; the rule under the header is enough.
ASCII_HEAD = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
COLUMN_GAP = 2
NARROWEST_NAME = 13  # leaves room for four metrics in 80 columns
WIDEST_HEADER = 16


@dataclass(frozen=True)
class _Printed:
    """A column as it is printed."""

    header: str
    cells: tuple[Text, ...]
    align: Literal["left", "right"] = "left"

    @property
    def width(self) -> int:
        return max(map(cell_len, [*self.header.split("\n"), *(cell.plain for cell in self.cells)]))


def tables(table: Table, look: Look, *, rule: bool = True) -> Iterator[Grid]:
    """A table as grids of at most the console's width, each with the columns that say what a row is about.

    Without `rule` there is no line under the header.
    """
    columns = list(zip(table.columns, zip(*table.rows, strict=True), strict=True))
    *firsts, name = _heads(columns[: table.num_heads], look)
    start = sum(head.width + COLUMN_GAP for head in firsts) + min(_widest(name.cells), NARROWEST_NAME)
    group: list[_Printed] = []
    used = start
    for column, cells in columns[table.num_heads :]:
        printed = _Printed(_header(column, look), tuple(Text(look.line(cell)) for cell in cells), column.align)
        if group and used + COLUMN_GAP + printed.width > look.width:
            yield _grid([*firsts, name], group, look, rule)
            group, used = [], start
        group.append(printed)
        used += COLUMN_GAP + printed.width
    yield _grid([*firsts, name], group, look, rule)


def arm_list(block: ArmList, look: Look) -> Grid:
    """A remark on each arm, beside its letter and name."""
    grid = Grid.grid(padding=(0, COLUMN_GAP, 0, 0), pad_edge=False)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold", max_width=look.width // 2)
    grid.add_column(overflow="fold")
    if block.heads:
        grid.add_row(Text(), *(Text(head, "dim") for head in block.heads))
    for arm, remark in block.entries:
        # Without heads the remarks belong to the names, and are less important.
        grid.add_row(*look.row(arm), Text(look.words(remark), "" if block.heads else "dim"))
    return grid


def _heads(columns: Sequence[tuple[Column, Sequence[Cell]]], look: Look) -> Iterator[_Printed]:
    """The columns that say what a row is about; of arms, their letters and their names."""
    for place, (column, cells) in enumerate(columns, start=1):
        header = _header(column, look)
        if any(isinstance(cell, ArmRef) for cell in cells):
            letters, names = zip(*(_named(cell, look) for cell in cells), strict=True)
            yield _Printed("", letters)
            yield _Printed(header, names)
        else:
            texts = [look.line(cell) for cell in cells]
            yield _Printed(header, tuple(map(Text, texts if place == len(columns) else _without_repeats(texts))))


def _named(cell: Cell, look: Look) -> tuple[Text, Text]:
    """The letter and the name of an arm; of a row about something else, its words."""
    return look.row(cell) if isinstance(cell, ArmRef) else (Text(" "), Text(look.line(cell), "dim"))


def _without_repeats(texts: Sequence[str]) -> list[str]:
    """Of rows about the same thing the first one says so: the next column separates them."""
    return ["" if place and text == texts[place - 1] else text for place, text in enumerate(texts)]


def _widest(cells: Sequence[Text]) -> int:
    return max(cell_len(cell.plain) for cell in cells)


def _grid(heads: Sequence[_Printed], columns: Sequence[_Printed], look: Look, rule: bool) -> Grid:
    box = None if not rule else ASCII_HEAD if look.ascii_only else SIMPLE_HEAD
    # With the box's own blank between columns, a padding of one makes COLUMN_GAP.
    grid = Grid(box=box, show_edge=False, pad_edge=False, padding=(0, 1 if rule else COLUMN_GAP, 0, 0))
    *firsts, name = heads
    for head in firsts:
        grid.add_column(head.header, no_wrap=True)
    grid.add_column(name.header, overflow="fold", vertical="bottom")
    for column in columns:
        grid.add_column(Text(column.header), justify=column.align, no_wrap=True, overflow="fold", vertical="bottom")
    for cells in zip(*(column.cells for column in (*heads, *columns)), strict=True):
        grid.add_row(*cells)
    return grid


def _header(column: Column, look: Look) -> str:
    return "\n".join(_folded(look.words(line)) for line in column.header)


def _folded(text: str) -> str:
    """Text on lines of at most WIDEST_HEADER characters, broken after `_` and blanks where it can be."""
    lines = [""]
    for part in re.findall(rf"[^_ ]{{1,{WIDEST_HEADER - 1}}}[_ ]?|[_ ]", text):
        if len(lines[-1]) + len(part) > WIDEST_HEADER:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)
