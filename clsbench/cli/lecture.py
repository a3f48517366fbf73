"""The verb that gives the lecture: `demo`."""

from typing import Annotated, get_args

import typer

from clsbench.lecture import Act


def demo(
    act: Annotated[
        Act | None,
        typer.Argument(metavar="[ACT]", help=f"{', '.join(get_args(Act))}; by default 1, 2 and 3.", show_default=False),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            metavar="S", min=0, help="Go on by itself after so many seconds, not by Enter.", show_default=False
        ),
    ] = None,
) -> None:
    """Give the lecture, in three acts or claim by claim."""
    from clsbench.report.renderers.playing import play

    play(act, seconds)
