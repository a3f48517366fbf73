"""The animated picture of the README: python scripts/marbles.py FILE.svg [--run RUN]

Every marble is a training sample of a run of `configs/quickstart.yaml` (the first seed, from the confident start), at
its margin and its loss, epoch by epoch. SVG with SMIL animation: no script, no font, nothing to load. What does not
animate SVG shows the last epoch.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import clsbench
from clsbench.analysis.terrain import Terrain, terrain_of
from clsbench.runs.directory import RunDirectory

Floats = npt.NDArray[np.float64]

MODEL = "confident"
TITLES = {"cross_entropy": "cross-entropy", "mse_softmax": "squared error on softmax"}
LOW, HIGH = -50.0, 20.0  # margins; marbles beyond are drawn at the edge
MARBLES = 100  # of the samples shown, evenly spaced
WIDTH, HEIGHT, LEFT, TOP, PANEL_WIDTH, PANEL_HEIGHT, GAP = 960, 400, 30, 92, 430, 235, 40
RADIUS, SINK = 4, 3  # of a marble; how deep it lies in its terrain
SECONDS, FIRST, LAST = 9, 3, 8  # a round; for how many frames the first and the last epoch stay
COLOURS = {"cross_entropy": "#0072B2", "mse_softmax": "#D55E00"}
STYLE = """
text{font-family:system-ui,sans-serif;fill:#222}.paper{fill:#fff}.small{font-size:14px}.head{font-size:18px;font-weight:600}
.axis{stroke:#888}.marble{fill:#222;stroke:#fff;stroke-width:.8;fill-opacity:.75}
@media(prefers-color-scheme:dark){text{fill:#ddd}.paper{fill:#161b22}.marble{fill:#eee;stroke:#161b22}}
"""


@dataclass(frozen=True)
class Panel:
    """One loss: `margins` and `losses` `[epochs, marbles]`, `accuracies` `[epochs]` on test data."""

    loss: str
    num_classes: int
    margins: Floats
    losses: Floats
    accuracies: Sequence[float]


def panels_of(run: Path) -> list[Panel]:
    """Both losses of a run of the quickstart, from its confident start."""
    result = clsbench.load(run)
    replay = RunDirectory(run).replay(list(result.summary["data"] or ()))
    assert replay is not None, "the run kept no frames: report.html is off"
    (facts,) = RunDirectory(run).environment()["datasets"].values()
    panels = []
    for loss in TITLES:
        records: list[Any] = [
            r for r in result.records if r["loss"] == loss and r["model"] == MODEL and r["trial"] in replay.trials
        ]
        arrays = replay.trials[int(records[0]["trial"] or 0)]
        shown = np.linspace(0, arrays["margins"].shape[1] - 1, MARBLES).astype(int)
        accuracies = [float(r["test_accuracy"] or 0) for r in records if r["epoch"] in arrays["epochs"]]
        margins, losses = (arrays[name][:, shown].astype(np.float64) for name in ("margins", "losses"))
        panels.append(Panel(loss, facts["num_classes"], margins, losses, accuracies))
    return panels


def svg_of(panels: Sequence[Panel]) -> str:
    """The picture, as text."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        f"<title>{escape(_described(panels))}</title><style>{STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{HEIGHT}"/>',
        _text(LEFT, 30, "Every marble is a training sample, on the terrain of its loss", "head"),
        _text(LEFT, 52, "Left: confidently wrong. Right of the line: right. The same start, the same batches."),
    ]
    for number, panel in enumerate(panels):
        parts += _drawn(panel, LEFT + number * (PANEL_WIDTH + GAP))
    return "".join([*parts, "</svg>\n"])


def _described(panels: Sequence[Panel]) -> str:
    ends = (f"{TITLES[p.loss]}: test accuracy {p.accuracies[0]:.2f} to {p.accuracies[-1]:.2f}" for p in panels)
    return f"Marbles on two terrains while networks train. {'; '.join(ends)}"


def _drawn(panel: Panel, left: int) -> Iterator[str]:
    terrain = terrain_of(panel.loss, panel.num_classes)
    assert terrain is not None
    top = terrain.height(LOW, 1.0)
    colour, line = COLOURS[panel.loss], _x(left, 0.0)
    yield _text(left, TOP - 14, TITLES[panel.loss], "head")
    for concentration, opacity in (
        ((1.0, 0.35), (1 / (panel.num_classes - 1), 0.5)) if terrain.is_band else ((1.0, 0.7),)
    ):
        yield f'<path fill="{colour}" fill-opacity="{opacity}" d="{_outline(terrain, concentration, left, top)}"/>'
    bottom = TOP + PANEL_HEIGHT
    yield f'<path class="axis" stroke-dasharray="4 3" d="M{line:.0f} {TOP}V{bottom}"/>'
    yield f'<path class="axis" d="M{left} {bottom}H{left + PANEL_WIDTH}"/>'
    yield _text(left, bottom + 18, f"margin {LOW:g}")
    yield _text(line - 4, bottom + 18, "0")
    yield from _counter(panel, left, bottom + 44)
    for margins, losses in zip(panel.margins.T, panel.losses.T, strict=True):
        places = [f"{_x(left, m):.0f} {_y(h, top):.0f}" for m, h in zip(margins, losses, strict=True)]
        yield f'<circle class="marble" r="{RADIUS}" transform="translate({places[-1]})">'
        yield '<animateTransform attributeName="transform" type="translate" repeatCount="indefinite" '
        yield f'dur="{SECONDS}s" values="{";".join(_held(places))}"/></circle>'


def _held(values: Sequence[str]) -> list[str]:
    """The frames, of which the first and the last stay."""
    return [*[values[0]] * FIRST, *values, *[values[-1]] * LAST]


def _counter(panel: Panel, left: int, y: int) -> Iterator[str]:
    """The epoch and the accuracy, a text for each frame, of which one is seen at a time."""
    frames = len(panel.accuracies)
    shown = [0] * FIRST + list(range(frames)) + [frames - 1] * LAST
    for epoch, accuracy in enumerate(panel.accuracies):
        start, count, total = shown.index(epoch), shown.count(epoch), len(shown)
        times, values = [0.0, start / total, (start + count) / total], ["0", "1", "0"]
        if start == 0:
            times, values = times[1:], values[1:]
        if start + count == total:
            times, values = times[:-1], values[:-1]
        yield f'<text class="small" x="{left}" y="{y}" opacity="{int(epoch == frames - 1)}">'
        yield f"epoch {epoch}: test accuracy {accuracy:.2f}"
        yield f'<animate attributeName="opacity" dur="{SECONDS}s" repeatCount="indefinite" calcMode="discrete" '
        yield f'keyTimes="{";".join(f"{time:.4g}" for time in times)}" values="{";".join(values)}"/></text>'


def _outline(terrain: Terrain, concentration: float, left: int, top: float) -> str:
    """The terrain as a closed path."""
    margins = np.linspace(LOW, HIGH, 141)
    # A marble's centre is at its loss; the ground lies below it by the radius, less what it sinks in.
    points = (f"{_x(left, m):.1f} {_y(terrain.height(m, concentration), top) + RADIUS - SINK:.1f}" for m in margins)
    return f"M{left} {TOP + PANEL_HEIGHT}L{'L'.join(points)}V{TOP + PANEL_HEIGHT}Z"


def _x(left: int, margin: float) -> float:
    return left + (min(max(margin, LOW), HIGH) - LOW) / (HIGH - LOW) * PANEL_WIDTH


def _y(height: float, top: float) -> float:
    return TOP + PANEL_HEIGHT - RADIUS - min(height / top, 1.0) * (PANEL_HEIGHT - 2 * RADIUS)


def _text(x: float, y: float, text: str, style: str = "small") -> str:
    return f'<text class="{style}" x="{x:.0f}" y="{y}">{escape(text)}</text>'


def main() -> None:
    """Run the quickstart, unless a run of it is given, and write its picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--run", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run = asked.run or clsbench.run("quickstart", output=folder).directory
        text = svg_of(panels_of(run))
    asked.file.write_text(text, encoding="utf-8")
    print(f"wrote {asked.file}: {len(text.encode()):,} bytes")


if __name__ == "__main__":
    main()
