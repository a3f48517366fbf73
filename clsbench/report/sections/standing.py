"""How the arms of a comparison stand at the end: one table, a row for each arm that is drawn."""

from __future__ import annotations

from collections.abc import Sequence

from clsbench.analysis.curves import Comparison, final_mean, ranked
from clsbench.analysis.targets import NEAR_BEST
from clsbench.analysis.verdicts import seen_from
from clsbench.metrics.diagnostics import STUCK_SHARE
from clsbench.metrics.measures import direction, label_of
from clsbench.report.document import Cell, Column, Table
from clsbench.report.sections.answer import verdicts_on
from clsbench.report.sections.arms import Refs, drawn
from clsbench.report.sections.convergence import epochs_to_target, lost
from clsbench.report.text import number
from clsbench.report.values import mean_std
from clsbench.results import ArmSummary, Summary
from clsbench.results.verdicts import WORSE

Cells = tuple[Column, Sequence[Cell]]

EXTREME = {"higher": "highest", "lower": "lowest", None: "-"}  # of the first arm, where none is worse


def standing(comparison: Comparison, refs: Refs, summary: Summary) -> Table:
    """Headline metric, second metric, epochs to the target, lost seeds, stuck samples, and the verdict."""
    arms = [arm for arm in comparison.arms if arm["name"] in drawn(refs)]
    second = f"test_{comparison.problem.second}"
    columns: list[Cells] = [
        (Column((label_of(comparison.headline),)), [mean_std(arm["metrics"].get(comparison.headline)) for arm in arms]),
        *_second(arms, second, comparison.headline),
        (Column(("epochs to", f"{NEAR_BEST:.0%} of best")), epochs_to_target(comparison, arms)),
        *lost(arms),
        *_stuck(arms),
        (Column(("verdict",), "left"), _verdicts(comparison, summary, arms)),
    ]
    rows = zip(*(cells for _, cells in columns), strict=True)
    return Table(
        columns=(Column(("arm",), "left"), *(column for column, _ in columns)),
        rows=tuple((refs[arm["name"]], *row) for arm, row in zip(arms, rows, strict=True)),
        omitted=len(comparison.arms) - len(arms),
    )


def _second(arms: Sequence[ArmSummary], metric: str, headline: str) -> list[Cells]:
    means = [final_mean(arm, metric) for arm in arms]
    if metric == headline or all(mean is None for mean in means):
        return []
    return [(Column((*label_of(metric).split(" ", 1),)), [number(mean) for mean in means])]


def _stuck(arms: Sequence[ArmSummary]) -> list[Cells]:
    shares = [final_mean(arm, STUCK_SHARE) for arm in arms]
    if all(share is None for share in shares):
        return []
    return [(Column(("stuck",)), ["-" if share is None else f"{share:.0%}" for share in shares])]


def _verdicts(comparison: Comparison, summary: Summary, arms: Sequence[ArmSummary]) -> list[Cell]:
    """The word on each arm against the best one by the headline metric."""
    order = ranked(comparison)
    if not order:
        return ["-" for _ in arms]
    best = order[0]["name"]
    rows = verdicts_on(best, comparison, summary)
    words = {row["b"]: seen_from(row, row["b"])["verdict"] for row in rows}
    top = "best" if WORSE in words.values() else EXTREME[direction(comparison.headline)] if words else "-"
    return [top if arm["name"] == best else words.get(arm["name"], "-") for arm in arms]
