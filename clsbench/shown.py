"""What a run writes to be looked at: its figures and its page, drawn once its results are kept."""

from __future__ import annotations

import time
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


class Drawing:
    """What a complete run is asked to write to be looked at: begun at once, in a process of its own where one can be.

    A run that was drawn before, as its summary says, is left as it is.
    """

    def __init__(self, result: Result, experiment: Experiment) -> None:
        from clsbench.forks import beside

        spent, asked = result.summary["clock"], experiment.report
        is_due = spent is not None and spent["figures"] is None  # an earlier version drew before it was complete
        self._result, self._experiment, self._began = result, experiment, time.monotonic()
        self._page = is_due and asked.html
        self._figures = beside(partial(figures, result)) if is_due and asked.figures else None

    def finish(self) -> Result:
        """Write the files, and into the summary how long they took.

        An error leaves the run complete; `clsbench run --resume` draws again.

        Raises:
            RunError: a file cannot be written, or what the page needs is damaged.
        """
        result, directory = self._result, RunDirectory(self._result.directory)
        if not self._page and self._figures is None:
            return result
        with directory.held(), logged(directory.path):
            if self._page:
                directory.write_page(page(result, directory, self._experiment))
            for name, content in self._figures().items() if self._figures else ():
                write_atomically(directory.path / name, content)
            spent = cast(TimeSpent, {**(result.summary["clock"] or {}), "figures": self._passed()})
            summary: Summary = {**result.summary, "clock": spent}
            directory.write_summary(summary)
        return replace(result, summary=summary)

    def _passed(self) -> float:
        return round(time.monotonic() - self._began, 3)


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
