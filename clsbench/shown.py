"""What a run writes to be looked at: its figures and its page, drawn once its results are kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from clsbench.config.plan import plans
from clsbench.config.schema import Experiment
from clsbench.result import Result
from clsbench.runs.directory import RunDirectory
from clsbench.runs.files import write_atomically
from clsbench.runs.log import logged

PAGE = "report.html"


class Drawing:
    """What a complete run is asked to write to be looked at: begun at once, in a process of its own where one can be.

    Files that are newer than the summary are left as they are: the run was drawn before.
    """

    def __init__(self, result: Result, experiment: Experiment) -> None:
        from clsbench.forks import beside

        self._result, self._experiment = result, experiment
        self._directory = RunDirectory(result.directory)
        drawn = partial(figures, result, self._is_due)
        self._figures: Callable[[], dict[str, bytes]] = beside(drawn) if experiment.report.figures else dict

    def finish(self) -> None:
        """Write the files. An error leaves the run complete; `clsbench run --resume` draws what is missing.

        Raises:
            RunError: a file cannot be written, or what the page needs is damaged.
        """
        asked = self._experiment.report
        if not asked.figures and not asked.html:
            return
        with self._directory.held(), logged(self._directory.path):
            if asked.html and self._is_due(PAGE):
                self._directory.write_page(page(self._result, self._directory, self._experiment))
            for name, content in self._figures().items():
                write_atomically(self._directory.path / name, content)

    def _is_due(self, name: str) -> bool:
        path = self._directory.path / name
        return not path.exists() or path.stat().st_mtime_ns < self._directory.completed_ns()


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
    film = Film.of(plans(experiment)[-1], directory.replay(list(summary["data"] or ())))
    return as_page(page_of(result.records, summary, experiment.to_dict(), directory.environment(), film))


def draw(result: Result, directory: Path) -> list[Path]:
    """Write the figures of a run into a directory."""
    drawn = figures(result)
    for name, content in drawn.items():
        write_atomically(directory / name, content)
    return [directory / name for name in drawn]


def figures(result: Result, wanted: Callable[[str], bool] = lambda name: True) -> dict[str, bytes]:
    """The figures of a run by file name, each as PNG and SVG: its curves, what tuning found, reliability."""
    from clsbench.report.compose import figure_documents
    from clsbench.report.renderers.figures import FORMATS, draw, files

    found: dict[str, bytes] = {}
    for name, shown in figure_documents(result.records, result.summary).items():
        if any(wanted(f"{name}.{suffix}") for suffix in FORMATS):
            found |= files(draw(shown), name)
    return found
