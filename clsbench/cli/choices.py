"""The verbs that say what there is to choose from: `list`, `schema`."""

from typing import Annotated

import typer

from clsbench.cli import completion
from clsbench.cli.parameters import AsJson, Plugins, load_plugins
from clsbench.errors import ConfigError
from clsbench.report.streams import whole_page, write_json


def list_(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[KIND | NAME | KEY]",
            help="problems, datasets, models, losses, optimizers, metrics, one of them, or a key of a config.",
            show_default=False,
            autocompletion=completion.listed,
        ),
    ] = None,
    plugin: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """List what there is to choose from, one with its options, or a key."""
    load_plugins(plugin)
    import clsbench.experiment  # noqa: F401 - registers all that there is
    from clsbench.config.json_schema import keys_named
    from clsbench.problems import KINDS as PROBLEMS
    from clsbench.registry import catalogue, nearest
    from clsbench.report.renderers import listing

    kind = listing.kind_named(what) if what else None
    kinds = [kind] if kind else listing.LISTED
    problems = list(PROBLEMS.values()) if "problem" in kinds else []
    specs = [spec for k in kinds if k != "problem" for spec in catalogue.all(k)]
    keys, key_names = keys_named(what or "")
    if what and not kind:
        names = [*PROBLEMS, *(n for c in specs for n in (c.name, *c.aliases))]
        known = [*map(listing.plural, kinds), *names, *key_names]
        problems = [each for each in problems if what == each.kind]
        specs = [c for c in specs if what in (c.name, *c.aliases)]
        if not problems and not specs and not keys:
            near = nearest(what, known)
            hint = f"did you mean {near!r}?" if near else "`clsbench list` shows all there are"
            raise ConfigError(f"unknown name {what!r}; {hint}")
    if as_json:
        found = [*listing.problems_data(problems), *listing.catalogue_data(specs)]
        write_json(found or listing.keys_data(keys))
        return
    with whole_page() as console:
        if kind or not what:
            listing.show_kinds(console, kinds)
        for problem in problems if what and not kind else ():
            listing.show_problem(console, problem)
        for spec in specs if what and not kind else ():
            listing.show_spec(console, spec)
        listing.show_keys(console, keys)


def schema(plugin: Plugins = None) -> None:
    """Print JSON Schema of the experiment file, for editors."""
    load_plugins(plugin)
    from clsbench.config.json_schema import experiment_schema

    write_json(experiment_schema())
