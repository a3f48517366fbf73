"""What a run writes to be looked at: its figures and its page."""

from __future__ import annotations

from pathlib import Path

from clsbench.config.schema import Experiment
from clsbench.result import Result
from clsbench.runs.directory import RunDirectory


def write_page(result: Result) -> Path:
    """Write `report.html` of a run that is read back, again or for the first time."""
    directory = RunDirectory(result.directory)
    content = page(result, directory, directory.experiment())
    with directory.held():
        directory.write_page(content)
    return result.directory / "report.html"


def page(result: Result, directory: RunDirectory, experiment: Experiment) -> bytes:
    """`report.html` of a run."""
    from clsbench.report.page import page_of
    from clsbench.report.renderers.page import as_page

    summary = result.summary
    replay = directory.replay(list(summary["data"] or ()))
    return as_page(page_of(result.records, summary, experiment, directory.environment(), replay))


def draw(result: Result, directory: Path) -> list[Path]:
    """Write the figures of a run into a directory, each as PNG and SVG: its curves, what tuning found, reliability."""
    from clsbench.report.compose import figure_documents
    from clsbench.report.renderers import figures

    documents = figure_documents(result.records, result.summary)
    return [path for name, shown in documents.items() for path in figures.save(figures.draw(shown), directory, name)]
