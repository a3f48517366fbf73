"""Progress on a terminal, off one, and when nobody wants it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from clsbench.report import progress
from clsbench.report.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_off_a_terminal_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """One plain line per interval, with the share done and the time left, and never a carriage return."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    file = io.StringIO()
    with Progress(Console(file=file, width=20), 100) as bar:
        for _ in range(50):
            now[0] += 0.5
            bar.advance(1, "a [b]\nlong name that would not fit")
    first, second = file.getvalue().splitlines()
    assert r" 20% of 100 trial-epochs, 40 s left: a [b]\nlong name that would not fit" == first
    assert second.startswith(" 40% of 100 trial-epochs, 30 s left")
    assert not set("\x1b\r") & set(file.getvalue())


def test_progress_on_a_terminal_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal sees a bar with its share and its text, escape codes of a name not among them."""
    monkeypatch.setenv("TERM", "xterm")
    file = Terminal()
    with Progress(Console(file=file, width=100, force_terminal=True), 4) as bar:
        bar.advance(4, "arm \x1b[31m")
    assert "100%" in file.getvalue()
    assert r"arm \x1b[31m" in file.getvalue()


@pytest.mark.parametrize("dumb", [True, False])
def test_progress_is_quiet_when_asked_and_still_on_a_dumb_terminal(monkeypatch: pytest.MonkeyPatch, dumb: bool) -> None:
    """Quiet prints nothing; a terminal that cannot move its cursor gets no animation."""
    monkeypatch.setenv("TERM", "dumb" if dumb else "xterm")
    file = Terminal()
    with Progress(Console(file=file, force_terminal=True), 4, quiet=not dumb) as bar:
        bar.advance(4, "arm")
    assert "" == file.getvalue()


def test_progress_in_one_column(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of one column is no reason to fail."""
    monkeypatch.setenv("TERM", "xterm")
    with Progress(Console(file=Terminal(), width=1, force_terminal=True), 0) as bar:
        bar.advance(0, "arm")
