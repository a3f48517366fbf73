"""Curves as a figure for a paper: PNG to look at, SVG to edit, its text still text."""

import os
import textwrap
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsbench.analysis.curves import STUCK_FROM, Arm, Comparison, Curve, Record, comparisons, leading, spans_decades
from clsbench.report.text import count, metric_name, printable, setting_of
from clsbench.runs.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

# Okabe and Ito's palette, which the colour-blind can read too; its yellow last, the faintest on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#E69F00", "#F0E442")
# In greyscale dashes and markers tell the lines apart.
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))
MARKERS = "os^DvPX*"
PANELS = ("test_accuracy", "test_nll", "train_nll", "stuck_share")
MAX_COMPARISONS = 8
WIDTH_INCHES = 7.2  # two columns of a paper
PANEL_INCHES = 1.75
LINE_INCHES = 0.16
LABEL_CHARACTERS = 50
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


def draw(records: Iterable[Record], summary: Mapping[str, Any]) -> "Figure":
    """The run's curves, one row of panels for each comparison: mean over seeds, and a band from minimum to maximum."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    compared = comparisons(records, summary)
    shown = compared[:MAX_COMPARISONS]
    panels = [metric for metric in PANELS if metric != "stuck_share" or any(map(_gets_stuck, shown))]
    notes = _notes(compared)
    heights = [PANEL_INCHES + LINE_INCHES * (2 + legend_lines(comparison)) for comparison in shown]
    with style():
        figure = Figure(figsize=(WIDTH_INCHES, max(sum(heights), 1.0) + LINE_INCHES * len(notes)), layout="constrained")
        FigureCanvasAgg(figure)
        rows = figure.subfigures(len(shown), 1, squeeze=False, height_ratios=heights)[:, 0] if shown else ()
        for row, comparison in zip(rows, shown, strict=True):
            _draw_comparison(row, comparison, panels)
        if notes:
            figure.supxlabel("\n".join(notes), x=0.01, ha="left", fontsize=8)
    return figure


def save(figure: "Figure", directory: str | os.PathLike[str], name: str = "curves") -> list[Path]:
    """Write `curves.png` and `curves.svg` into `directory`, each whole or not at all; return their paths."""
    paths = []
    for suffix, options in (("png", {"dpi": 200}), ("svg", {"metadata": {"Date": None}})):
        content = BytesIO()
        with style(), warnings.catch_warnings():
            # A name in a script that the font lacks is drawn as boxes; the SVG still holds its text.
            warnings.filterwarnings("ignore", message=".*missing from font.*")
            figure.savefig(content, format=suffix, **options)
        path = Path(directory) / f"{name}.{suffix}"
        write_atomically(path, content.getvalue())
        paths.append(path)
    return paths


@contextmanager
def style() -> Iterator[None]:
    """matplotlib's defaults and STYLE, whatever the user's matplotlibrc says; put back afterwards."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


def _notes(compared: Sequence[Comparison]) -> list[str]:
    notes = []
    if any(comparison.num_seeds > 1 for comparison in compared):
        notes.append("Lines: mean over seeds. Bands: minimum to maximum.")
    if len(compared) > MAX_COMPARISONS:
        notes.append(f"The first {MAX_COMPARISONS} of {len(compared)} comparisons.")
    if any(len(comparison.arms) > len(COLOURS) for comparison in compared[:MAX_COMPARISONS]):
        notes.append(f"Of more than {len(COLOURS)} arms, those that end highest in test accuracy.")
    return notes


def _gets_stuck(comparison: Comparison) -> bool:
    means = (mean for arm in comparison.arms for mean in comparison.curve(arm["name"], "stuck_share").mean)
    return max(means, default=0.0) > STUCK_FROM


def label(arm: Arm) -> str:
    """Name and setting on one line, or where that is too long, each on its own."""
    name, setting = printable(arm["name"]), printable(setting_of(arm))
    line = f"{name} ({setting})" if setting else name
    parts = [line] if len(line) <= LABEL_CHARACTERS else filter(None, [name, setting])
    return "\n".join(textwrap.fill(part, LABEL_CHARACTERS, max_lines=2, placeholder=" ...") for part in parts)


def legend_lines(comparison: Comparison) -> int:
    """The text lines of the legend in its two columns."""
    lines = [label(arm).count("\n") + 1 for arm in leading(comparison.arms, len(COLOURS))]
    half = (len(lines) + 1) // 2
    return max(sum(lines[:half]), sum(lines[half:]))


def _draw_comparison(row: "SubFigure", comparison: Comparison, panels: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    arms = leading(comparison.arms, len(COLOURS))
    for axes, metric in zip(row.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _draw_panel(axes, [comparison.curve(arm["name"], metric) for arm in arms], metric, comparison.last_epoch)
    title = f"{printable(comparison.dataset)}, {printable(comparison.model)}, {count(comparison.num_seeds, 'seed')}"
    row.suptitle(textwrap.shorten(title, 100, placeholder=" ..."), x=0.01, ha="left", fontsize=9, weight="bold")
    handles = [Line2D([], [], label=label(arm), **look(index)) for index, arm in enumerate(arms)]
    # `outside` makes room for the legend instead of covering the panels.
    row.legend(handles=handles, loc="outside lower left", ncols=2, frameon=False, handlelength=3.5, labelspacing=0.3)


def look(index: int) -> dict[str, Any]:
    return {
        "color": COLOURS[index],
        "linestyle": DASHES[index % len(DASHES)],
        "marker": MARKERS[index],
        "markeredgecolor": "white",
        "markeredgewidth": 0.3,
    }


def _draw_panel(axes: "Axes", curves: Sequence[Curve], metric: str, last_epoch: int) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

    axes.set_title(metric_name(metric))
    axes.set_xlabel("epoch")
    axes.grid(True)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10], integer=True))
    axes.set_xlim(-0.03 * max(last_epoch, 1), 1.03 * max(last_epoch, 1))
    every = max(last_epoch // 6, 1)
    for index, curve in enumerate(curves):
        if curve.epochs:
            axes.fill_between(curve.epochs, curve.low, curve.high, color=COLOURS[index], alpha=0.15, linewidth=0)
            # Markers start at different epochs, so that lines that coincide all show theirs.
            stagger = (index * every // len(curves), every)
            axes.plot(curve.epochs, curve.mean, markevery=stagger, **look(index))
    low = [value for curve in curves for value in curve.low]
    high = [value for curve in curves for value in curve.high]
    if not low:
        axes.text(0.5, 0.5, "no numbers", transform=axes.transAxes, ha="center", va="center", color="0.4")
        axes.set_yticks([])
    elif metric.endswith("_nll") and spans_decades([*low, *high]):
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_title(f"{metric_name(metric)} (log scale)")
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
