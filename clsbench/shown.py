"""What a run writes to be looked at: its figures and its page, drawn once its results are kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

from clsbench.config.schema import Experiment
from clsbench.result import Result, trained_plan
from clsbench.results import Summary, TimeSpent
from clsbench.runs.directory import RunDirectory
from clsbench.runs.files import write_atomically
from clsbench.runs.log import logged

PAGE = "report.html"


@contextmanager
def drawing(result: Result, experiment: Experiment) -> Iterator[Callable[[], Result]]:
    """Begin what a complete run is asked to write to be looked at, in a process of its own where one can be.

    The function that it gives writes the files, and into the summary how long they took. A run that was drawn before,
    as its summary says, is left as it is. An error leaves the run complete; `clsbench run --resume` draws again.

    Raises:
        RunError: from that function: a file cannot be written, or what the page needs is damaged.
    """
    from clsbench.forks import beside

    spent, asked, began = result.summary["clock"], experiment.report, time.monotonic()
    is_due = spent is not None and spent["figures"] is None  # an earlier version drew before it was complete
    if not is_due or not (asked.html or asked.figures):
        yield lambda: result
        return
    with beside(partial(figures, result)) if asked.figures else nullcontext(dict) as drawn:

        def finish() -> Result:
            directory = RunDirectory(result.directory)
            with directory.held(), logged(directory.path):
                if asked.html:
                    directory.write_page(page(result, directory, experiment))
                for name, content in drawn().items():
                    write_atomically(directory.path / name, content)
                passed = round(time.monotonic() - began, 3)
                clock = cast(TimeSpent, {**(result.summary["clock"] or {}), "figures": passed})
                summary: Summary = {**result.summary, "clock": clock}
                directory.write_summary(summary)
            return replace(result, summary=summary)

        yield finish


def write_page(result: Result) -> Path:
    """Write `report.html` of a run that is read back, again or for the first time."""
    directory = RunDirectory(result.directory)
    content = page(result, directory, directory.experiment())
    with directory.held():
        directory.write_page(content)
    return result.directory / PAGE


def page(result: Result, directory: RunDirectory, experiment: Experiment) -> bytes:
    """`report.html` of a run."""
    from clsbench.report.page import page_of
    from clsbench.report.renderers.page import as_page
    from clsbench.report.seen import Film

    summary = result.summary
    film = Film.of(trained_plan(result), directory.replay(list(summary["data"] or ())))
    return as_page(page_of(result.records, summary, experiment.to_dict(), directory.environment(), film))


def draw(result: Result, directory: Path) -> list[Path]:
    """Write the figures of a run into a directory."""
    drawn = figures(result)
    for name, content in drawn.items():
        write_atomically(directory / name, content)
    return [directory / name for name in drawn]


def figures(result: Result) -> dict[str, bytes]:
    """The figures of a run by file name, each as PNG and SVG: its curves, what tuning found, reliability."""
    from clsbench.report.compose import figure_documents
    from clsbench.report.renderers.figures import draw, files

    found: dict[str, bytes] = {}
    for name, shown in figure_documents(result.records, result.summary).items():
        found |= files(draw(shown), name)
    return found
