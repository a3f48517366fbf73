"""Tables of arms, cut into as many as the width needs, so that no number is ever shortened."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD, Box
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

# rich's own ASCII boxes are full grids; the rule under the header is enough.
ASCII_HEAD = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
COLUMN_GAP = 2
NARROWEST_NAME = 13  # leaves room for four metrics in 80 columns

Arm = tuple[Text, Text]  # the letter, blank for an arm that is not drawn, and the name


@dataclass(frozen=True)
class Column:
    """A column under `header` (its line breaks count); one cell for each arm."""

    header: str
    cells: Sequence[str]

    @property
    def width(self) -> int:
        return max(map(cell_len, [*self.header.split("\n"), *self.cells]))


def tables(
    arms: Sequence[Arm],
    columns: Sequence[Column],
    *,
    width: int,
    ascii_only: bool,
    heads: tuple[str, str] = ("", "arm"),
) -> Iterator[Table]:
    """`columns` beside the arms' letters and names, which `heads` are over, as tables of at most `width` each."""
    name_width = min(max(cell_len(name.plain) for _, name in arms), NARROWEST_NAME)
    start = max(cell_len(text) for text in (heads[0], *(letter.plain for letter, _ in arms))) + COLUMN_GAP + name_width
    group: list[Column] = []
    used = start
    for column in columns:
        if group and used + COLUMN_GAP + column.width > width:
            yield _table(arms, group, heads, ascii_only)
            group, used = [], start
        group.append(column)
        used += COLUMN_GAP + column.width
    yield _table(arms, group, heads, ascii_only)


def _table(arms: Sequence[Arm], columns: Sequence[Column], heads: tuple[str, str], ascii_only: bool) -> Table:
    box = ASCII_HEAD if ascii_only else SIMPLE_HEAD
    # With the box's own blank between columns, a padding of one makes COLUMN_GAP.
    table = Table(box=box, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column(heads[0], no_wrap=True)
    table.add_column(heads[1], overflow="fold", vertical="bottom")
    for column in columns:
        table.add_column(Text(column.header), justify="right", no_wrap=True, overflow="fold", vertical="bottom")
    for row, arm in enumerate(arms):
        table.add_row(*arm, *(Text(column.cells[row]) for column in columns))
    return table


def legend(arms: Sequence[Arm], remarks: Sequence[Text], width: int) -> Table:
    """A remark on each arm, beside its letter and name."""
    grid = Table.grid(padding=(0, COLUMN_GAP, 0, 0), pad_edge=False)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold", max_width=width // 2)
    grid.add_column(overflow="fold")
    for arm, remark in zip(arms, remarks, strict=True):
        grid.add_row(*arm, remark)
    return grid
