"""The verbs that read an experiment: `run`, `check`."""

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from clsbench.cli import completion
from clsbench.cli.exits import ARGUMENTS
from clsbench.cli.parameters import AsJson, Config, Details, Overrides, Plugins, load_plugins
from clsbench.cli.showing import show_answer, show_end
from clsbench.errors import ExpectationError, TrialError
from clsbench.execution import RETRIES, Executor
from clsbench.report.streams import (
    ReaderLeft,
    console_on,
    stdout_errors,
    stdout_for_results,
    whole_page,
    write,
    write_json,
)

if TYPE_CHECKING:
    from clsbench.result import Result


def run(
    context: typer.Context,
    config: Annotated[
        str | None,
        typer.Argument(
            help="The experiment: a YAML file, or a shipped config by name; to resume, it may be left out.",
            autocompletion=completion.configs,
        ),
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
    executor: Annotated[
        Executor, typer.Option(help="Train in processes of this machine, or on a Ray cluster.")
    ] = "local",
    ray_address: Annotated[
        str | None,
        typer.Option(
            metavar="HOST:PORT",
            help="The Ray cluster, or auto; without it, RAY_ADDRESS, or a new one here.",
            show_default=False,
        ),
    ] = None,
    retries: Annotated[
        int, typer.Option(metavar="N", min=0, help="Try a trial N times again when its process or node is lost.")
    ] = RETRIES,
    plugin: Plugins = None,
    details: Details = False,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
    junit: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write the expectations and their outcomes as JUnit XML.", show_default=False
        ),
    ] = None,
) -> None:
    """Train every trial; show progress, then the answer."""
    from clsbench.execution.workers import Workers
    from clsbench.report.expectations import unmet
    from clsbench.report.failures import failures
    from clsbench.report.junit import as_junit, errors_to, suite_name
    from clsbench.report.outputs import JUNIT, Output

    inputs = [Path(config)] if config is not None else []
    output_file = None if junit is None else Output("--junit", junit, JUNIT, [*inputs, *(plugin or ())])
    with errors_to(output_file, "clsbench"):
        workers = Workers(jobs, executor, ray_address, retries)
        load_plugins(plugin)
        from clsbench import experiment
        from clsbench.clock import Clock
        from clsbench.config.plan import plans
        from clsbench.report.progress import Progress, watcher
        from clsbench.runs.signals import kept_in
        from clsbench.shown import drawer, drawing

        if resume is not None and config is not None and "=" in config and not os.path.exists(config):
            overrides, config = [config, *(overrides or ())], None
        asked = experiment.read(config, overrides or (), resume)
        total = sum(plan.num_trial_epochs for plan in plans(asked))
    suite = suite_name(asked.name)
    with drawer(asked.report) as draw_of:  # forked before PyTorch is imported, it imports matplotlib meanwhile
        with (
            errors_to(output_file, suite),
            stdout_for_results(),
            Progress(console_on(sys.stderr), total, quiet=quiet) as progress,
        ):
            result = experiment.train(
                asked,
                Clock(of_command=True),
                output=output,
                resume=resume,
                workers=workers,
                watch=watcher(progress),
                command_line=context.meta[ARGUMENTS],
            )
        with kept_in(result.directory):
            finish_drawing = drawing(result, asked, draw_of)
            try:
                if output_file is not None:
                    output_file.write(as_junit(result.summary))
            finally:
                while_drawing = errors_to(output_file, suite)
                _show(result, finish_drawing, while_drawing, as_json=as_json, details=details, quiet=quiet)
    if failed := failures(result.summary):
        raise TrialError(f"{failed}; the trace is in {result.directory / 'run.log'}", result.directory)
    if missed := unmet(result.summary):
        raise ExpectationError(*missed)


def _show(
    result: "Result",
    finish_drawing: Callable[[], "Result"],
    while_drawing: AbstractContextManager[None],
    *,
    as_json: bool,
    details: bool,
    quiet: bool,
) -> None:
    """The answer, then how long the run took and its files: once they are drawn. A failed drawing costs no answer."""
    from clsbench.report.progress import Progress

    try:
        if not as_json:
            with suppress(ReaderLeft), stdout_errors():  # the exit code reports expectations even so
                show_answer(result, details=details)
    finally:
        try:
            with while_drawing, stdout_for_results(), Progress(console_on(sys.stderr), quiet=quiet) as progress:
                progress.advance(0, "drawing")
                result = finish_drawing()
        finally:
            if as_json:
                with suppress(ReaderLeft), stdout_errors():
                    write_json(result.summary)
        if not as_json:
            with suppress(ReaderLeft), stdout_errors():
                show_end(result, details=details)


def check(
    config: Config,
    overrides: Overrides = None,
    plugin: Plugins = None,
    data: Annotated[bool, typer.Option("--data", help="Open the data too, and print what was read.")] = False,
) -> None:
    """Validate an experiment and print its plan."""
    load_plugins(plugin)
    from clsbench import experiment
    from clsbench.config.plan import plans
    from clsbench.report.renderers.plan import show_plan

    *tuning, plan = plans(experiment.read(config, overrides or ()))
    read = None
    if data:
        from clsbench.data.progress import told_to
        from clsbench.report.progress import Progress

        with Progress(console_on(sys.stderr)) as progress, told_to(lambda text: progress.advance(0, text)):
            plan, summaries, warnings = experiment.read_data(plan)
        read = summaries, warnings
    with whole_page() as console:
        show_plan(console, [*tuning, plan])
        if read is not None:
            from clsbench.report.compose import data_document
            from clsbench.report.renderers.terminal import show

            write("\n")
            show(data_document(plan.experiment.name, *read), console)
