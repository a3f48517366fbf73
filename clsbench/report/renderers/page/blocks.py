"""The sections of a document as HTML: headings, paragraphs and tables, every text of theirs escaped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clsbench.report.document import ArmList, ArmRef, Block, Cell, Paragraph, Part, Ranks, Section, Table
from clsbench.report.renderers.markup import cell_of, safe, text_of
from clsbench.report.renderers.ranks import as_svg


def block(part: Block, name: str = "") -> Iterator[str]:
    """A block and those inside it. Curves are left to the scripts."""
    match part:
        case Section():
            inner = "".join(html for each in part.blocks for html in block(each, name))
            yield f"<h4>{text(part.title)}</h4>\n{inner}" if inner and part.title else inner
        case Paragraph():
            prefix = "<b>Warning:</b> " if part.role == "warning" else ""
            yield f'<p class="{part.role}">{prefix}{text(part.text)}</p>\n'
        case ArmList():
            rows = "".join(f"<dt>{arm(ref)}</dt><dd>{safe(remark)}</dd>" for ref, remark in part.entries)
            yield f"<dl>{rows}</dl>\n"
        case Table():
            yield _table(part, name)
        case Ranks():
            yield _scrolled(as_svg(part), "mean ranks")
        case _:
            pass  # curves and reliability are drawn by the scripts, files lie beside the page


def _table(table: Table, name: str) -> str:
    heads = "".join(
        f'<th scope="col"{_side(column.align)}>{safe(" ".join(column.header))}</th>' for column in table.columns
    )
    rows = "".join(f"<tr>{''.join(_cells(table, row))}</tr>\n" for row in table.rows)
    more = f'<p class="note">and {table.omitted:,} more, in summary.json</p>' if table.omitted else ""
    inner = f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody></table>"
    return f"{_scrolled(inner, f'table {safe(name)}')}{more}\n"


def _scrolled(inner: str, label: str) -> str:
    """What may be wider than a narrow window, moved inside its own frame."""
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{label}">{inner}</div>'


def _cells(table: Table, row: Sequence[Cell]) -> Iterator[str]:
    for place, (column, cell) in enumerate(zip(table.columns, row, strict=True)):
        tag = 'th scope="row"' if place == 0 else "td"
        yield f"<{tag}{_side(column.align)}>{cell_of(cell, arm)}</{tag[:2]}>"


def _side(align: str) -> str:
    return ' class="left"' if align == "left" else ""


def text(parts: Sequence[Part]) -> str:
    """Words and the arms that they name."""
    return text_of(parts, arm)


def arm(ref: ArmRef) -> str:
    """The name of an arm, after a line in its colour if it is drawn."""
    return safe(ref.name) if ref.mark is None else f'<span class="arm arm-{ref.mark}">{safe(ref.name)}</span>'
