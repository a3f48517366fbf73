"""A document as a figure for a paper: PNG to look at, SVG to edit, its text still text.

A section is a row of panels with its title above and its arms below; what has no panels is a note under the figure.
"""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

from clsbench.report.document import ArmList, ArmRef, Curves, Document, Paragraph, Ranks, Reliability, Section, Text
from clsbench.report.renderers.panels import PANELS_IN_A_ROW, draw_curves, draw_reliability, line_look
from clsbench.report.renderers.ranks import draw_rank_axes
from clsbench.report.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure, SubFigure

WIDTH_INCHES, WIDEST_INCHES = 7.2, 9.6  # two columns of a paper, and as wide as it is readable
SLIDE = 16 / 9
PANEL_INCHES = 1.75
LINE_INCHES = 0.16
LABEL_CHARACTERS = 50
TITLE_CHARACTERS = 100
FORMATS = {"png": 200, "svg": 100}  # dots per inch; of an SVG, those of the images in it
STYLE: dict[Any, Any] = {
    "font.size": 8.0,
    "axes.titlesize": 8.0,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "grid.linewidth": 0.4,
    "grid.alpha": 0.3,
    "text.parse_math": False,  # a `$` in a label is a dollar
    "text.usetex": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "clsbench",  # the same figure, the same bytes
}


def draw(document: Document) -> Figure:
    """A document of curves or of reliability diagrams, a section above the other."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [section for section in document.sections if _panels(section)]
    notes = [note for section in document.sections if section not in shown for note in _paragraphs(section)]
    heights = [_height(section) for section in shown]
    with style():
        figure = Figure(figsize=_size(sum(heights) + LINE_INCHES * len(notes)), layout="constrained")
        FigureCanvasAgg(figure)
        rows = figure.subfigures(len(shown), 1, squeeze=False, height_ratios=heights)[:, 0] if shown else ()
        for row, section in zip(rows, shown, strict=True):
            _draw_section(row, section)
        if notes:
            figure.supxlabel("\n".join(notes), x=0.01, ha="left", fontsize=8)
    return figure


def files(figure: Figure, name: str = "curves") -> dict[str, bytes]:
    """A figure in every format, by the name of its file; it is laid out once for all."""
    layout = figure.get_layout_engine()
    with _rendering():
        if layout is not None and figure.subfigs:
            layout.execute(figure)
            figure.set_layout_engine("none")
        return {f"{name}.{suffix}": _printed(figure, suffix) for suffix in FORMATS}


def rendered(figure: Figure, suffix: str) -> bytes:
    """A figure as a file: `png` or `svg`, the same bytes for the same figure."""
    with _rendering():
        return _printed(figure, suffix)


def _printed(figure: Figure, suffix: str) -> bytes:
    """What `savefig` writes; that draws a figure with a layout twice, the first time to measure its boxes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_svg import FigureCanvasSVG

    content = BytesIO()
    figure.dpi = FORMATS[suffix]
    if suffix == "png":
        FigureCanvasAgg(figure).print_png(content)
    else:
        FigureCanvasSVG(figure).print_svg(content, metadata={"Date": None})
    return content.getvalue()


@contextmanager
def _rendering() -> Iterator[None]:
    with style(), warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes; the SVG still holds its text.
        warnings.filterwarnings("ignore", message=".*missing from font.*")
        yield


def show_in(shell: Any) -> None:
    """Let a notebook show figures, which it does by itself only once `pyplot` was imported."""
    from IPython.core.pylabtools import select_figure_formats
    from matplotlib.figure import Figure

    if Figure not in shell.display_formatter.formatters["image/png"]:
        select_figure_formats(shell, {"png"})


@contextmanager
def style() -> Iterator[None]:
    """matplotlib's defaults and STYLE, whatever the user's matplotlibrc says; put back afterwards."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def _size(needed: float) -> tuple[float, float]:
    """Width and height in inches of a figure that needs so much height: as a slide, unless it would be too wide."""
    width = min(max(WIDTH_INCHES, needed * SLIDE), WIDEST_INCHES)
    return width, max(needed, width / SLIDE)


def _panels(section: Section) -> list[Curves | Reliability | Ranks]:
    return [block for block in section.blocks if isinstance(block, Curves | Reliability | Ranks)]


def _height(section: Section) -> float:
    """In inches: the panels, the title, and what is said of the arms."""
    panels, legend = _panels(section), _legend(section)
    if isinstance(panels[0], Ranks):
        return LINE_INCHES * (5 + 1.5 * len(panels[0].entries))
    if isinstance(panels[0], Reliability):
        return LINE_INCHES * 2 + PANEL_INCHES * 1.2 * -(-len(panels) // PANELS_IN_A_ROW)
    lines = [_label(arm, setting).count("\n") + 1 for arm, setting in legend]
    half = (len(lines) + 1) // 2
    return PANEL_INCHES + LINE_INCHES * (2 + max(sum(lines[:half]), sum(lines[half:])))


def _legend(section: Section) -> list[tuple[ArmRef, str]]:
    """The arms that are drawn, with their settings."""
    lists = (block.entries for block in section.blocks if isinstance(block, ArmList))
    return [entry for entries in lists for entry in entries if entry[0].mark is not None]


def _draw_section(row: SubFigure, section: Section) -> None:
    panels = _panels(section)
    curves = [panel for panel in panels if isinstance(panel, Curves)]
    for axes, panel in zip(row.subplots(1, len(curves), squeeze=False)[0] if curves else (), curves, strict=True):
        draw_curves(axes, panel)
    for ranks in (panel for panel in panels if isinstance(panel, Ranks)):
        draw_rank_axes(row.subplots(1, 1), ranks)
    if diagrams := [panel for panel in panels if isinstance(panel, Reliability)]:
        draw_reliability(row, diagrams)
    row.suptitle(_title(section), x=0.01, ha="left", fontsize=9, weight="bold")
    if legend := _legend(section):
        _draw_legend(row, legend)


def _draw_legend(row: SubFigure, legend: Sequence[tuple[ArmRef, str]]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], label=_label(arm, setting), **line_look(arm)) for arm, setting in legend]
    # `outside` makes room for the legend instead of covering the panels.
    row.legend(handles=handles, loc="outside lower left", ncols=2, frameon=False, handlelength=3.5, labelspacing=0.3)


def _label(arm: ArmRef, setting: str) -> str:
    """Name and setting on one line, or where that is too long, each on its own."""
    name, setting = printable(arm.name), printable(setting)
    line = f"{name} ({setting})" if setting else name
    parts = [line] if len(line) <= LABEL_CHARACTERS else filter(None, [name, setting])
    return "\n".join(textwrap.fill(part, LABEL_CHARACTERS, max_lines=2, placeholder=" ...") for part in parts)


def _title(section: Section) -> str:
    """The title, shortened so that what is said of the whole row fits beside it."""
    about = "; ".join(_paragraphs(section))
    room = TITLE_CHARACTERS - 40 if about else TITLE_CHARACTERS
    title = textwrap.shorten(_line(section.title), room, placeholder=" ...")
    return f"{title}: {about}" if about else title


def _paragraphs(section: Section) -> list[str]:
    return [_line(block.text) for block in section.blocks if isinstance(block, Paragraph)]


def _line(text: Text) -> str:
    """Words as they are written: figures name their arms in a legend."""
    return "".join(printable(part) for part in text if isinstance(part, str))
