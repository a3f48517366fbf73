"""A run on stdout: its report, or its summary as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.report.streams import whole_page, write_json

if TYPE_CHECKING:
    from clsbench.report.document import Document
    from clsbench.result import Result


def show_result(result: Result, *, as_json: bool, details: bool) -> None:
    """The answer of a run on one screen a comparison; with `details` every table and curve."""
    if as_json:
        write_json(result.summary)
        return
    from clsbench.report.renderers.terminal import show

    with whole_page() as console:
        show(_document(result, details, _files(result, details)), console)


def show_answer(result: Result, *, details: bool) -> None:
    """A run as `show_result` shows it, without its end."""
    from clsbench.report.renderers.terminal import show

    with whole_page() as console:
        show(_document(result, details, None), console)


def show_end(result: Result, *, details: bool) -> None:
    """How long the run took, and where its files are."""
    from clsbench.report.compose import end_document
    from clsbench.report.renderers.terminal import show

    with whole_page() as console:
        console.print()
        show(end_document(result.summary, _files(result, details), brief=not details), console)


def _document(result: Result, details: bool, files: list[str] | None) -> Document:
    from clsbench.report.compose import answer_document, run_document

    return (run_document if details else answer_document)(result.records, result.summary, files)


def _files(result: Result, details: bool) -> list[str]:
    return [str(path) for path in kept(result.directory) if details or path.name in FIRST]


FIRST = ("report.html", "curves.png", "summary.json")  # the files to look at


def kept(directory: Path) -> list[Path]:
    from clsbench.report.outputs import FIGURE_NAMES

    names = ("summary.json", "metrics.jsonl", "tuning.jsonl", *FIGURE_NAMES, "report.html", "config.yaml")
    return [directory / name for name in names if (directory / name).exists()]
