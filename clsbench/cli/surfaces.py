"""The verb that shows losses over two logits: `surface`."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clsbench.cli import completion
from clsbench.cli.parameters import AsJson, Plugins, load_plugins, numbers
from clsbench.errors import ConfigError
from clsbench.report.streams import whole_page, write_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from clsbench.report.outputs import Output

DEFAULT = ("cross_entropy", "mse_softmax")
FIGURE_POINTS = 201
PLANE_POINTS = 25  # of a run's weights, in each direction: every one is a network
JSON_POINTS = 21  # the whole numbers of the default range


def surface(
    losses: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[LOSS ... | RUN]",
            help="Losses, by default cross_entropy and mse_softmax; or a run directory.",
            show_default=False,
            autocompletion=completion.surface_losses,
        ),
    ] = None,
    at: Annotated[
        str | None, typer.Option(metavar="Y0,Y1", help="Only this point, in numbers: --at=-10,10.", show_default=False)
    ] = None,
    third: Annotated[float, typer.Option(metavar="Y2", help="The third logit.")] = -1000.0,
    target: Annotated[int, typer.Option(metavar="N", min=0, max=2, help="The true class.")] = 0,
    limits: Annotated[str, typer.Option("--range", metavar="LOW,HIGH", help="Of y0 and y1.")] = "-10,10",
    start: Annotated[
        str | None,
        typer.Option("--from", metavar="Y0,Y1", help="Let gradient descent start there.", show_default=False),
    ] = None,
    lr: Annotated[float, typer.Option(metavar="L", help="Its learning rate.")] = 1.0,
    png: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the figure there, and an SVG beside it.", show_default=False),
    ] = None,
    plugin: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Show losses over two logits of three, or a run's over its weights."""
    from clsbench.report.outputs import FIGURES, Output

    if png is not None and png.suffix != ".png":
        raise ConfigError(f"--png: the name must end in .png, got {png}")
    files = [] if png is None else [Output("--png", png.with_suffix(f".{kind}"), FIGURES[kind]) for kind in FIGURES]
    load_plugins(plugin)
    if losses and os.path.isdir(losses[0]):
        if len(losses) > 1 or at is not None or start is not None:
            raise ConfigError(f"{losses[0]} is a run, whose surface takes no other LOSS, no --at and no --from")
        _of_run(Path(losses[0]), files, as_json)
        return
    low, high = numbers("--range", limits, 2)
    if not low < high:
        raise ConfigError(f"--range: LOW must be below HIGH, got {limits}")
    if not (abs(third) < float("inf") and 0 < lr < float("inf")):
        raise ConfigError("--third must be finite, and --lr finite and above 0")
    place = None if at is None else numbers("--at", at, 2)
    origin = None if start is None else numbers("--from", start, 2)
    from clsbench.analysis import surfaces as analysis
    from clsbench.report.renderers import surfaces as shown

    plane = analysis.Plane(low, high, third, target)
    try:
        chosen = analysis.named_losses(losses or DEFAULT)
    except (ValueError, LookupError) as error:
        raise ConfigError(str(error)) from error
    paths = [] if origin is None else [analysis.descent(loss, plane, (origin[0], origin[1]), lr) for loss in chosen]
    if place is not None:
        points = [analysis.point_of(chosen, plane, place[0], place[1])]
    elif as_json:
        points = [*analysis.points_of(chosen, plane, JSON_POINTS)]
    if as_json:
        write_json(shown.as_data(points, target, paths))
    else:
        with whole_page() as console:
            if place is not None:
                shown.show_points(console, points, target)
            else:
                rows, columns = shown.map_size(console)
                each = [analysis.surface(loss, plane, rows, columns) for loss in chosen]
                shown.show_surfaces(console, plane, each, paths)
    if files:
        grids = [analysis.surface(loss, plane, FIGURE_POINTS, FIGURE_POINTS) for loss in chosen]
        _write(shown.draw_surfaces(plane, grids, paths), files)


def _of_run(run: Path, files: list["Output"], as_json: bool) -> None:
    from clsbench.plane import planes_of
    from clsbench.report.renderers import planes as shown
    from clsbench.report.renderers.surfaces import map_size

    with whole_page() as console:
        rows, columns = (PLANE_POINTS, PLANE_POINTS) if as_json or files else map_size(console)
        found = planes_of(run, rows, columns)
        if as_json:
            write_json(shown.as_data(found))
        elif not files:
            shown.show_planes(console, found)
    if files:
        _write(shown.draw_planes(found), files)


def _write(figure: "Figure", files: list["Output"]) -> None:
    from clsbench.report.renderers.figures import rendered

    for file in files:
        file.write(rendered(figure, file.path.suffix[1:]))
        print(f"wrote {file.path}", file=sys.stderr)
