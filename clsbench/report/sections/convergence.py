"""Convergence: how soon each arm came near the best, how many of its trials were lost, and how long one took."""

from __future__ import annotations

from collections.abc import Sequence

from clsbench.analysis.curves import Comparison, seconds_per_trial
from clsbench.analysis.targets import NEAR_BEST, times_to_target
from clsbench.metrics.measures import label_of
from clsbench.report.document import Cell, Column, Section
from clsbench.report.sections.arms import Refs, tabled
from clsbench.report.sections.metrics import arm_table
from clsbench.report.text import number
from clsbench.report.values import EpochsToTarget, Proportion, Seconds
from clsbench.results import ArmSummary

Cells = tuple[Column, Sequence[Cell]]


def convergence(comparison: Comparison, refs: Refs) -> Section:
    """Epochs to the target, lost seeds, and the time of a trial."""
    reached, arms = times_to_target(comparison), tabled(comparison)
    epochs = Column((f"epochs to {NEAR_BEST:.0%}", "of the best")), epochs_to_target(comparison, arms)
    columns = [epochs, *lost(arms), _seconds(comparison)]
    target = ""
    if reached:
        found = number(next(iter(reached.values())).target)
        best = f"{NEAR_BEST:.0%} of the best mean {label_of(comparison.headline)}"
        target = f" ({best} is {found}; median over seeds)"
    return Section("convergence", (f"Convergence{target}",), (arm_table(comparison, refs, columns),))


def epochs_to_target(comparison: Comparison, arms: Sequence[ArmSummary]) -> list[Cell]:
    """Of each arm the median over seeds of the epochs to the target, None where there is no target."""
    reached = times_to_target(comparison)
    cells: list[Cell] = []
    for arm in arms:
        times = reached[arm["name"]].times if arm["name"] in reached else None
        last = comparison.last_epoch
        cells.append(None if times is None else EpochsToTarget(times.median, last, times.reached, times.n))
    return cells


def lost(arms: Sequence[ArmSummary]) -> list[Cells]:
    """The diverged seeds, and in a column of their own, which is rare, those that failed."""
    diverged = [Proportion(arm["diverged"], len(arm["seeds"])) for arm in arms]
    failed = [Proportion(len(arm["failures"] or ()), len(arm["seeds"])) for arm in arms]
    columns: list[Cells] = [(Column(("diverged", "seeds")), diverged)]
    return [*columns, (Column(("failed", "seeds")), failed)] if any(cell.part for cell in failed) else columns


def _seconds(comparison: Comparison) -> Cells:
    found = [seconds_per_trial(comparison.records[arm["name"]]) for arm in tabled(comparison)]
    return Column(("time of", "a trial")), [None if seconds is None else Seconds(seconds) for seconds in found]
