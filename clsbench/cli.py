"""The command line: verbs that parse, call, print and exit with a code; nothing else."""

from __future__ import annotations

import itertools
import os
import shlex
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from clsbench import __version__
from clsbench.errors import ClsbenchError, ConfigError, ExpectationError, RunError, TrialError
from clsbench.report.streams import (
    ReaderLeft,
    console_on,
    prepare_streams,
    stdout_errors,
    stdout_for_results,
    whole_page,
    write,
    write_json,
)
from clsbench.report.surroundings import lack, require_working_directory, silence_libraries

if TYPE_CHECKING:
    from clsbench.result import Result


# Typer keeps its copy of click to itself; this is the base of what it raises for a wrong command line.
UsageProblem: Any = typer.BadParameter.__bases__[0].__bases__[0]


ARGUMENTS = "clsbench.arguments"  # only of this command, not of a program that calls the app


class Interrupted(ClsbenchError):
    """Ctrl-C that Python handles, not `runs.signals`."""

    exit_code = 130


class _Group(TyperGroup):
    """Turns every failure of a verb into one line on stderr and an exit code."""

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        prepare_streams()
        silence_libraries()
        sys.exit(_exit_code(lambda: super(_Group, self).main(*args, **{**kwargs, "standalone_mode": False})))

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **extra: Any) -> Any:
        with stdout_errors():
            context = super().make_context(info_name, list(args), *more, **extra)
        context.meta[ARGUMENTS] = tuple(args)
        return context

    def invoke(self, ctx: Any) -> Any:
        try:
            with stdout_errors():
                require_working_directory()
                return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            # Typer would exit silently.
            how = _note(stop, "resume it with ")
            kept = f"; the finished epochs are kept, {how}" if how else ""
            raise Interrupted(f"interrupted{kept}") from stop


app = typer.Typer(
    cls=_Group,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Which classification loss trains better on this data and this model, by how much, and why?",
)

Config = Annotated[
    Path, typer.Argument(help="The experiment: a YAML file, or a shipped config by name.", show_default=False)
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="Settings that replace those of the file.", show_default=False),
]
Plugins = Annotated[
    list[Path] | None,
    typer.Option("--plugin", help="A Python file that registers losses, models or datasets.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


@app.callback(invoke_without_command=True)
def _main(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    if version:
        write(f"clsbench {__version__}\n")
        raise typer.Exit
    if context.invoked_subcommand is None:
        write(context.get_help() + "\n")


@app.command()
def run(
    context: typer.Context,
    config: Annotated[
        str | None,
        typer.Argument(help="The experiment: a YAML file, or a shipped config by name; to resume, it may be left out."),
    ] = None,
    overrides: Overrides = None,
    output: Annotated[Path, typer.Option(help="Where run directories go.")] = Path("runs"),
    resume: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Continue a run that was stopped.", show_default=False)
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Train in N processes, at most one for each core.", show_default=False),
    ] = None,
    plugin: Plugins = None,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    junit: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the expectations and their outcomes as JUnit XML.", show_default=False
        ),
    ] = None,
) -> None:
    """Train every trial; show progress, then curves, tables, verdicts."""
    from clsbench.report.expectations import unmet
    from clsbench.report.failures import failures
    from clsbench.report.junit import as_junit, errors_to, suite_name
    from clsbench.report.outputs import JUNIT, Output

    inputs = [Path(config)] if config is not None else []
    output_file = None if junit is None else Output("--junit", junit, JUNIT, [*inputs, *(plugin or ())])
    with errors_to(output_file, "clsbench"):
        _load_plugins(plugin)
        from clsbench import experiment
        from clsbench.config.plan import plans
        from clsbench.report.progress import Progress, watcher
        from clsbench.result import load

        if resume is not None and config is not None and "=" in config and not os.path.exists(config):
            overrides, config = [config, *(overrides or ())], None
        asked = experiment.read(config, overrides or (), resume)
        total = sum(plan.num_trial_epochs for plan in plans(asked))
    with (
        errors_to(output_file, suite_name(asked.name)),
        stdout_for_results(),
        Progress(console_on(sys.stderr), total, quiet=quiet) as progress,
    ):
        try:
            result = experiment.run(
                asked,
                output=output,
                resume=resume,
                jobs=jobs,
                watch=watcher(progress),
                command_line=context.meta[ARGUMENTS],
            )
        except TrialError as error:  # shown like any other run, and raised again below
            result = load(error.directory)
    try:
        if output_file is not None:
            output_file.write(as_junit(result.summary))
    finally:
        with suppress(ReaderLeft), stdout_errors():  # the exit code reports expectations even if stdout is closed
            _show([result], as_json)
    if failed := failures(result.summary):
        raise TrialError(f"{failed}; the trace is in {result.directory / 'run.log'}", result.directory)
    if missed := unmet(result.summary):
        raise ExpectationError(*missed)


@app.command()
def check(
    config: Config,
    overrides: Overrides = None,
    plugin: Plugins = None,
    data: Annotated[bool, typer.Option("--data", help="Open the data too, and print what was read.")] = False,
) -> None:
    """Validate an experiment and print its plan."""
    _load_plugins(plugin)
    from clsbench import experiment
    from clsbench.config.plan import make_plan
    from clsbench.report.renderers.listing import show_plan

    plan = make_plan(experiment.read(config, overrides or ()))
    read = experiment.read_data(plan) if data else None
    with whole_page() as console:
        show_plan(console, plan)
        if read is not None:
            from clsbench.report.compose import data_document
            from clsbench.report.renderers.terminal import show

            write("\n")
            show(data_document(plan.experiment.name, *read), console)


@app.command()
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
    as_json: AsJson = False,
) -> None:
    """Show runs again: curves, tables, files."""
    from clsbench import experiment
    from clsbench.report.outputs import RECORDS, Output, require_replaceable_figures
    from clsbench.report.records_table import as_csv, rows_as_csv
    from clsbench.report.text import printable
    from clsbench.result import load
    from clsbench.runs.directory import RunDirectory, newest

    results = [load(path) for path in runs or [newest(Path("runs")).path]]
    table_file = None if table is None else Output("--csv", table, RECORDS)
    predicted_file = None if predictions is None else Output("--predictions", predictions, RECORDS)
    folders = [] if png is None else _folders_for(png, results)
    for folder in folders:
        require_replaceable_figures(folder)
    written: list[Path] = []
    for result, folder in zip(results, folders, strict=False):  # no folders without --png
        _make(folder)
        written += experiment.draw(result, folder)
    if table_file is not None:
        table_file.write(as_csv((str(result.directory), result.records) for result in results))
        written.append(table_file.path)
    if predicted_file is not None:
        from clsbench.prediction import test_predictions

        predicted_file.write(
            rows_as_csv((str(r.directory), [*test_predictions(RunDirectory(r.directory))]) for r in results)
        )
        written.append(predicted_file.path)
    _show(results, as_json)
    for path in written:
        print(f"wrote {printable(str(path), sys.stderr.encoding)}", file=sys.stderr)


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.", show_default=False)],
    trial_and_input: Annotated[
        list[str],
        typer.Argument(
            metavar="[TRIAL] INPUT",
            help="The number of a trial, by default the best on validation data; a table, an image or a folder.",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write CSV there, not to stdout.", show_default=False)
    ] = None,
    plugin: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Predict the class of each new sample."""
    from clsbench.report.outputs import RECORDS, Output

    *numbers, source = trial_and_input
    if len(numbers) > 1 or not all(number.isdecimal() for number in numbers):
        raise ConfigError(f"{shlex.join(trial_and_input)}: give the number of a trial, and one INPUT")
    file = None if output is None else Output("--output", output, RECORDS, [Path(source)])
    _load_plugins(plugin)
    from clsbench.prediction import best_trial, predict_input
    from clsbench.report.records_table import rows_as_csv

    trial = int(numbers[0]) if numbers else best_trial(run)
    rows = predict_input(run, trial, source)
    if as_json:
        write_json(rows)
    elif file is None:
        write(rows_as_csv([(str(run), rows)]).decode())
    else:
        file.write(rows_as_csv([(str(run), rows)]))
        write(f"wrote {file.path}: {len(rows)} samples, by trial {trial}\n")


@app.command()
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.", show_default=False)],
    trial: Annotated[int, typer.Argument(metavar="TRIAL", help="The number of the trial.", show_default=False)],
    file: Annotated[Path, typer.Argument(metavar="FILE.pt2", help="The file to write.", show_default=False)],
    plugin: Plugins = None,
) -> None:
    """Write a trained network to a file, for torch.export.load."""
    from clsbench.report.outputs import PROGRAM, Output

    output = Output("FILE.pt2", file, PROGRAM)
    _load_plugins(plugin)
    from clsbench.export import exported, inputs_of
    from clsbench.prediction import predictors, samples_tested
    from clsbench.runs.directory import RunDirectory

    directory = RunDirectory(run)
    ((asked, predictor),) = predictors(directory, [trial])
    samples = inputs_of(samples_tested(directory, asked, predictor))
    output.write(exported(predictor, samples))
    shape = ", ".join(map(str, samples.shape[1:]))
    write(f"wrote {file}: {str(samples.dtype).removeprefix('torch.')} [N, {shape}] to {predictor.gives}\n")


@app.command("list")
def list_(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[KIND | NAME | KEY]",
            help="datasets, models, losses, optimizers, metrics, one of them, or a key of a config.",
            show_default=False,
        ),
    ] = None,
    plugin: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """List what there is to choose from, one with its options, or a key."""
    _load_plugins(plugin)
    import clsbench.experiment  # noqa: F401 - registers all that there is
    from clsbench.config.json_schema import keys_named
    from clsbench.registry import KINDS, catalogue, nearest
    from clsbench.report.renderers import listing

    kind = listing.kind_named(what) if what else None
    kinds = [kind] if kind else KINDS
    specs = [spec for k in kinds for spec in catalogue.all(k)]
    keys, key_names = keys_named(what or "")
    if what and not kind:
        known = [*map(listing.plural, KINDS), *(n for c in specs for n in (c.name, *c.aliases)), *key_names]
        specs = [c for c in specs if what in (c.name, *c.aliases)]
        if not specs and not keys:
            near = nearest(what, known)
            hint = f"did you mean {near!r}?" if near else "`clsbench list` shows all there are"
            raise ConfigError(f"unknown name {what!r}; {hint}")
    if as_json:
        write_json(listing.catalogue_data(specs) if specs else listing.keys_data(keys))
        return
    with whole_page() as console:
        if kind or not what:
            listing.show_kinds(console, kinds)
        for spec in specs if what and not kind else ():
            listing.show_spec(console, spec)
        listing.show_keys(console, keys)


@app.command()
def schema(plugin: Plugins = None) -> None:
    """Print JSON Schema of the experiment file, for editors."""
    _load_plugins(plugin)
    from clsbench.config.json_schema import experiment_schema

    write_json(experiment_schema())


@app.command()
def explain(
    logits: Annotated[str, typer.Option(metavar="Z0,Z1,...", help="One logit per class.", show_default=False)],
    target: Annotated[int, typer.Option(metavar="N", help="The true class, numbered from 0.", show_default=False)],
) -> None:
    """Show one sample under every loss, with gradients."""
    values = _numbers(logits)
    if not 0 <= target < len(values):
        raise ConfigError(f"--target: must be a class number from 0 to {len(values) - 1}, got {target}")
    import clsbench.losses  # noqa: F401 - registers the losses
    from clsbench.analysis.explanation import explain as explained
    from clsbench.report.renderers.listing import show_explanation

    with whole_page() as console:
        show_explanation(console, explained(values, target))


@app.command()
def init(
    file: Annotated[Path | None, typer.Argument(help="The file to write.", show_default="experiment.yaml")] = None,
    source: Annotated[
        str | None,
        typer.Option("--from", metavar="NAME", help="Start from a shipped config.", show_default=False),
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="List the shipped configs.")] = False,
) -> None:
    """Write an experiment to start from."""
    from importlib.resources import files

    from clsbench.config.shipped import copy_of, nearest_shipped, shipped, title_of
    from clsbench.report.renderers.listing import show_shipped

    known = shipped()
    if listing:
        with whole_page() as console:
            show_shipped(console, {name: title_of(path) for name, path in known.items()})
        return
    if source is not None and source not in known:
        near = nearest_shipped(source)
        hint = f"did you mean {near!r}?" if near else "`clsbench init --list` shows all there are"
        raise ConfigError(f"--from: unknown config {source!r}; {hint}")
    file = file or Path(f"{Path(source).name}.yaml" if source else "experiment.yaml")
    if source is None:
        text = files("clsbench.config").joinpath("starter.yaml").read_text(encoding="utf-8")
    else:
        text = copy_of(source, known[source], file)
    try:
        with open(file, "x", encoding="utf-8") as new:
            new.write(text)
    except FileExistsError:
        raise ConfigError(f"{file} exists already; give another name: clsbench init FILE") from None
    except OSError as error:
        raise ConfigError(
            f"{file} cannot be written: {error.strerror}; give another name: clsbench init FILE"
        ) from None
    write(f"wrote {file}; next: clsbench run {file}\n")


@app.command()
def download(
    dataset: Annotated[
        str, typer.Argument(help="mnist, fashion_mnist, kmnist, emnist, cifar10 or cifar100.", show_default=False)
    ],
    data_dir: Annotated[
        str | None, typer.Option(help="Where to put it; by default the user's cache.", show_default=False)
    ] = None,
) -> None:
    """Download a dataset, so that later runs need no network."""
    from clsbench.data.vision import fetch

    folder = fetch(dataset, data_dir, progress=sys.stderr.isatty())
    write(f"{dataset} is in {folder}\n")


def main() -> NoReturn:
    """The command `clsbench`."""
    app()
    raise AssertionError("the app exits by itself")


def _exit_code(verb: Callable[[], Any]) -> int:
    try:
        code = verb()
        return code if isinstance(code, int) else 0
    except ReaderLeft:
        return 0
    except ConfigError as error:
        return _failed(error.exit_code, *error.mistakes)
    except ExpectationError as error:
        return _failed(error.exit_code, *error.unmet)
    except ClsbenchError as error:
        return _failed(error.exit_code, str(error))
    except (Exception, SystemExit) as error:  # a user's dataset may call sys.exit
        if isinstance(error, UsageProblem):
            of_verb = f"{error.ctx.info_name} " if error.ctx is not None and error.ctx.parent is not None else ""
            return _failed(2, _in_one_line(f"{error.format_message().rstrip('.')}; see clsbench {of_verb}--help"))
        where = _note(error, "the trace is in ")
        if what := lack(error):
            return _failed(RunError.exit_code, f"{what}{f'; {where}' if where else ''}")
        if where is None:
            traceback.print_exc()
        what = _in_one_line(f"{type(error).__name__}: {error}")
        return _failed(1, f"a bug: {what}; {where or 'the trace is above'}; please report it")


def _note(error: BaseException, start: str) -> str | None:
    """The notes that a run adds to an error; other libraries add notes too."""
    return next((note for note in getattr(error, "__notes__", ()) if note.startswith(start)), None)


def _in_one_line(text: str) -> str:
    return " ".join(text.split())


def _failed(code: int, *mistakes: str) -> int:
    from clsbench.report.text import printable

    with suppress(OSError):  # the exit code tells it, too
        for mistake in mistakes:
            print(f"error: {printable(mistake, sys.stderr.encoding)}", file=sys.stderr)
    return code


def _show(results: list[Result], as_json: bool) -> None:
    if as_json:
        summaries = [result.summary for result in results]
        write_json(summaries[0] if len(summaries) == 1 else summaries)
        return
    from clsbench.report.compose import run_document
    from clsbench.report.renderers.terminal import show

    with whole_page() as console:
        for result in results:
            files = [str(path) for path in _kept(result.directory)]
            show(run_document(result.records, result.summary, files), console)


def _kept(directory: Path) -> list[Path]:
    from clsbench.report.outputs import FIGURE_NAMES

    names = ("summary.json", "metrics.jsonl", "tuning.jsonl", *FIGURE_NAMES, "config.yaml")
    return [directory / name for name in names if (directory / name).exists()]


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


def _load_plugins(paths: list[Path] | None) -> None:
    import clsbench.experiment  # noqa: F401 - what clsbench brings is registered first
    from clsbench.registry import load_installed_plugins, load_plugin

    with stdout_for_results():
        load_installed_plugins()
        for path in paths or ():
            load_plugin(path)


def _numbers(text: str) -> list[float]:
    from clsbench.config.yaml_text import shown

    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) < 2 or not all(abs(value) < float("inf") for value in values):
        rule = "must be at least two finite numbers with commas between"
        raise ConfigError(f"--logits: {rule}, got {shown(text)}; as in --logits=2,3,5,0")
    return values
