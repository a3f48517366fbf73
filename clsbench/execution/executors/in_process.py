"""Trains units one after the other in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clsbench.execution.events import Event
from clsbench.execution.scheduling import WorkUnit
from clsbench.execution.units import train_unit
from clsbench.execution.work import Work


def run(units: Sequence[WorkUnit], work: Work) -> Iterator[Event]:
    """Train the units and yield their events."""
    for unit in units:
        yield from train_unit(unit, work)
