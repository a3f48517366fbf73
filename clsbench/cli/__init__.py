"""The command line: verbs that parse, call, print and exit with a code; nothing else.

A verb is a function in a module of this package; it becomes a command here. The modules of verbs do without postponed
annotations: Typer would evaluate them twice for every verb, a tenth of the time that `--help` takes.
"""

from typing import Annotated, NoReturn

import typer

from clsbench import __version__
from clsbench.cli.choices import list_, schema
from clsbench.cli.exits import ExitCodes
from clsbench.cli.explaining import explain
from clsbench.cli.lecture import demo
from clsbench.cli.preparing import compile_, download, init
from clsbench.cli.reporting import report
from clsbench.cli.running import check, run
from clsbench.cli.surfaces import surface
from clsbench.cli.trained import export, predict
from clsbench.report.streams import write

NAME = "clsbench"

app = typer.Typer(
    cls=ExitCodes,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Which classification loss trains better on this data and this model, by how much, and why?",
)


@app.callback(invoke_without_command=True)
def _main(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    if version:
        write(f"clsbench {__version__}\n")
        raise typer.Exit
    if context.invoked_subcommand is None:
        write(context.get_help() + "\n")


# In the order of --help.
app.command()(run)
app.command()(check)
app.command()(report)
app.command()(predict)
app.command()(export)
app.command("list")(list_)
app.command()(schema)
app.command()(explain)
app.command()(surface)
app.command()(demo)
app.command()(init)
app.command()(download)
app.command("compile")(compile_)


def main() -> NoReturn:
    """The command `clsbench`."""
    app(prog_name=NAME)  # of `python -m clsbench` too: completion is installed for this name
    raise AssertionError("the app exits by itself")
