"""The verb that shows runs again: `report`."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clsbench.cli.parameters import AsJson, Details
from clsbench.cli.showing import show_results
from clsbench.errors import ClsbenchError, ConfigError, RunError

if TYPE_CHECKING:
    from clsbench.result import Result


def report(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[RUN]...", help="Run directories; by default the newest in runs/.", show_default=False),
    ] = None,
    png: Annotated[
        Path | None,
        typer.Option("--png", metavar="DIR", help="Write the figures there, as PNG and SVG.", show_default=False),
    ] = None,
    table: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write the records as CSV.", show_default=False)
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write every trial's predictions of the test samples as CSV.", show_default=False
        ),
    ] = None,
    html: Annotated[bool, typer.Option("--html", help="Write report.html of each run again.")] = False,
    open_it: Annotated[bool, typer.Option("--open", help="Open report.html in the browser.")] = False,
    details: Details = False,
    as_json: AsJson = False,
) -> None:
    """Show runs again: the answer, figures, tables, files."""
    from clsbench.report.outputs import RECORDS, Output, require_replaceable_figures
    from clsbench.report.records_table import as_csv, rows_as_csv
    from clsbench.report.text import printable
    from clsbench.result import load
    from clsbench.runs.directory import RunDirectory, newest
    from clsbench.shown import draw, write_page

    results = [load(path) for path in runs or [newest(Path("runs")).path]]
    if open_it and not html:
        for result in results:
            _require_page(result.directory / "report.html")
    table_file = None if table is None else Output("--csv", table, RECORDS)
    predicted_file = None if predictions is None else Output("--predictions", predictions, RECORDS)
    folders = [] if png is None else _folders_for(png, results)
    for folder in folders:
        require_replaceable_figures(folder)
    written: list[Path] = []
    for result, folder in zip(results, folders, strict=False):  # no folders without --png
        _make(folder)
        written += draw(result, folder)
    if table_file is not None:
        table_file.write(as_csv((str(result.directory), result.records) for result in results))
        written.append(table_file.path)
    if predicted_file is not None:
        from clsbench.prediction import test_predictions

        predicted_file.write(
            rows_as_csv((str(r.directory), [*test_predictions(RunDirectory(r.directory))]) for r in results)
        )
        written.append(predicted_file.path)
    pages = [write_page(result) for result in results] if html else []
    written += pages
    show_results(results, as_json=as_json, details=details)
    for path in written:
        print(f"wrote {printable(str(path), sys.stderr.encoding)}", file=sys.stderr)
    for page in (pages or [result.directory / "report.html" for result in results]) if open_it else ():
        typer.launch(page.resolve().as_uri())


def _require_page(page: Path) -> None:
    if not page.exists():
        raise RunError(f"{page} is missing: the run wrote none; give --html too")


def _folders_for(png: Path, results: list[Result]) -> list[Path]:
    """A folder for the figures of each run: `png` itself for a single one, else one that no other run has."""
    if len(results) == 1:
        return [png]
    folders: list[Path] = []
    for result in results:
        run = result.directory.resolve()
        wanted = png / run.parent.name / run.name
        names = (wanted if number == 1 else wanted.with_name(f"{run.name}-{number}") for number in itertools.count(1))
        folders.append(next(folder for folder in names if folder not in folders))
    return folders


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(f"{folder} cannot be made: {error.strerror}; give another DIR", error) from error


def _unwritable(what: str, error: OSError) -> ClsbenchError:
    """A ConfigError if the path is impossible, else a RunError."""
    from clsbench.runs.files import is_no_place

    return ConfigError(what) if is_no_place(error) else RunError(what)
