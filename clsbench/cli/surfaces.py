"""The verb that shows losses over two logits: `surface`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from clsbench.cli.parameters import AsJson, numbers
from clsbench.errors import ConfigError
from clsbench.report.streams import whole_page, write_json

DEFAULT = ("cross_entropy", "mse_softmax")
FIGURE_POINTS = 201
JSON_POINTS = 21  # the whole numbers of the default range


def surface(
    losses: Annotated[
        list[str] | None,
        typer.Argument(metavar="[LOSS]...", help="By default cross_entropy and mse_softmax.", show_default=False),
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
    as_json: AsJson = False,
) -> None:
    """Show losses as surfaces over two logits of three."""
    from clsbench.report.outputs import FIGURES, Output

    low, high = numbers("--range", limits, 2)
    if not low < high:
        raise ConfigError(f"--range: LOW must be below HIGH, got {limits}")
    if not (abs(third) < float("inf") and 0 < lr < float("inf")):
        raise ConfigError("--third must be finite, and --lr finite and above 0")
    place = None if at is None else numbers("--at", at, 2)
    origin = None if start is None else numbers("--from", start, 2)
    if png is not None and png.suffix != ".png":
        raise ConfigError(f"--png: the name must end in .png, got {png}")
    files = [] if png is None else [Output("--png", png.with_suffix(f".{kind}"), FIGURES[kind]) for kind in FIGURES]

    import clsbench.losses  # noqa: F401 - registers the losses
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
        from clsbench.report.renderers.figures import rendered

        grids = [analysis.surface(loss, plane, FIGURE_POINTS, FIGURE_POINTS) for loss in chosen]
        figure = shown.draw_surfaces(plane, grids, paths)
        for file in files:
            file.write(rendered(figure, file.path.suffix[1:]))
            print(f"wrote {file.path}", file=sys.stderr)
