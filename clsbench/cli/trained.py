"""The verbs that use a trained network: `predict`, `export`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from clsbench.cli.parameters import AsJson, Plugins, load_plugins
from clsbench.errors import ConfigError
from clsbench.report.streams import write, write_json


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
    import shlex

    from clsbench.report.outputs import RECORDS, Output

    *numbers, source = trial_and_input
    if len(numbers) > 1 or not all(number.isdecimal() for number in numbers):
        raise ConfigError(f"{shlex.join(trial_and_input)}: give the number of a trial, and one INPUT")
    file = None if output is None else Output("--output", output, RECORDS, [Path(source)])
    load_plugins(plugin)
    from clsbench.prediction import best_trial, predict_input
    from clsbench.report.records_table import rows_as_csv
    from clsbench.report.text import printable

    trial = int(numbers[0]) if numbers else best_trial(run)
    rows, warnings = predict_input(run, trial, source)
    for warning in warnings:
        print(f"warning: {printable(warning, sys.stderr.encoding)}", file=sys.stderr)
    if as_json:
        write_json(rows)
    elif file is None:
        write(rows_as_csv([(str(run), rows)]).decode())
    else:
        file.write(rows_as_csv([(str(run), rows)]))
        write(f"wrote {file.path}: {len(rows)} samples, by trial {trial}\n")


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.", show_default=False)],
    trial: Annotated[int, typer.Argument(metavar="TRIAL", help="The number of the trial.", show_default=False)],
    file: Annotated[Path, typer.Argument(metavar="FILE.pt2", help="The file to write.", show_default=False)],
    plugin: Plugins = None,
) -> None:
    """Write a trained network to a file, for torch.export.load."""
    from clsbench.report.outputs import PROGRAM, Output

    output = Output("FILE.pt2", file, PROGRAM)
    load_plugins(plugin)
    from clsbench.export import exported, inputs_of
    from clsbench.prediction import predictors, samples_tested
    from clsbench.runs.directory import RunDirectory

    directory = RunDirectory(run)
    ((asked, predictor),) = predictors(directory, [trial])
    samples = inputs_of(samples_tested(directory, asked, predictor))
    output.write(exported(predictor, samples))
    shape = ", ".join(map(str, samples.shape[1:]))
    write(f"wrote {file}: {str(samples.dtype).removeprefix('torch.')} [N, {shape}] to {predictor.gives}\n")
