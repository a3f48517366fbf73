"""A run on stdout: its report, or its summary as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.report.streams import whole_page, write_json

if TYPE_CHECKING:
    from clsbench.result import Result


def show_results(results: list[Result], *, as_json: bool, details: bool, are_drawn: bool = True) -> None:
    """The answer of each run on one screen a comparison; with `details` every table and curve.

    Where its files are comes last, unless they are still being drawn; `show_files` says it then.
    """
    if as_json:
        summaries = [result.summary for result in results]
        write_json(summaries[0] if len(summaries) == 1 else summaries)
        return
    from clsbench.report.compose import answer_document, run_document
    from clsbench.report.renderers.terminal import show

    document = run_document if details else answer_document
    with whole_page() as console:
        for result in results:
            files = _files(result, details) if are_drawn else []
            show(document(result.records, result.summary, files), console)


def show_files(result: Result, *, details: bool) -> None:
    """Where the files of a run are."""
    from clsbench.report.compose import files_document
    from clsbench.report.renderers.terminal import show

    with whole_page() as console:
        show(files_document(result.summary, _files(result, details)), console)


def _files(result: Result, details: bool) -> list[str]:
    return [str(path) for path in kept(result.directory) if details or path.name in FIRST]


FIRST = ("report.html", "curves.png", "summary.json")  # the files to look at


def kept(directory: Path) -> list[Path]:
    from clsbench.report.outputs import FIGURE_NAMES

    names = ("summary.json", "metrics.jsonl", "tuning.jsonl", *FIGURE_NAMES, "report.html", "config.yaml")
    return [directory / name for name in names if (directory / name).exists()]
