"""What a run takes by the clock, with a clock of the test's own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from clsbench import clock
from clsbench.clock import Clock, Part

Wait = Callable[[float], None]


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch) -> Wait:
    """`wait(2.0)`: two seconds pass."""
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr(clock, "_began", None)

    def wait(seconds: float) -> None:
        now[0] += seconds

    return wait


def test_a_run_counts_from_its_call(wait: Wait) -> None:
    """Blocks count for their part, twice for both times; the rest is in the whole alone."""
    own = Clock()
    for seconds in (1.0, 2.0):
        with own.counting("data"):
            wait(seconds)
        wait(0.5)
    assert (4.0, 3.0, 0.0) == (own.passed(), own.parts()["data"], own.parts()["imports"])


def test_a_command_counts_from_its_first_line(wait: Wait) -> None:
    """What it imported before there was a clock counts, but not for a run that Python asks for."""
    clock.begin_command()
    wait(1.5)
    of_command, own = Clock(of_command=True), Clock()
    wait(1.0)
    assert (2.5, 1.5) == (of_command.passed(), of_command.parts()["imports"])
    assert (1.0, 0.0) == (own.passed(), own.parts()["imports"])


def test_processes_side_by_side_share_the_time_that_passed(wait: Wait) -> None:
    """Two seconds in which two processes spent four are divided as those four were."""
    own, spent = Clock(), dict[Part, float](compiling=0.0, training=1.0, measuring=0.0)
    with own.dividing(spent):
        wait(2.0)
        spent["compiling"] += 1.0
        spent["training"] += 2.0
    parts = own.parts()
    assert (0.5, 1.5, 0.0) == (parts["compiling"], parts["training"], parts["measuring"])
