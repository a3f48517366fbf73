"""Arguments and options that several verbs take."""

from pathlib import Path
from typing import Annotated

import typer

from clsbench.cli import completion
from clsbench.errors import ConfigError
from clsbench.report.streams import stdout_for_results

Config = Annotated[
    Path,
    typer.Argument(
        help="The experiment: a YAML file, or a shipped config by name.",
        show_default=False,
        autocompletion=completion.configs,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Settings that replace those of the file.",
        show_default=False,
        autocompletion=completion.overrides,
    ),
]
Plugins = Annotated[
    list[Path] | None,
    typer.Option("--plugin", help="A Python file that registers losses, models or datasets.", show_default=False),
]
Details = Annotated[bool, typer.Option("--details", help="Print every table and curve.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


def load_plugins(paths: list[Path] | None) -> None:
    import clsbench.experiment  # noqa: F401 - what clsbench brings is registered first
    from clsbench.registry import load_installed_plugins, load_plugin

    with stdout_for_results():
        load_installed_plugins()
        for path in paths or ():
            load_plugin(path)


def numbers(option: str, text: str, amount: int | None = None) -> list[float]:
    """Finite numbers with commas between: so many, or at least two.

    Raises:
        ConfigError: the text is something else.
    """
    from clsbench.config.yaml_text import shown

    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    fits = len(values) >= 2 if amount is None else len(values) == amount
    if not fits or not all(abs(value) < float("inf") for value in values):
        many = "at least two" if amount is None else "two"
        example = "2,3,5,0" if amount is None else "-10,10"
        rule = f"must be {many} finite numbers with commas between"
        raise ConfigError(f"{option}: {rule}, got {shown(text)}; as in {option}={example}")
    return values
