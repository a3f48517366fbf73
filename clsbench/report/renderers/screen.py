"""A comparison on one screen: the curves get the lines that sentences and table leave."""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.text import Text

from clsbench.report.document import Block, Curves, Paragraph, Section, Table
from clsbench.report.renderers.look import Look
from clsbench.report.renderers.plots import draw_curves
from clsbench.report.renderers.tables import tables

LINES = 23  # of a terminal, without the prompt
SHORTEST_PLOT, TALLEST_PLOT = 4, 9
FOOT = 2  # the lines under a plot
WIDEST = 100


class Heading(Text):
    """A rule with a title in it, which needs no empty line before it."""


def screen(section: Section, look: Look, console: Console, beside: int) -> Iterator[RenderableType]:
    """The title in a rule, then the blocks; a plot is as high as they and `beside` lines of other sections let it."""
    heading = _heading(look.line(section.title), look)
    others = [part for block in section.blocks if not isinstance(block, Curves) for part in _block(block, look)]
    used = sum(len(console.render_lines(part, pad=False)) for part in [heading, *others])
    height = min(max(LINES - beside - used - FOOT, SHORTEST_PLOT), TALLEST_PLOT)
    yield heading
    for block in section.blocks:
        if isinstance(block, Curves):
            yield from draw_curves(block, look, width=min(look.width, WIDEST), height=height)
        else:
            yield from _block(block, look)


def _heading(title: str, look: Look) -> Heading:
    """`-- title ------`, over the width of the plot."""
    rule = "-" if look.ascii_only else "━"
    rest = min(look.width, WIDEST) - cell_len(title) - 4
    return Heading(f"{rule * 2} {title} {rule * rest}".rstrip(), "bold", overflow="fold")


def _block(block: Block, look: Look) -> Iterator[RenderableType]:
    match block:
        case Paragraph():
            yield Text(look.line(block.text), "dim" if block.role == "note" else "", overflow="fold")
        case Table():
            yield from tables(block, look, rule=False)
            if block.omitted:
                yield Text(f"and {block.omitted:,} more, in --details and summary.json", "dim", overflow="fold")
        case _:
            raise AssertionError(f"a screen has no {type(block).__name__}")
