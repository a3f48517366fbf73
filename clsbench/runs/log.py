"""A run's log, whose errors are those of its other files."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path

from clsbench.errors import RunError
from clsbench.runs.files import opened, unwritable
from clsbench.text import UTF8


class RunLog(logging.FileHandler):
    """Writes `run.log`.

    Raises:
        RunError: by the call that logs, if it cannot be written; the standard library would print a traceback.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8")
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))

    def _open(self) -> TextIOWrapper:
        """Called by the standard library to open the file; this one follows no links."""
        return opened(Path(self.baseFilename), "a", sole=True, encoding="utf-8", errors=UTF8)  # type: ignore[return-value]

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name that `logging` calls
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            raise unwritable(Path(self.baseFilename), error) from error
        super().handleError(record)

    def close(self) -> None:
        with suppress(OSError):  # of lines already reported as lost
            super().close()


@contextmanager
def logged(run: Path) -> Iterator[None]:
    """In this block, log messages go to the `run.log` of a run, and so does the traceback of an error.

    Raises:
        RunError: the log cannot be opened, or memory ran out in the block; calls that log raise the same if it cannot
            be written.
    """
    try:
        handler = RunLog(run / "run.log")
    except OSError as error:
        raise unwritable(run / "run.log", error) from error
    log = logging.getLogger("clsbench")
    log.addHandler(handler)
    level, propagates = log.level, log.propagate
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    except KeyboardInterrupt as stop:
        with suppress(RunError):
            log.warning("interrupted")
        stop.add_note(f"resume it with clsbench run --resume {run}")
        raise
    except BaseException as error:
        with suppress(RunError):  # a log that cannot be written must not hide the error
            log.exception("the run ended early")
        _raise_if_out_of_memory(error, run)
        lacks_room = isinstance(error, RunError) and isinstance(error.__cause__, OSError) and run.is_dir()
        how, where = f"resume it with clsbench run --resume {run}", f"the trace is in {run / 'run.log'}"
        error.add_note(how if lacks_room else where)
        raise
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = propagates
        handler.close()


def _raise_if_out_of_memory(error: BaseException, run: Path) -> None:
    from clsbench.execution.failures import is_out_of_memory

    if is_out_of_memory(error):
        raise RunError(
            "out of memory between trials; the finished epochs are kept; use a smaller train.stack or more memory, and "
            f"resume it with clsbench run --resume {run}"
        ) from error
