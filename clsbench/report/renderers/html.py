"""A document as a piece of HTML for notebooks: self-contained, small, and in the colours of the page around it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clsbench.report.document import (
    ArmList,
    ArmRef,
    Block,
    Curves,
    Document,
    Paragraph,
    Section,
    Series,
    Table,
)
from clsbench.report.renderers.markup import cell_of, safe, text_of
from clsbench.report.renderers.panels import COLOURS
from clsbench.report.renderers.plots import Ticks, ticks

WIDTH, HEIGHT = 300, 170  # of a panel, in pixels
LEFT, BOTTOM, TOP, RIGHT = 44, 30, 20, 8  # its margins
MAX_POINTS = 100  # of a line: more make the notebook large, and no difference to the eye
SVG_DASHES = ("", "6 2", "2 2", "7 2 2 2")  # in greyscale they separate the lines, as in figures


def as_html(document: Document) -> str:
    """The document as one element."""
    body = "".join(part for section in document.sections for part in _block(section))
    return f'<div class="clsbench" style="font-size:90%"><b>{safe(document.title)}</b>{body}</div>'


def _block(block: Block) -> Iterator[str]:
    match block:
        case Section():
            if block.title:
                yield f"<p><b>{text_of(block.title, _arm)}</b></p>"
            panels = [part for part in block.blocks if isinstance(part, Curves)]
            if panels:
                yield f'<div style="display:flex;flex-wrap:wrap">{"".join(map(_panel, panels))}</div>'
            for part in block.blocks:
                if not isinstance(part, Curves):
                    yield from _block(part)
        case Paragraph():
            prefix = "<b>Warning:</b> " if block.role == "warning" else ""
            yield f"<p>{prefix}{text_of(block.text, _arm)}</p>"
        case ArmList():
            yield "".join(f"<div>{_arm(arm)} {_faint(remark)}</div>" for arm, remark in block.entries)
        case Table():
            yield _table(block)
        case _:
            pass  # reliability and files are in the run's directory


def _table(table: Table) -> str:
    heads = "".join(f'<th style="text-align:{c.align}">{safe(" ".join(c.header))}</th>' for c in table.columns)
    rows = "".join(
        "<tr>"
        + "".join(
            f'<td style="text-align:{column.align}">{cell_of(cell, _arm)}</td>'
            for column, cell in zip(table.columns, row, strict=True)
        )
        + "</tr>"
        for row in table.rows
    )
    more = f"<p>and {table.omitted:,} more</p>" if table.omitted else ""
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>{more}"


def _arm(arm: ArmRef) -> str:
    """The name, after a line in the arm's colour if it is drawn."""
    if arm.mark is None:
        return safe(arm.name)
    line = f'<line x2="22" y1="4" y2="4" {_stroke(arm)}/>'
    return f'<svg width="22" height="8">{line}</svg> {safe(arm.name)}'


def _faint(text: str) -> str:
    return f'<span style="opacity:.65">{safe(text)}</span>'


def _stroke(arm: ArmRef) -> str:
    assert arm.mark is not None
    colour, dashes = COLOURS[arm.mark], SVG_DASHES[arm.mark % len(SVG_DASHES)]
    # Black cannot be seen on a dark page.
    colour = "currentColor" if colour == "#000000" else colour
    return f'stroke="{colour}" stroke-width="1.6" stroke-dasharray="{dashes}" fill="none"'


def _panel(curves: Curves) -> str:
    """A plot as SVG: lines of means, bands from minimum to maximum."""
    lines = [line for line in map(_thinned, curves.series) if line.x]
    label = curves.y.label + (" (log scale)" if curves.y.scale == "log" else "")
    title = f'<text x="{LEFT}" y="12" font-weight="bold">{safe(label)}</text>'
    if not lines:
        inner = f'<text x="{WIDTH // 2}" y="{HEIGHT // 2}" text-anchor="middle">no numbers</text>'
    else:
        xs = [x for line in lines for x in line.x] + ([curves.x.end] if curves.x.end is not None else [])
        ys = [y for line in lines for y in (*line.low, *line.high) if y > 0 or curves.y.scale != "log"]
        x, y = ticks(xs, 5, curves.x.scale), ticks(ys, 5, curves.y.scale)
        inner = _axes(x, y, curves.x.label) + "".join(_line(line, x, y) for line in lines)
    return f'<svg width="{WIDTH}" height="{HEIGHT}" font-size="10" fill="currentColor">{title}{inner}</svg>'


def _axes(x: Ticks, y: Ticks, label: str) -> str:
    parts = []
    for tick in y.ticks:
        at = _down(y.place(tick))
        parts.append(f'<path d="M{LEFT} {at}H{WIDTH - RIGHT}" stroke="currentColor" opacity=".15"/>')
        parts.append(f'<text x="{LEFT - 4}" y="{at + 3:.1f}" text-anchor="end">{y.label(tick)}</text>')
    for tick in x.ticks:
        parts.append(f'<text x="{_along(x.place(tick))}" y="{HEIGHT - 16}" text-anchor="middle">{x.label(tick)}</text>')
    middle = (LEFT + WIDTH - RIGHT) // 2
    return "".join(parts) + f'<text x="{middle}" y="{HEIGHT - 3}" text-anchor="middle">{safe(label)}</text>'


def _line(line: Series, x: Ticks, y: Ticks) -> str:
    def points(values: Sequence[float]) -> list[str]:
        shown = (max(value, 10**y.low) if y.log else value for value in values)
        return [f"{_along(x.fraction(at))},{_down(y.fraction(value))}" for at, value in zip(line.x, shown, strict=True)]

    stroke = _stroke(line.arm)
    colour = stroke.split('"')[1]
    band = " ".join([*points(line.low), *reversed(points(line.high))])
    mean = " ".join(points(line.y))
    return f'<polygon points="{band}" fill="{colour}" opacity=".15"/><polyline points="{mean}" {stroke}/>'


def _along(fraction: float) -> float:
    return round(LEFT + fraction * (WIDTH - LEFT - RIGHT), 1)


def _down(fraction: float) -> float:
    return round(HEIGHT - BOTTOM - fraction * (HEIGHT - BOTTOM - TOP), 1)


def _thinned(line: Series) -> Series:
    """At most about MAX_POINTS of the points, the last one among them."""
    step = -(-len(line.x) // MAX_POINTS) if line.x else 1
    if step == 1:
        return line
    kept = [place for place in range(len(line.x)) if place % step == 0 or place == len(line.x) - 1]
    return Series(
        line.arm,
        *(tuple(values[place] for place in kept) for values in (line.x, line.y, line.low, line.high)),
    )
