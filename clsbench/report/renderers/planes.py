"""Losses over a plane of weights: in the terminal, as a figure, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from clsbench.analysis.planes import HIGH, LOW, WeightPlane
from clsbench.report.renderers.figures import style
from clsbench.report.renderers.heatmap import HeatMap, draw_beside
from clsbench.report.renderers.surfaces import FIGURE_INCHES, GUTTER, LINES
from clsbench.report.text import number, printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# By the name of a point, its coordinates (a, b).
POINTS = {"S": (0.0, 0.0), "A": (1.0, 0.0), "B": (0.0, 1.0)}


def show_planes(console: Console, planes: Sequence[WeightPlane]) -> None:
    """The map of each arm's loss, two beside each other, and its values at the start and at the ends."""
    for plane in planes:
        console.print(Text(_title(plane, console.encoding), "bold", overflow="fold"))
        maps = [_map(name, heights, console.encoding) for name, heights in plane.heights.items()]
        per_row = 2 if console.width >= 2 * (GUTTER + len(maps[0].values[0])) else 1
        labels = [f"b {HIGH:g}", *[""] * (LINES - 2), f"{LOW:g}"]
        foot = f"{LOW:g}".ljust(len(maps[0].values[0]) // 2) + "a" + f"{HIGH:g}".rjust(len(maps[0].values[0]) // 2 - 1)
        for place in range(0, len(maps), per_row):
            for line in draw_beside(maps[place : place + per_row], console, labels, foot):
                console.print(line)
        for name, values in plane.at_ends.items():
            told = ", ".join(f"{letter} {number(value)}" for letter, value in zip(POINTS, values, strict=True))
            console.print(Text(f"{printable(name, console.encoding)}: {told}", overflow="fold"))


def as_data(planes: Sequence[WeightPlane]) -> dict[str, Any]:
    """For `--json`."""
    return {"range": [LOW, HIGH], "planes": [asdict(plane) for plane in planes]}


def draw_planes(planes: Sequence[WeightPlane]) -> Figure:
    """A row for each comparison, a column for each arm, 16:9."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=FIGURE_INCHES, layout="constrained")
        FigureCanvasAgg(figure)
        most = max(len(plane.heights) for plane in planes)
        axes = figure.subplots(len(planes), most, squeeze=False, sharex=True, sharey=True)
        for row, plane in enumerate(planes):
            for column in range(most):
                axes[row, column].set_visible(column < len(plane.heights))
            for panel, (name, heights) in zip(axes[row], plane.heights.items(), strict=False):
                half = (HIGH - LOW) / (len(heights) - 1) / 2  # a pixel's middle is its point
                extent = (LOW - half, HIGH + half, LOW - half, HIGH + half)
                image = panel.imshow(np.array(heights, float), extent=extent, cmap="viridis", aspect="auto")
                figure.colorbar(image, ax=panel)
                panel.set_title(f"loss of {printable(name)}")
                panel.set_xlabel("a")
                for letter, place in POINTS.items():
                    panel.plot(*place, marker="o", color="white", markeredgecolor="black", markersize=6)
                    shift = {"xytext": (5, 5), "textcoords": "offset points", "weight": "bold"}
                    box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.7, "pad": 1}
                    panel.annotate(letter, place, bbox=box, **shift)
            axes[row, 0].set_ylabel("b")
        figure.suptitle("\n".join(map(_title, planes)), x=0.01, ha="left", fontsize=8)
    return figure


def _title(plane: WeightPlane, encoding: str = "utf-8") -> str:
    across, up = (printable(name, encoding) for name in (plane.across, plane.up))
    return (
        f"{printable(plane.dataset, encoding)}, {printable(plane.model, encoding)}, seed {plane.seed}: "
        f"S + a (A - S) + b (B - S); S start, A end of {across}, B end of {up}; {plane.samples} training samples"
    )


def _map(name: str, heights: Sequence[Sequence[float | None]], encoding: str) -> HeatMap:
    rows, columns = len(heights), len(heights[0])
    marks = {}
    for letter, place in POINTS.items():
        across, up = ((each - LOW) / (HIGH - LOW) for each in place)
        marks[round((1 - up) * (rows - 1)), round(across * (columns - 1))] = letter
    finite = [value for row in heights for value in row if value is not None]
    low, high = min(finite, default=0.0), max(finite, default=0.0)
    title = f"loss {low:.2g} to {high:.3g}: {printable(name, encoding)}"
    return HeatMap(title[:columns], heights, marks)
