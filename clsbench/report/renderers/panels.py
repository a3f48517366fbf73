"""The panels of a figure: curves with their bands, and reliability diagrams."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from clsbench.report.document import ArmRef, Curves, Reliability
from clsbench.report.text import number, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import SubFigure

# Okabe and Ito's palette, made for colour blindness; yellow is last, as it is the faintest on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#E69F00", "#F0E442")
# In greyscale, dashes and markers separate the lines.
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (5, 1.5, 1, 1.5)))
MARKERS = "os^DvPX*"
PANELS_IN_A_ROW = 4  # of reliability diagrams, which are square
NAME_CHARACTERS = 24


def line_look(arm: ArmRef) -> dict[str, Any]:
    """Colour, dashes and marker of an arm that is drawn, as matplotlib's `plot` takes them."""
    assert arm.mark is not None
    return {
        "color": COLOURS[arm.mark],
        "linestyle": DASHES[arm.mark % len(DASHES)],
        "marker": MARKERS[arm.mark],
        "markeredgecolor": "white",
        "markeredgewidth": 0.3,
    }


def draw_curves(axes: Axes, curves: Curves) -> None:
    """Lines of means with bands from minimum to maximum."""
    from matplotlib.ticker import MaxNLocator

    axes.set_title(curves.y.label)
    axes.set_xlabel(curves.x.label)
    axes.grid(True)
    every = max(int(curves.x.end or 0) // 6, 1)
    for index, line in enumerate(curves.series):
        if line.x:
            look = line_look(line.arm)
            axes.fill_between(line.x, line.low, line.high, color=look["color"], alpha=0.15, linewidth=0)
            # Markers start at different epochs, so that lines that coincide all show theirs.
            stagger = (index * every // len(curves.series), every) if curves.x.scale == "integer" else None
            axes.plot(line.x, line.y, markevery=stagger, **look)
    if curves.level is not None:
        axes.axhline(curves.level.value, color="0.5", linestyle=(0, (3, 2)), linewidth=0.8, zorder=1)
    if not any(line.x for line in curves.series):
        axes.text(0.5, 0.5, "no numbers", transform=axes.transAxes, ha="center", va="center", color="0.4")
        axes.set_yticks([])
    elif curves.x.scale == "integer" and curves.y.scale == "linear":
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    if curves.x.scale == "integer":
        end = max(curves.x.end or 0, 1)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10], integer=True))
        axes.set_xlim(-0.03 * end, 1.03 * end)
        if curves.y.scale == "log":
            axes.set_title(f"{curves.y.label} (log scale)")
    _set_log_scales(axes, curves)


def _set_log_scales(axes: Axes, curves: Curves) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    for axis, scale, set_scale in (
        (axes.xaxis, curves.x.scale, axes.set_xscale),
        (axes.yaxis, curves.y.scale, axes.set_yscale),
    ):
        if scale == "log":
            set_scale("log")
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())


def draw_reliability(part: SubFigure, diagrams: Sequence[Reliability]) -> None:
    """A square panel for each arm, in rows."""
    rows = -(-len(diagrams) // PANELS_IN_A_ROW)
    panels = part.subplots(rows, PANELS_IN_A_ROW, squeeze=False, sharex=True, sharey=True).ravel()
    for index, axes in enumerate(panels):
        if index < len(diagrams):
            _draw_diagram(axes, diagrams[index])
            if index % PANELS_IN_A_ROW == 0:
                axes.set_ylabel("accuracy")
            if index + PANELS_IN_A_ROW >= len(diagrams):
                axes.set_xlabel("confidence")
                axes.tick_params(labelbottom=True)
        else:
            axes.set_visible(False)


def _draw_diagram(axes: Axes, diagram: Reliability) -> None:
    name = textwrap.fill(printable(diagram.arm.name), NAME_CHARACTERS, max_lines=2, placeholder=" ...")
    axes.set_title(name if diagram.ece is None else f"{name}\nECE {number(diagram.ece)}", fontsize=8)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.04)
    axes.set_xticks([0, 0.5, 1])
    axes.set_yticks([0, 0.5, 1])
    if not diagram.bins:
        axes.text(0.5, 0.5, "no probabilities", ha="center", va="center", color="0.4")
        return
    look, total, num_bins = line_look(diagram.arm), sum(found.count for found in diagram.bins), len(diagram.bins)
    shares = [found.count / total for found in diagram.bins]
    middles = [(place + 0.5) / num_bins for place in range(num_bins)]
    axes.bar(middles, shares, width=1 / num_bins, color="0.88", linewidth=0)
    axes.plot([0, 1], [0, 1], color="0.5", linestyle=(0, (3, 2)), linewidth=0.8)
    filled = [(found, share) for found, share in zip(diagram.bins, shares, strict=True) if found.count]
    confidence = [found.confidence or 0.0 for found, _ in filled]  # a bin with samples has both numbers
    correct = [found.accuracy or 0.0 for found, _ in filled]
    axes.plot(confidence, correct, color=look["color"], linewidth=0.8, alpha=0.6)
    sizes = [6 + 60 * share for _, share in filled]
    axes.scatter(
        confidence, correct, s=sizes, color=look["color"], marker=look["marker"], linewidths=0, zorder=3, clip_on=False
    )
