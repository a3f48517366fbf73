"""Sensitivity curves as a figure: what tuning measured at every value of every key."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clsbench.analysis.curves import Comparison, comparisons, leading, spans_decades
from clsbench.report import figures
from clsbench.report.text import count, metric_name, printable
from clsbench.report.tuning import profile

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

Row = Mapping[str, Any]


def draw(summary: Mapping[str, Any]) -> Figure:
    """One row of panels for each comparison, a panel for each key: mean over tuning seeds, minimum to maximum."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = comparisons((), summary)[: figures.MAX_COMPARISONS]
    heights = [figures.PANEL_INCHES + figures.LINE_INCHES * (2 + figures.legend_lines(one)) for one in shown]
    with figures.style():
        figure = Figure(figsize=(figures.WIDTH_INCHES, max(sum(heights), 1.0)), layout="constrained")
        FigureCanvasAgg(figure)
        rows = figure.subfigures(len(shown), 1, squeeze=False, height_ratios=heights)[:, 0] if shown else ()
        for row, comparison in zip(rows, shown, strict=True):
            _draw_comparison(row, comparison, summary["tuning"])
    return figure


def _draw_comparison(row: SubFigure, comparison: Comparison, tuning: Mapping[str, Any]) -> None:
    from matplotlib.lines import Line2D

    grid, metric = tuning["grid"], tuning["metric"]
    tried = {arm["name"]: arm["sensitivity"] for arm in tuning["arms"]}
    arms = leading(comparison.arms, len(figures.COLOURS))
    for axes, (key, values) in zip(row.subplots(1, len(grid), squeeze=False)[0], grid.items(), strict=True):
        axes.set_title(metric_name(metric))
        axes.set_xlabel(key)
        axes.grid(True)
        _draw_lines(axes, [profile(tried[arm["name"]], metric, key, values) for arm in arms], key)
    ground = f"{printable(comparison.dataset)}, {printable(comparison.model)}"
    seeds = count(len(tuning["seeds"]), "tuning seed") + (", best over the other keys" if len(grid) > 1 else "")
    title = f"{textwrap.shorten(ground, 60, placeholder=' ...')}: mean, minimum and maximum over {seeds}"
    row.suptitle(title, x=0.01, ha="left", fontsize=9, weight="bold")
    handles = [Line2D([], [], label=figures.label(arm), **figures.look(index)) for index, arm in enumerate(arms)]
    row.legend(handles=handles, loc="outside lower left", ncols=2, frameon=False, handlelength=3.5, labelspacing=0.3)


def _draw_lines(axes: Axes, profiles: Sequence[Sequence[Row]], key: str) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    across: list[float] = []
    up: list[float] = []
    for index, rows in enumerate(profiles):
        # A setting without a number (null for `clip_norm`) has no place on an axis.
        found = [row for row in rows if row["mean"] is not None and row["settings"][key] is not None]
        found.sort(key=lambda row: row["settings"][key])
        xs = [row["settings"][key] for row in found]
        known = [[value for value in row["values"] if value is not None] for row in found]
        low, high = [min(values) for values in known], [max(values) for values in known]
        axes.fill_between(xs, low, high, color=figures.COLOURS[index], alpha=0.15, linewidth=0)
        axes.plot(xs, [row["mean"] for row in found], **figures.look(index))
        across += xs
        up += [*low, *high]
    for axis, values, set_scale in ((axes.xaxis, across, axes.set_xscale), (axes.yaxis, up, axes.set_yscale)):
        if values and spans_decades(values):
            set_scale("log")
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())
