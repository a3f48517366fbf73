"""A run on stdout: its report, or its summary as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from clsbench.report.streams import whole_page, write_json

if TYPE_CHECKING:
    from clsbench.result import Result


def show_results(results: list[Result], *, as_json: bool, details: bool) -> None:
    """The answer of each run on one screen a comparison; with `details` every table and curve."""
    if as_json:
        summaries = [result.summary for result in results]
        write_json(summaries[0] if len(summaries) == 1 else summaries)
        return
    from clsbench.report.compose import answer_document, run_document
    from clsbench.report.renderers.terminal import show

    with whole_page() as console:
        for result in results:
            files = [str(path) for path in kept(result.directory)]
            if details:
                document = run_document(result.records, result.summary, files)
            else:
                first = [file for file in files if file.endswith(FIRST)]
                document = answer_document(result.records, result.summary, first)
            show(document, console)


FIRST = ("report.html", "curves.png", "summary.json")  # the files to look at


def kept(directory: Path) -> list[Path]:
    from clsbench.report.outputs import FIGURE_NAMES

    names = ("summary.json", "metrics.jsonl", "tuning.jsonl", *FIGURE_NAMES, "report.html", "config.yaml")
    return [directory / name for name in names if (directory / name).exists()]
