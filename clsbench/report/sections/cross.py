"""Cross-evaluation: the networks of every arm, measured by every loss."""

from __future__ import annotations

from clsbench.analysis.curves import Comparison
from clsbench.metrics.measures import metric_label
from clsbench.report.document import Column, Section
from clsbench.report.sections.arms import Refs, tabled
from clsbench.report.sections.metrics import arm_table, is_shown, may_stay
from clsbench.results import cross_metrics

TITLE = "Test metrics under every loss: last epoch, mean over seeds"


def cross(comparison: Comparison, refs: Refs) -> Section | None:
    """A column for each measure and then for each loss; None for a run that kept nothing of the kind."""
    arms = tabled(comparison)
    found = [arm["cross"] for arm in arms if arm["cross"]]
    if len(found) < len(arms):
        return None
    metrics = [cross_metrics(cross) for cross in found]
    means = {name: [each[name]["mean"] for each in metrics] for name in metrics[0] if is_shown(comparison, name)}
    measures = [(_head(name), of) for name, of in means.items() if may_stay(comparison, name, of)]
    # Beyond some number of losses, each measures only its own networks: those have no column.
    shared = [label for label in found[0]["losses"] if all(label in cross["losses"] for cross in found)]
    losses = [(Column(("loss", label)), [cross["losses"][label]["mean"] for cross in found]) for label in shared]
    return Section("cross", (TITLE,), (arm_table(comparison, refs, [*measures, *losses]),))


def _head(metric: str) -> Column:
    """A header in two lines where the metric's label has several words."""
    return Column(tuple(metric_label(metric).split(" ", 1)))
