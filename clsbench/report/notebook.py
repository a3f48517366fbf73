"""Training's progress in a notebook: one line under the cell, which is rewritten."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Self

from clsbench.report.growing import Growing
from clsbench.report.progress import SECONDS_BETWEEN_FRAMES, line_of
from clsbench.report.text import duration


def in_notebook() -> bool:
    """Whether this is a notebook's kernel."""
    return getattr(shell(), "kernel", None) is not None


def shell() -> Any:
    """IPython's shell; None outside of IPython."""
    return getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()


class NotebookProgress:
    """Counts trial-epochs up to `total`, as `Progress` does on a terminal."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._started = self._shown = time.monotonic()
        self._place: Any = None

    def __enter__(self) -> Self:
        from IPython.display import display

        self._place = display({"text/plain": "training"}, raw=True, display_id=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        took = duration(time.monotonic() - self._started)
        self._show(f"{self._done} of {self._total} trial-epochs in {took}")

    def advance(self, trial_epochs: int, text: str) -> None:
        """Count `trial_epochs` more as done; `text` says what is going on."""
        self._done += trial_epochs
        now = time.monotonic()
        if now - self._shown >= SECONDS_BETWEEN_FRAMES:
            self._shown = now
            self._show(line_of(self._done, self._total, now - self._started, text))

    def expect(self, trial_epochs: int) -> None:
        """There are so many more to do than the total says."""
        self._total += trial_epochs

    def grow(self, growing: Growing) -> None:
        """A cell has its curves at the end, beside the table."""

    def say(self, text: str) -> None:
        """Print a message once."""
        self.warn(text)

    def warn(self, text: str) -> None:
        """Print a warning."""
        print(text, file=sys.stderr)

    def _show(self, line: str) -> None:
        self._place.update({"text/plain": line}, raw=True)
