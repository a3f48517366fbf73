"""The verb that shows runs again: `report`."""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clsbench.cli.parameters import AsJson, Details, Plugins, load_plugins
from clsbench.cli.showing import show_result
from clsbench.errors import ClsbenchError, ConfigError, RunError

if TYPE_CHECKING:
    from clsbench.report.outputs import Output
    from clsbench.result import Result
    from clsbench.results import Across
    from clsbench.together import Runs


def report(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUN]...",
            help="Run directories, several on one ruler; by default the newest in runs/.",
            show_default=False,
        ),
    ] = None,
    png: Annotated[
        Path | None,
        typer.Option("--png", metavar="DIR", help="Write the figures there, as PNG and SVG.", show_default=False),
    ] = None,
    table: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write the records as CSV.", show_default=False)
    ] = None,
    tables: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Write arms, verdicts, tuning and comparisons there as tidy CSV and as LaTeX (booktabs).",
            show_default=False,
        ),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="KEY",
            help="Show the arms over several comparisons at each value of model, dataset, lr or another setting.",
            show_default=False,
        ),
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write every trial's predictions of the test samples as CSV.", show_default=False
        ),
    ] = None,
    html: Annotated[
        bool, typer.Option("--html", help="Write report.html of the run again; of several, into the working directory.")
    ] = False,
    open_it: Annotated[bool, typer.Option("--open", help="Open report.html in the browser.")] = False,
    plugin: Plugins = None,
    details: Details = False,
    as_json: AsJson = False,
) -> None:
    """Show runs again: the answer, figures, tables, files."""
    load_plugins(plugin)
    from clsbench.report.outputs import PAGE as PAGES
    from clsbench.report.outputs import RECORDS, Output, require_replaceable_figures
    from clsbench.report.records_table import as_csv
    from clsbench.report.text import printable
    from clsbench.result import load
    from clsbench.shown import PAGE, draw

    paths = [*{os.path.realpath(path): path for path in runs or [_newest(Path("runs"))]}.values()]
    together = _together(paths) if len(paths) > 1 else None
    result = load(paths[0]) if together is None else together.result
    by_value = None if by is None else _by_value(by, result, together, as_json=as_json)
    records = [result.records] if together is None else [part.records for part in together.parts]
    page = Path(PAGE) if together else result.directory / PAGE
    if open_it and not html and (together or not page.exists()):
        raise RunError(
            f"{page} is missing: {'several runs have' if together else 'the run wrote'} none; give --html too"
        )
    page_file = Output("--html", page, PAGES) if html and together else None
    table_file = None if table is None else Output("--csv", table, RECORDS)
    predicted_file = None if predictions is None else Output("--predictions", predictions, RECORDS)
    table_files = {} if tables is None else _table_files(tables, _as_tables(result, together))
    written: list[Path] = []
    if png is not None:
        require_replaceable_figures(png)
        _make(png)
        written += draw(result, png)
    if table_file is not None:
        table_file.write(as_csv(zip(map(str, paths), records, strict=True)))
        written.append(table_file.path)
    for file, content in table_files.items():
        file.write(content)
        written.append(file.path)
    if predicted_file is not None:
        predicted_file.write(_predictions(paths))
        written.append(predicted_file.path)
    if html:
        _write_page(result, together, page_file)
        written.append(page)
    if by_value is None:
        show_result(result, as_json=as_json, details=details)
    else:
        _show_by_value(result, by_value)
    for path in written:
        print(f"wrote {printable(str(path), sys.stderr.encoding)}", file=sys.stderr)
    if open_it:
        typer.launch(page.resolve().as_uri())


def _newest(output: Path) -> Path:
    """The newest finished run; stderr names a newer one that is not finished."""
    from clsbench.report.text import printable
    from clsbench.runs.finding import newest, unfinished_after

    run = newest(output).path
    if (later := unfinished_after(output, run)) is not None:
        name = printable(str(later), sys.stderr.encoding)
        print(f"{name} is newer, but not finished: this is the newest finished run", file=sys.stderr)
    return run


def _together(paths: Sequence[Path]) -> "Runs":
    from clsbench.together import read_together

    return read_together(paths)


def _predictions(paths: Sequence[Path]) -> bytes:
    from clsbench.prediction import test_predictions
    from clsbench.report.records_table import rows_as_csv
    from clsbench.runs.directory import RunDirectory

    return rows_as_csv((str(path), [*test_predictions(RunDirectory(path))]) for path in paths)


def _by_value(key: str, result: "Result", together: "Runs | None", *, as_json: bool) -> dict[str, "Across"]:
    """The arms over several comparisons at each value of a setting."""
    from clsbench.analysis.by import across_by
    from clsbench.config.schema import VerdictConfig
    from clsbench.result import trained_plan

    if together is not None:
        raise ConfigError("--by: shows one run; leave the others out")
    if as_json:
        raise ConfigError("--by: shows a page for each value, and --json prints summary.json; leave one of them out")
    summary = result.summary
    rules = summary["rules"] or VerdictConfig().rules
    return across_by(key, trained_plan(result), summary["arms"], summary["data"], rules)


def _show_by_value(result: "Result", found: Mapping[str, "Across"]) -> None:
    """The page over several comparisons, once for each value of a setting."""
    from clsbench.report.compose import by_document
    from clsbench.report.renderers.terminal import show
    from clsbench.report.streams import whole_page

    with whole_page() as console:
        show(by_document(result.summary["name"], found), console)


def _as_tables(result: "Result", together: "Runs | None") -> dict[str, bytes]:
    """The tables of a run, or of several, by file name."""
    from clsbench.report.records_table import rows_as_csv
    from clsbench.report.tidy import latex, tidy
    from clsbench.result import trained_arms
    from clsbench.text import in_utf8

    arms = trained_arms(result) if together is None else {n: arm for n, (_, arm) in together.joined.members.items()}
    rows = tidy(result.summary, arms).items()
    found = {f"{name}.csv": rows_as_csv([(result.summary["name"], each)]) for name, each in rows}
    return found | {f"{name}.tex": in_utf8(text) for name, text in latex(result.summary).items()}


def _table_files(folder: Path, contents: Mapping[str, bytes]) -> dict["Output", bytes]:
    """The files of a folder, with what goes into each; errors as `Output`."""
    from clsbench.report.outputs import TABLES, Output

    _make(folder)
    return {
        Output("--tables", folder / name, TABLES[name.rpartition(".")[2]]): content
        for name, content in contents.items()
    }


def _write_page(result: "Result", together: "Runs | None", file: "Output | None") -> None:
    from clsbench.shown import write_page

    if together is None or file is None:
        write_page(result)
    else:
        file.write(together.page())


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(f"{folder} cannot be made: {error.strerror}; give another DIR", error) from error


def _unwritable(what: str, error: OSError) -> ClsbenchError:
    """A ConfigError if the path is impossible, else a RunError."""
    from clsbench.runs.files import is_no_place

    return ConfigError(what) if is_no_place(error) else RunError(what)
