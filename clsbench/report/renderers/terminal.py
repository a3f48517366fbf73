"""A document in the terminal, readable at 80 columns, in one colour, in ASCII.

Only here, and in the modules beside it, are widths, colours and encodings known.
"""

from __future__ import annotations

import os.path
from collections.abc import Iterator
from typing import assert_never

from rich.console import Console, RenderableType
from rich.text import Text

from clsbench.report.document import (
    ArmList,
    Block,
    Curves,
    Document,
    Files,
    Paragraph,
    Ranks,
    Reliability,
    Section,
    Table,
)
from clsbench.report.renderers.look import Look
from clsbench.report.renderers.plots import draw_curves
from clsbench.report.renderers.ranks import draw_ranks
from clsbench.report.renderers.screen import Heading, screen
from clsbench.report.renderers.tables import arm_list, tables

PLOT_HEIGHT, SMALL_PLOT_HEIGHT = 12, 9
END = 3  # lines: an empty one, what the run took, its files
WIDEST_PLOT = 100


def show(document: Document, console: Console) -> None:
    """Print a document."""
    look = Look(console.width, console.encoding)
    beside = _lines_beside(document.sections, look, console)
    for part in _separated(_sections(document.sections, look, console, level=0, beside=beside)):
        # A path that is broken over lines cannot be copied; a terminal wraps it by itself.
        console.print(part, markup=False, highlight=False, soft_wrap=isinstance(part, _Path))


def _lines_beside(sections: tuple[Section, ...], look: Look, console: Console) -> int:
    """How many lines the answer shares its screen with, those of the end among them, which may be printed later."""
    others = tuple(section for section in sections if section.name not in ("answer", "kept"))
    if len(others) == len(sections):
        return 0
    parts = _separated(_sections(others, look, console, level=0, beside=0))
    return sum(len(console.render_lines(part, pad=False)) for part in parts) + END


class _Path(Text):
    """A line that is never broken."""


class _Break:
    """The boundary of two sections: an empty line, if there is text before and after it."""


_Printed = RenderableType | _Break


def _separated(parts: Iterator[_Printed]) -> Iterator[RenderableType]:
    is_first, broken = True, False
    for part in parts:
        if isinstance(part, _Break):
            broken = True
        else:
            if broken and not is_first and not isinstance(part, Heading):
                yield Text()
            yield part
            is_first = broken = False


def _sections(blocks: tuple[Block, ...], look: Look, console: Console, level: int, beside: int) -> Iterator[_Printed]:
    """The blocks of a section; `level` is how deep the sections among them are nested.

    An answer shares its screen with `beside` lines.
    """
    is_after_text = False
    for block in blocks:
        if isinstance(block, Section) and block.name == "answer" and not look.narrow:
            yield from (*screen(block, look, console, beside), _Break())
        elif not isinstance(block, Section):
            yield from _block(block, look, level)
            is_after_text = True
        elif block.name == "answer" or not (look.narrow and any(isinstance(part, Curves) for part in block.blocks)):
            if is_after_text:
                yield _Break()
            yield from _title(block, look, level)
            yield from _sections(block.blocks, look, console, level + 1, beside)
            yield _Break()
            is_after_text = False


def _title(section: Section, look: Look, level: int) -> Iterator[Text]:
    if section.title:
        yield _paragraph(look.line(section.title), "bold" if level < 2 else "")
    if level == 0 and section.name in ("comparison", "across"):
        yield Text(("-" if look.ascii_only else "━") * min(look.width, WIDEST_PLOT), "dim")


def _block(block: Block, look: Look, level: int) -> Iterator[RenderableType]:
    match block:
        case Paragraph():
            prefix = "Warning: " if block.role == "warning" else ""
            yield _paragraph(prefix + look.line(block.text), "dim" if block.role == "note" else "")
        case ArmList():
            yield from _arm_list(block, look)
        case Curves() if look.narrow:
            pass
        case Curves():
            height = PLOT_HEIGHT if level < 3 else SMALL_PLOT_HEIGHT
            yield from draw_curves(block, look, width=min(look.width, WIDEST_PLOT), height=height)
        case Table():
            yield from _table(block, look)
        case Ranks():
            yield from () if look.narrow else draw_ranks(block, look)
        case Files():
            folder, names = os.path.join(look.words(block.folder or "."), ""), ", ".join(map(look.words, block.names))
            if len(folder) + 2 + len(names) <= look.width:
                yield _Path(f"{folder}  {names}")
            else:
                yield from (_Path(folder), _paragraph(names))
        case Section() | Reliability():
            raise AssertionError(f"{type(block).__name__} is not text")
        case _:
            assert_never(block)


def _paragraph(text: str, style: str = "") -> Text:
    return Text(text, style, overflow="fold")


def _arm_list(block: ArmList, look: Look) -> Iterator[RenderableType]:
    if look.narrow:
        for arm, remark in block.entries:
            yield _paragraph(f"{look.line(arm)}: {look.words(remark)}")
    else:
        yield arm_list(block, look)


def _table(table: Table, look: Look) -> Iterator[RenderableType]:
    if look.narrow:
        yield from _as_lines(table, look)
    else:
        yield from tables(table, look)
    if table.omitted:
        yield _paragraph(f"and {table.omitted:,} more", "dim")


def _as_lines(table: Table, look: Look) -> Iterator[Text]:
    """What each row is about, then its cells, a line each."""
    for row in table.rows:
        yield _paragraph(", ".join(map(look.line, row[: table.num_heads])))
        for column, cell in list(zip(table.columns, row, strict=True))[table.num_heads :]:
            yield _paragraph(f"  {' '.join(map(look.words, column.header))}: {look.line(cell)}")
