"""Failures of a verb become one line on stderr and an exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from clsbench.errors import ClsbenchError, ConfigError, ExpectationError, RunError
from clsbench.report.streams import ReaderLeft, prepare_streams, stdout_errors
from clsbench.report.surroundings import lack, require_working_directory, silence_libraries

# Typer keeps its copy of click to itself; this is the base of what it raises for a wrong command line.
UsageProblem: Any = typer.BadParameter.__bases__[0].__bases__[0]


ARGUMENTS = "clsbench.arguments"  # only of this command, not of a program that calls the app


class Interrupted(ClsbenchError):
    """Ctrl-C that Python handles, not `runs.signals`."""

    exit_code = 130


class VerbLeft(Exception):
    """A verb called `sys.exit`, as a user's dataset may; the cause is its `SystemExit`."""


class ExitCodes(TyperGroup):
    """Turns every failure of a verb into one line on stderr and an exit code."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The options of shell completion come last in `--help`."""
        return sorted(super().get_params(ctx), key=lambda option: str(option.name).endswith("_completion"))

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        prepare_streams()
        silence_libraries()
        sys.exit(_exit_code(lambda: super(ExitCodes, self).main(*args, **{**kwargs, "standalone_mode": False})))

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
        except SystemExit as left:
            raise VerbLeft from left
        except KeyboardInterrupt as stop:
            # Typer would exit silently.
            how = _note(stop, "resume it with ")
            kept = f"; the finished epochs are kept, {how}" if how else ""
            raise Interrupted(f"interrupted{kept}") from stop


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
    except SystemExit as left:  # before any verb: shell completion
        return left.code if isinstance(left.code, int) else 0
    except VerbLeft as left:
        return _unforeseen(left.__cause__ or left)
    except Exception as error:
        if isinstance(error, UsageProblem):
            of_verb = f"{error.ctx.info_name} " if error.ctx is not None and error.ctx.parent is not None else ""
            told = error.format_message().replace("Value error, ", "").rstrip(".")  # pydantic's, for a choice
            return _failed(2, _in_one_line(f"{told}; see clsbench {of_verb}--help"))
        return _unforeseen(error)


def _unforeseen(error: BaseException) -> int:
    """A lack of memory or space, else a bug."""
    where = _note(error, "the trace is in ")
    if what := lack(error):
        return _failed(RunError.exit_code, f"{what}{f'; {where}' if where else ''}")
    if where is None:
        traceback.print_exception(error)
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
