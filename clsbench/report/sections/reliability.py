"""Reliability: the accuracy of each arm against its confidence."""

from __future__ import annotations

from clsbench.analysis.curves import Comparison, final_mean
from clsbench.report.document import Bin, Reliability
from clsbench.report.sections.arms import Refs, drawn
from clsbench.results import ArmSummary


def reliability(comparison: Comparison, refs: Refs) -> tuple[Reliability, ...]:
    """A diagram for each arm that is drawn."""
    arms = {arm["name"]: arm for arm in comparison.arms}
    return tuple(
        Reliability(ref, ece=final_mean(arms[name], "test_ece"), bins=_bins(arms[name]))
        for name, ref in drawn(refs).items()
    )


def _bins(arm: ArmSummary) -> tuple[Bin, ...]:
    found = arm["reliability"]
    return tuple(map(Bin, found["count"], found["confidence"], found["accuracy"])) if found else ()
