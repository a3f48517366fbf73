"""The verbs before the first run: `init`, `download`, `compile`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from clsbench.cli import completion
from clsbench.cli.parameters import Config, Overrides, Plugins, load_plugins
from clsbench.errors import ConfigError
from clsbench.report.streams import console_on, stdout_for_results, whole_page, write


def init(
    file: Annotated[Path | None, typer.Argument(help="The file to write.", show_default="experiment.yaml")] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="NAME",
            help="Start from a shipped config.",
            show_default=False,
            autocompletion=completion.shipped_configs,
        ),
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="List the shipped configs.")] = False,
) -> None:
    """Write an experiment to start from."""
    from clsbench.config.shipped import copy_of, nearest_shipped, shipped, starter, title_of
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
    text = starter() if source is None else copy_of(source, known[source], file)
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


def download(
    dataset: Annotated[
        str,
        typer.Argument(
            help="mnist, fashion_mnist, kmnist, emnist, cifar10 or cifar100.",
            show_default=False,
            autocompletion=completion.downloads,
        ),
    ],
    data_dir: Annotated[
        str | None, typer.Option(help="Where to put it; by default the user's cache.", show_default=False)
    ] = None,
) -> None:
    """Download a dataset, so that later runs need no network."""
    from clsbench.data.vision import fetch

    folder = fetch(dataset, data_dir, progress=sys.stderr.isatty())
    write(f"{dataset} is in {folder}\n")


def compile_(config: Config, overrides: Overrides = None, plugin: Plugins = None) -> None:
    """Compile the steps of an experiment ahead of its run."""
    load_plugins(plugin)
    from clsbench import experiment
    from clsbench.report.progress import Progress, watcher

    asked = experiment.read(config, overrides or ())
    with stdout_for_results(), Progress(console_on(sys.stderr)) as progress:
        is_compiled = experiment.compile_ahead(asked, watcher(progress))
    if is_compiled:
        write(f"compiled: a run of {asked.name} finds its steps in the cache\n")
    else:
        write(f"nothing to compile: the steps of {asked.name} are eager\n")
