"""Losses over two logits: in the terminal, as a figure, as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

from clsbench.report.renderers.figures import style
from clsbench.report.renderers.heatmap import HeatMap, draw_beside, pixels_per_line
from clsbench.report.text import rounded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from clsbench.analysis.explanation import LossAtPoint
    from clsbench.analysis.surfaces import Floats, Path, Plane, Surface

LINES = 8  # of a map in the terminal: two losses fit into 24
WIDEST_MAP = 40
GUTTER = 6
FIGURE_INCHES = (9.6, 5.4)  # 16:9


def map_size(console: Console) -> tuple[int, int]:
    """Rows and columns of the grid that a console shows."""
    per_row = 2 if console.width >= 2 * (GUTTER + 12) else 1
    columns = min(console.width // per_row - GUTTER - 2, WIDEST_MAP)
    return LINES * pixels_per_line(console), max(columns, 8)


def show_surfaces(console: Console, plane: Plane, surfaces: Sequence[Surface], paths: Sequence[Path]) -> None:
    """Height and gradient norm of every loss, the path of each descent, and what happens where the answer is wrong."""
    console.print(_line(f"Logits (y0, y1, {plane.third:g}), true class {plane.target}; bright is large"))
    labels = [f"y1 {plane.high:g}", *[""] * (LINES - 2), f"{plane.low:g}"]
    for each in surfaces:
        marks = dict(_marks(each, plane, [path for path in paths if path.loss == each.loss]))
        columns = each.heights.shape[1]
        maps = [
            HeatMap(f"{each.loss}, {_range(each.heights)}"[:columns], each.heights.tolist(), marks),
            HeatMap(f"its gradient, {_range(each.norms)}"[:columns], each.norms.tolist(), marks),
        ]
        foot = _between(f"{plane.low:g}", "y0", f"{plane.high:g}", columns)
        if console.width < 2 * (GUTTER + columns):
            for one in maps:
                _print_all(console, draw_beside([one], console, labels, foot))
        else:
            _print_all(console, draw_beside(maps, console, labels, foot))
    for sentence in [*map(_of_path, paths)] or [_of_corner(plane, surfaces)]:
        console.print(_line(sentence))


def show_points(console: Console, points: Sequence[tuple[Sequence[float], Sequence[LossAtPoint]]], target: int) -> None:
    """Every loss at some logits, with its gradient."""
    from clsbench.report.renderers.listing import show_losses

    for logits, losses in points:
        console.print(_line(f"Logits ({', '.join(f'{z:g}' for z in logits)}), true class {target}"))
        show_losses(console, losses)


def as_data(
    points: Sequence[tuple[Sequence[float], Sequence[LossAtPoint]]], target: int, paths: Sequence[Path]
) -> dict[str, Any]:
    """For `--json`."""
    found: dict[str, Any] = {
        "points": [
            {
                "logits": list(logits),
                "target": target,
                "losses": {each.name: {"value": each.value, "gradient": list(each.gradient)} for each in losses},
            }
            for logits, losses in points
        ]
    }
    if paths:
        found["paths"] = {
            each.loss: {"steps": each.steps, "counted": each.counted, "path": list(map(list, each.points))}
            for each in paths
        }
    return found


def draw_surfaces(plane: Plane, surfaces: Sequence[Surface], paths: Sequence[Path]) -> Figure:
    """A column for each loss, its height above its gradient norm, 16:9."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with style():
        figure = Figure(figsize=FIGURE_INCHES, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(2, len(surfaces), squeeze=False, sharex=True, sharey=True)
        extent = (plane.low, plane.high, plane.low, plane.high)
        for column, each in enumerate(surfaces):
            for row, (what, values) in enumerate((("loss", each.heights), ("gradient norm", each.norms))):
                panel = axes[row, column]
                image = panel.imshow(values, extent=extent, cmap="viridis", aspect="auto")
                figure.colorbar(image, ax=panel)
                panel.set_title(f"{each.loss}: {what}" if row == 0 else what)
                for path in (path for path in paths if path.loss == each.loss):
                    for colour, width in (("black", 4), ("white", 2)):  # seen on dark and on bright
                        panel.plot(*zip(*path.points, strict=True), color=colour, linewidth=width)
                    ends = {"color": "white", "markeredgecolor": "black", "markersize": 8, "clip_on": False}
                    panel.plot(*path.points[0], marker="o", **ends)
                    panel.plot(*path.points[-1], marker="X", **ends)
            axes[1, column].set_xlabel("y0")
        for panel in axes[:, 0]:
            panel.set_ylabel("y1")
        axes[0, 0].set(xlim=extent[:2], ylim=extent[2:])
        sentences = [*map(_of_path, paths)] or [_of_corner(plane, surfaces)]
        title = f"Logits (y0, y1, {plane.third:g}), true class {plane.target}\n" + "\n".join(sentences)
        figure.suptitle(title, x=0.01, ha="left", fontsize=8)
    return figure


def _marks(each: Surface, plane: Plane, paths: Sequence[Path]) -> Iterator[tuple[tuple[int, int], str]]:
    """The places of a path on a map: O is its start, x its end, and both are drawn over the others."""
    rows, columns = each.heights.shape
    for path in paths:
        last = len(path.points) - 1 if path.steps is not None else None
        for number, (y0, y1) in sorted(enumerate(path.points), key=lambda point: point[0] in (0, last)):
            share0, share1 = ((y - plane.low) / (plane.high - plane.low) for y in (y0, y1))
            if 0 <= share0 <= 1 and 0 <= share1 <= 1:
                place = round((1 - share1) * (rows - 1)), round(share0 * (columns - 1))
                yield place, "O" if number == 0 else "x" if number == last else "o"


def _of_path(path: Path) -> str:
    start = f"{path.loss} from ({path.points[0][0]:g}, {path.points[0][1]:g}): "
    if path.steps is None:
        stays = "the gradient vanishes" if path.steady else "it jumps to and fro; try a smaller --lr"
        return f"{start}not right after {path.counted:,} steps: {stays}"
    if path.steps == path.counted:
        return f"{start}right in {path.counted:,} steps (counted)"
    return f"{start}right in {rounded(path.steps)} steps (integrated)"


def _of_corner(plane: Plane, surfaces: Sequence[Surface]) -> str:
    """The corner of the map where the prediction is most wrong: top left for class 0."""
    row, column = (0, 0) if plane.target == 0 else (-1, -1)
    y0, y1 = (plane.low, plane.high) if plane.target == 0 else (plane.high, plane.low)
    parts = (
        f"{each.loss} {each.heights[row, column]:.4g}, gradient {each.norms[row, column]:.3g}" for each in surfaces
    )
    return f"Confidently wrong, at ({y0:g}, {y1:g}): {'; '.join(parts)}"


def _range(values: Floats) -> str:
    low, high = float(values.min()), float(values.max())
    return f"{0 if low < high / 1000 else low:.3g} to {high:.3g}"


def _between(left: str, middle: str, right: str, width: int) -> str:
    return f"{left}{middle:^{max(width - len(left) - len(right), 0)}}{right}"


def _line(text: str) -> Text:
    return Text(text, overflow="fold")


def _print_all(console: Console, lines: Iterator[Text]) -> None:
    for line in lines:
        console.print(line)
