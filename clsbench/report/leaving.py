"""Failures become one line on stderr and an exit code."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from clsbench.errors import ClsbenchError, ConfigError, ExpectationError, RunError
from clsbench.report.streams import ReaderLeft, stdout_errors
from clsbench.report.surroundings import lack, require_working_directory


class Interrupted(ClsbenchError):
    """Ctrl-C that Python handles, not `runs.signals`."""

    exit_code = 130


class VerbLeft(Exception):
    """A verb called `sys.exit`, as a user's dataset may; the cause is its `SystemExit`."""


def obeyed(verb: Callable[[], Any]) -> Any:
    """What a verb returns, in a working directory that exists.

    Raises:
        ReaderLeft, ClsbenchError, VerbLeft: as the code of `exit_code` needs them.
    """
    try:
        with stdout_errors():
            require_working_directory()
            return verb()
    except SystemExit as left:
        raise VerbLeft from left
    except KeyboardInterrupt as stop:
        # Typer would exit silently.
        raise Interrupted(f"interrupted{_to_go_on(stop)}") from stop


def exit_code(verb: Callable[[], Any], mistaken: Callable[[Exception], str | None] = lambda error: None) -> int:
    """The code to leave with; a failure has been told on stderr.

    Args:
        verb: what to do.
        mistaken: of an error, what is wrong with the command line; None if it is another.
    """
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
        return _failed(error.exit_code, f"{error}{_to_go_on(error)}")
    except SystemExit as left:  # before any verb: shell completion
        return left.code if isinstance(left.code, int) else 0
    except VerbLeft as left:
        return _unforeseen(left.__cause__ or left)
    except Exception as error:
        mistake = mistaken(error)
        return _unforeseen(error) if mistake is None else _failed(2, _in_one_line(mistake))


def _unforeseen(error: BaseException) -> int:
    """A lack of memory or space, else a bug."""
    where = _note(error, "the trace is in ")
    if what := lack(error):
        return _failed(RunError.exit_code, f"{what}{f'; {where}' if where else ''}")
    if where is None:
        traceback.print_exception(error)
    what = _in_one_line(f"{type(error).__name__}: {error}")
    return _failed(1, f"a bug: {what}; {where or 'the trace is above'}; please report it")


def _to_go_on(error: BaseException) -> str:
    """How a run that it ended goes on, if a run was begun."""
    how = _note(error, "resume it with ")
    return f"; the finished epochs are kept, {how}" if how else ""


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
