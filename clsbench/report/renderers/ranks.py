"""Mean ranks as a critical-difference diagram: in the terminal as lines of text, elsewhere as axes or SVG.

Source: Demsar 2006, Statistical Comparisons of Classifiers over Multiple Data Sets, section 3.2.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.text import Text

from clsbench.report.document import ArmRef, Ranks
from clsbench.report.renderers.look import Look, letter_of, style_of
from clsbench.report.renderers.markup import safe
from clsbench.report.renderers.panels import line_look
from clsbench.report.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDEST = 64
UNTOLD = "not told apart"  # of the arms over a bar
SVG_WIDTH, SVG_STEP, SVG_MARGIN = 640, 20, 30  # pixels
GROUP_STEP = 0.18  # between the bars of a figure, in units of its height


def draw_ranks(ranks: Ranks, look: Look) -> Iterator[Text]:
    """An axis of ranks, the letters of the arms under it, and a bar under each group that no test tells apart."""
    width = min(look.width - 8, WIDEST)

    def place(rank: float) -> int:
        return round((rank - 1) / max(ranks.worst - 1, 1) * (width - 1))

    line, corner, bar = ("-", "+", "=") if look.ascii_only else ("─", "┼", "━")
    numbers, axis = [" "] * (width + 2), [line] * width
    for rank in range(1, ranks.worst + 1):
        if ranks.worst <= 10 or rank in (1, ranks.worst) or rank % 5 == 0:
            numbers[place(rank) : place(rank) + len(str(rank))] = str(rank)
            axis[place(rank)] = corner
    yield Text("rank  " + "".join(numbers).rstrip())
    yield Text("      " + "".join(axis), "dim")
    yield from _letters([(arm, place(rank)) for arm, rank in ranks.entries])
    for group in ranks.groups:
        start, end = map(place, ranks.span(group))
        drawn = f"      {' ' * start}{bar * max(end - start + 1, 1)}"
        has_room = len(drawn) + len(UNTOLD) + 2 <= look.width
        yield from map(Text, [f"{drawn}  {UNTOLD}"] if has_room else [drawn, f"      {UNTOLD}"])


def _letters(placed: list[tuple[ArmRef, int]]) -> Iterator[Text]:
    """The letters at their places, in as many lines as keep them from hiding each other."""
    while placed:
        row, rest, end = Text("      "), [], -1
        for arm, at in sorted(placed, key=lambda entry: entry[1]):
            if at > end:
                row.append(" " * (at - end - 1))
                row.append(letter_of(arm), f"bold {style_of(arm)}")
                end = at
            else:
                rest.append((arm, at))
        yield row
        placed = rest


def draw_rank_axes(axes: Axes, ranks: Ranks) -> None:
    """A figure's panel: a marker at each arm's mean rank, its name beside it, bars over groups."""
    over = {"facecolor": axes.get_facecolor(), "edgecolor": "none", "pad": 1}  # names lie over other arms' lines
    axes.set_xlim(0.9, ranks.worst + 0.1)
    axes.set_ylim(-len(ranks.entries) - 0.5, 0.6 + GROUP_STEP * len(ranks.groups))
    for place, (arm, rank) in enumerate(ranks.entries):
        look = line_look(arm)
        axes.plot([rank, rank], [0, -place - 1], color=look["color"], linewidth=0.6)
        axes.plot([rank], [-place - 1], color=look["color"], marker=look["marker"], linestyle="none")
        side = "left" if rank < (1 + ranks.worst) / 2 else "right"
        gap = 0.012 * ranks.worst * (1 if side == "left" else -1)
        name = f"{printable(arm.name)} {rank:.2f}"
        axes.text(rank + gap, -place - 1, name, ha=side, va="center", bbox=over)
    for place, group in enumerate(ranks.groups):
        axes.plot(ranks.span(group), [GROUP_STEP * (place + 1)] * 2, color="0.3", linewidth=3, solid_capstyle="butt")
    axes.set_yticks([])
    axes.set_xticks(range(1, ranks.worst + 1, max(1, ranks.worst // 10)))
    axes.xaxis.tick_top()
    axes.spines[["left", "right", "bottom"]].set_visible(False)
    axes.spines["top"].set_visible(True)
    axes.set_title(_meaning(ranks), loc="left")


def as_svg(ranks: Ranks) -> str:
    """The diagram as SVG, in the colour of the text around it."""
    top = SVG_STEP * (1 + len(ranks.groups)) + 16
    height = top + SVG_STEP * (len(ranks.entries) + 1)

    def along(rank: float) -> float:
        return round(SVG_MARGIN + (rank - 1) / max(ranks.worst - 1, 1) * (SVG_WIDTH - 2 * SVG_MARGIN), 1)

    parts = [f'<path d="M{along(1)} 18H{along(ranks.worst)}" stroke="currentColor"/>']
    for tick in range(1, ranks.worst + 1, max(1, ranks.worst // 10)):
        parts.append(f'<text x="{along(tick)}" y="12" text-anchor="middle">{tick}</text>')
    for place, group in enumerate(ranks.groups):
        start, end = map(along, ranks.span(group))
        line = f"M{start} {30 + SVG_STEP * place}H{end}"
        parts.append(f'<path d="{line}" stroke="currentColor" stroke-width="4"/>')
    names = []
    for place, (arm, rank) in enumerate(ranks.entries, start=1):
        x, y = along(rank), top + SVG_STEP * place
        on_left = rank > (1 + ranks.worst) / 2
        parts.append(f'<path d="M{x} 18V{y}" stroke="currentColor" opacity=".4"/><circle cx="{x}" cy="{y}" r="3"/>')
        side = f'x="{x - 8:.1f}" text-anchor="end"' if on_left else f'x="{x + 8:.1f}"'
        names.append(f'<text class="name" {side} y="{y + 4}">{safe(arm.name)} {rank:.2f}</text>')
    label = _meaning(ranks)
    size = f'viewBox="0 0 {SVG_WIDTH} {height}" width="{SVG_WIDTH}"'
    drawn = "".join([*parts, *names])
    return f'<svg {size} role="img" aria-label="{label}" font-size="12" fill="currentColor">{drawn}</svg>'


def _meaning(ranks: Ranks) -> str:
    drawn, known = len(ranks.entries), ranks.worst
    best = "" if drawn == known else f", of the best {drawn} of {known} arms"
    return f"mean rank{best}; a bar joins what no test tells apart"
