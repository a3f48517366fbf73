"""Progress on a terminal, off one, and when nobody wants it."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

import clsbench
from clsbench.execution.events import EpochDone
from clsbench.report import progress
from clsbench.report.growing import Growing
from clsbench.report.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that have passed, for a test to move on."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_progress_off_a_terminal_is_a_line_now_and_then(clock: list[float]) -> None:
    """One plain line per interval, with the share done and the time left, and never a carriage return."""
    file = io.StringIO()
    with Progress(Console(file=file, width=20), 100) as bar:
        for _ in range(50):
            clock[0] += 0.5
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


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Growing, clsbench.Result]:
    """A run of two seeds and three arms, and what grew while it trained."""
    growing = Growing()
    tree = {
        "dataset": {"name": "moons", "samples": 60, "split_seed": "per_seed"},
        "model": "linear",
        "loss": ["cross_entropy", "mse_softmax"],
        "optimizer": {"name": "sgd", "lr": 0.1},
        "train": {"epochs": 4, "seeds": 2, "device": "cpu", "compile": "off"},
        "tune": {"grid": {"lr": [0.1, 0.5]}, "seeds": 1},
        "report": "off",
    }
    output = tmp_path_factory.mktemp("runs")
    watch = lambda plan, event: growing.add(plan, event) if isinstance(event, EpochDone) else None  # noqa: E731
    return growing, clsbench.run(tree, output=output, watch=watch)


def test_grown_curves_are_those_of_the_run(grown: tuple[Growing, clsbench.Result]) -> None:
    """At the end each line has the means over seeds that the run reports, from epoch 0 on; tuning is not among them."""
    growing, result = grown
    curves = growing.curves()
    assert curves is not None
    expected = {arm: [] for arm in ("cross_entropy", "mse_softmax")}
    for row in result.curves("test_accuracy"):
        expected[row["arm"]].append((row["epoch"], pytest.approx(row["mean"])))
    found = {line.arm.name: [*zip(line.x, line.y, strict=True)] for line in curves.series}
    assert expected == found
    assert ("test_accuracy", 4) == (curves.metric, curves.x.end)


@pytest.mark.parametrize(("seconds", "shows"), [(1.0, False), (5.0, True)])
def test_curves_grow_under_a_bar_that_lasts(
    grown: tuple[Growing, clsbench.Result],
    clock: list[float],
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    shows: bool,
) -> None:
    """After some seconds they are under the bar, and their last state stays when the bar is gone; before, nothing."""
    monkeypatch.setenv("TERM", "xterm")
    file = Terminal()
    with Progress(Console(file=file, width=80, height=24, force_terminal=True, color_system=None), 4) as bar:
        clock[0] += seconds
        bar.grow(grown[0])
        bar.advance(1, "an arm")
        during = file.getvalue()
    legend = "test accuracy by epoch:  A cross_entropy  B mse_softmax"
    assert shows == (legend in during)
    last = file.getvalue()[len(during) :]
    assert shows == (legend in last)
    assert not shows or "an arm" not in last


@pytest.mark.parametrize("height", [24, 8])
def test_nothing_grows_where_nothing_moves(
    grown: tuple[Growing, clsbench.Result], clock: list[float], monkeypatch: pytest.MonkeyPatch, height: int
) -> None:
    """Off a terminal, and on one that is too low, there are no curves."""
    monkeypatch.setenv("TERM", "xterm")
    file = Terminal() if height == 8 else io.StringIO()
    with Progress(Console(file=file, width=80, height=height, force_terminal=height == 8), 4) as bar:
        clock[0] += 60
        bar.grow(grown[0])
    assert "test accuracy" not in file.getvalue()


def test_progress_in_one_column(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal of one column is no reason to fail."""
    monkeypatch.setenv("TERM", "xterm")
    with Progress(Console(file=Terminal(), width=1, force_terminal=True), 0) as bar:
        bar.advance(0, "arm")
