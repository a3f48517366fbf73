"""A run's log, whose errors are those of its other files."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path

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
