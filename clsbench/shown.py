"""What a run writes to be looked at: its figures and its page, drawn once its results are kept."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypeAlias, cast

from clsbench.config.schema import Experiment, ReportConfig
from clsbench.result import Result, trained_plan
from clsbench.results import Summary, TimeSpent
from clsbench.runs.directory import RunDirectory
from clsbench.runs.files import write_atomically
from clsbench.runs.log import logged
from clsbench.system import cores

if TYPE_CHECKING:
    from clsbench.report.document import Document

Drawer: TypeAlias = "Callable[[Mapping[str, Document]], Callable[[], dict[str, bytes]]]"
PAGE = "report.html"


def drawer(asked: ReportConfig) -> AbstractContextManager[Drawer]:
    """Have figures drawn beside this block, where it can be by a process of their own, which first imports matplotlib.

    What the block is given begins to draw documents, and returns what waits for their files (see `forks.beside`). Where
    no figures are asked for, nothing is started, and there are no files.
    """
    if not asked.figures:
        return nullcontext(lambda documents: dict)
    from clsbench.forks import beside
    from clsbench.report.document import Document

    # On one core, importing it first would only delay the block.
    ready = partial(figures, {"empty": Document("", ())}) if cores() > 1 else dict
    return beside(figures, ready)


def drawing(result: Result, experiment: Experiment, draw_of: Drawer) -> Callable[[], Result]:
    """Begin to draw the figures and the page that a complete run is asked for.

    The function that is returned writes the files, and into the summary how long they took. A run that was drawn
    before, as its summary says, is left as it is. After an error the run is complete, and `clsbench run --resume` draws
    again.

    Raises:
        RunError: from that function: a file cannot be written, or what the page needs is damaged.
    """
    spent, asked, began = result.summary["clock"], experiment.report, time.monotonic()
    is_due = spent is not None and spent["figures"] is None  # an earlier version drew before it was complete
    if not is_due or not (asked.html or asked.figures):
        return lambda: result
    try:
        drawn = draw_of(_documents(result) if asked.figures else {})
    except Exception as error:
        drawn = partial(_fail, error)  # once the answer is told

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

    return finish


def _fail(error: Exception) -> NoReturn:
    raise error


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
    drawn = figures(_documents(result))
    for name, content in drawn.items():
        write_atomically(directory / name, content)
    return [directory / name for name in drawn]


def _documents(result: Result) -> dict[str, Document]:
    """The figures of a run by name, as data: its curves, what tuning found, reliability."""
    from clsbench.report.compose import figure_documents

    return figure_documents(result.records, result.summary)


def figures(documents: Mapping[str, Document]) -> dict[str, bytes]:
    """Figures by file name, each as PNG and SVG."""
    from clsbench.report.renderers.figures import draw, files

    found: dict[str, bytes] = {}
    for name, shown in documents.items():
        found |= files(draw(shown), name)
    return found
