"""Reliability as a figure: how often each arm is right, against how sure it is."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from clsbench.analysis.curves import Arm, Comparison, comparisons, leading
from clsbench.report import figures
from clsbench.report.text import count, number, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

PANELS_IN_A_ROW = 4
TITLE_CHARACTERS = 24
NOTE = (
    "Points: share right against mean confidence, by bin of 1/15 (the larger, the more samples); "
    "on the dashed line the two agree.\nBars: share of the test samples in each bin, all seeds pooled."
)


def is_drawn(summary: Mapping[str, Any]) -> bool:
    """Whether any arm gives probabilities, and the run kept what is drawn of them."""
    return any(arm.get("reliability") for arm in summary["arms"])


def draw(summary: Mapping[str, Any]) -> Figure:
    """A panel for each arm, the arms of a comparison together."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = comparisons((), summary)[: figures.MAX_COMPARISONS]
    heights = [figures.LINE_INCHES * 2 + figures.PANEL_INCHES * 1.2 * _rows(_drawn(one)) for one in shown]
    with figures.style():
        figure = Figure(figsize=(figures.WIDTH_INCHES, sum(heights) + figures.LINE_INCHES * 2), layout="constrained")
        FigureCanvasAgg(figure)
        parts = figure.subfigures(len(shown), 1, squeeze=False, height_ratios=heights)[:, 0]
        for part, comparison in zip(parts, shown, strict=True):
            _draw_comparison(part, comparison)
        figure.supxlabel(NOTE, x=0.01, ha="left", fontsize=8)
    return figure


def _drawn(comparison: Comparison) -> list[Arm]:
    return leading(comparison.arms, len(figures.COLOURS))


def _rows(arms: Sequence[Arm]) -> int:
    return -(-len(arms) // PANELS_IN_A_ROW)


def _draw_comparison(part: SubFigure, comparison: Comparison) -> None:
    arms = _drawn(comparison)
    panels = part.subplots(_rows(arms), PANELS_IN_A_ROW, squeeze=False, sharex=True, sharey=True).ravel()
    for index, axes in enumerate(panels):
        if index < len(arms):
            _draw_panel(axes, arms[index], index)
            if index % PANELS_IN_A_ROW == 0:
                axes.set_ylabel("share right")
            if index + PANELS_IN_A_ROW >= len(arms):
                axes.set_xlabel("confidence")
                axes.tick_params(labelbottom=True)
        else:
            axes.set_visible(False)
    ground = f"{printable(comparison.dataset)}, {printable(comparison.model)}, {count(comparison.num_seeds, 'seed')}"
    part.suptitle(textwrap.shorten(ground, 100, placeholder=" ..."), x=0.01, ha="left", fontsize=9, weight="bold")


def _draw_panel(axes: Axes, arm: Arm, index: int) -> None:
    error = (arm["metrics"].get("test_ece") or {}).get("mean")
    name = textwrap.fill(printable(arm["name"]), TITLE_CHARACTERS, max_lines=2, placeholder=" ...")
    axes.set_title(name if error is None else f"{name}\nECE {number(error)}", fontsize=8)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.04)
    axes.set_xticks([0, 0.5, 1])
    axes.set_yticks([0, 0.5, 1])
    bins = arm.get("reliability")
    if not bins:
        axes.text(0.5, 0.5, "no probabilities", ha="center", va="center", color="0.4")
        return
    number_of_bins, total = len(bins["count"]), sum(bins["count"])
    shares = [n / total for n in bins["count"]]
    middles = [(place + 0.5) / number_of_bins for place in range(number_of_bins)]
    axes.bar(middles, shares, width=1 / number_of_bins, color="0.88", linewidth=0)
    axes.plot([0, 1], [0, 1], color="0.5", linestyle=(0, (3, 2)), linewidth=0.8)
    filled = [place for place, n in enumerate(bins["count"]) if n]
    sure = [bins["confidence"][place] for place in filled]
    right = [bins["accuracy"][place] for place in filled]
    look = figures.look(index)
    axes.plot(sure, right, color=look["color"], linewidth=0.8, alpha=0.6)
    sizes = [6 + 60 * shares[place] for place in filled]
    axes.scatter(
        sure, right, s=sizes, color=look["color"], marker=look["marker"], linewidths=0, zorder=3, clip_on=False
    )
