"""The group of verbs: failures become one line on stderr and an exit code, wrong command lines among them."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from clsbench.report.leaving import exit_code, obeyed
from clsbench.report.streams import prepare_streams, stdout_errors
from clsbench.report.surroundings import silence_libraries

# Typer keeps its copy of click to itself; this is the base of what it raises for a wrong command line.
UsageProblem: Any = typer.BadParameter.__bases__[0].__bases__[0]


ARGUMENTS = "clsbench.arguments"  # only of this command, not of a program that calls the app


class ExitCodes(TyperGroup):
    """Turns every failure of a verb into one line on stderr and an exit code."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The options of shell completion come last in `--help`."""
        return sorted(super().get_params(ctx), key=lambda option: str(option.name).endswith("_completion"))

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        prepare_streams()
        verb = super().main
        sys.exit(exit_code(lambda: verb(*args, **{**kwargs, "standalone_mode": False}), _mistaken))

    def make_context(self, info_name: str | None, args: list[str], *more: Any, **extra: Any) -> Any:
        with stdout_errors():
            context = super().make_context(info_name, list(args), *more, **extra)
        context.meta[ARGUMENTS] = tuple(args)
        return context

    def invoke(self, ctx: Any) -> Any:
        silence_libraries()
        verb = super().invoke
        return obeyed(lambda: verb(ctx))


def _mistaken(error: Exception) -> str | None:
    if not isinstance(error, UsageProblem):
        return None
    of_verb = f"{error.ctx.info_name} " if error.ctx is not None and error.ctx.parent is not None else ""
    told = error.format_message().replace("Value error, ", "").rstrip(".")  # pydantic's, for a choice
    return f"{told}; see clsbench {of_verb}--help"
