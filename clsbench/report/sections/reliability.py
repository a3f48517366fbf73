"""Reliability: the accuracy of each arm against its confidence."""

from __future__ import annotations

from clsbench.analysis.curves import Arm, Comparison
from clsbench.report.document import Bin, Reliability
from clsbench.report.sections.arms import Refs, drawn


def reliability(comparison: Comparison, refs: Refs) -> tuple[Reliability, ...]:
    """A diagram for each arm that is drawn."""
    arms = {arm["name"]: arm for arm in comparison.arms}
    return tuple(
        Reliability(ref, ece=(arms[ref.name]["metrics"].get("test_ece") or {}).get("mean"), bins=_bins(arms[ref.name]))
        for ref in drawn(refs)
    )


def _bins(arm: Arm) -> tuple[Bin, ...]:
    found = arm.get("reliability")
    return tuple(map(Bin, found["count"], found["confidence"], found["accuracy"])) if found else ()
