"""Cross-evaluation: the networks of every arm, measured by every loss."""

from __future__ import annotations

from clsbench.analysis.curves import Comparison
from clsbench.metrics.measures import metric_label
from clsbench.report.document import Column, Section
from clsbench.report.sections.arms import Refs, tabled
from clsbench.report.sections.metrics import arm_table

TITLE = "Test metrics under every loss: last epoch, mean over seeds"


def cross(comparison: Comparison, refs: Refs) -> Section | None:
    """A column for each measure and then for each loss; None for a run that kept nothing of the kind."""
    arms = tabled(comparison)
    if not all(arm.get("cross") for arm in arms):
        return None
    names = [name for name in arms[0]["cross"] if name != "losses"]
    measures = [(_head(name), [arm["cross"][name]["mean"] for arm in arms]) for name in names]
    # Beyond some number of losses each measures its own networks alone, which makes no column.
    shared = [label for label in arms[0]["cross"]["losses"] if all(label in arm["cross"]["losses"] for arm in arms)]
    losses = [(Column(("loss", label)), [arm["cross"]["losses"][label]["mean"] for arm in arms]) for label in shared]
    return Section("cross", (TITLE,), (arm_table(comparison, refs, [*measures, *losses]),))


def _head(metric: str) -> Column:
    """A header in two lines where the metric's label has several words."""
    return Column(tuple(metric_label(metric).split(" ", 1)))
