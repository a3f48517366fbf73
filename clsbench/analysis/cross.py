"""Cross-evaluation over seeds: every measure of each arm, and the reliability of its confidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

from clsbench.analysis.summary import over_seeds
from clsbench.config.plan import Arm, Plan
from clsbench.metrics.measures import taken_at_the_end
from clsbench.metrics.reliability import COLUMNS
from clsbench.results import ArmCross, Confusion, Cross, Reliability, Statistic

if TYPE_CHECKING:
    from clsbench.execution.cross import CrossEvaluation


def cross_summaries(plan: Plan, found: Mapping[int, CrossEvaluation]) -> dict[str, ArmCross]:
    """The `cross_summary` of each arm of the plan, by name."""
    trials: dict[str, list[int]] = {}
    for trial in plan.trials:
        trials.setdefault(trial.arm.name, []).append(trial.number)
    return {arm.name: cross_summary(arm, plan, [found.get(n) for n in trials[arm.name]]) for arm in plan.arms}


def cross_summary(arm: Arm, plan: Plan, trials: Sequence[CrossEvaluation | None]) -> ArmCross:
    """`cross`, `reliability` and `confusion` of one arm of `summary.json`.

    `cross` is `{METRIC: ..., losses: {label: ...}}`, each as the arm's `metrics` are: every metric of trained networks
    by its name, and the losses of `judging`. `reliability` pools the samples of all seeds: by bin of confidence,
    `count`, and the means `confidence` and `accuracy`, null where the bin is empty; it is null itself where the loss
    gives no probabilities. `confusion` adds up the counts of all seeds, `{CLASS: {PREDICTED: samples}}`.

    Args:
        trials: the arm's, seed by seed; None for one that did not finish, which has no values.
    """
    from clsbench.execution.cross import judging  # imports torch, which reading a config does not need

    measures: list[Mapping[str, float | None]] = [trial.measures if trial else {} for trial in trials]
    losses: list[Mapping[str, float | None]] = [trial.losses if trial else {} for trial in trials]
    taken = dict.fromkeys(spec.name for spec in taken_at_the_end(plan.problems.get(arm.name)))
    metrics = {name: over_seeds([measured.get(name) for measured in measures]) for name in taken}
    labels = [entry.title for entry in judging(plan, arm)]
    by_label: dict[str, Statistic] = {label: over_seeds([by_loss.get(label) for by_loss in losses]) for label in labels}
    cross = cast(Cross, {**metrics, "losses": by_label})
    return {
        "cross": cross,
        "reliability": _pooled([trial.bins for trial in trials if trial and trial.bins]),
        "confusion": _added([trial.confusion for trial in trials if trial and trial.confusion]),
    }


def _pooled(bins: Sequence[Mapping[str, Sequence[float]]]) -> Reliability | None:
    if not bins:
        return None
    count, confidence, correct = (
        [sum(column) for column in zip(*(b[name] for b in bins), strict=True)] for name in COLUMNS
    )
    return {
        "count": [round(n) for n in count],
        "confidence": [c / n if n else None for c, n in zip(confidence, count, strict=True)],
        "accuracy": [c / n if n else None for c, n in zip(correct, count, strict=True)],
    }


def _added(counts: Sequence[Mapping[str, Mapping[str, int]]]) -> Confusion | None:
    if not counts:
        return None
    return {
        name: {other: sum(each[name][other] for each in counts) for other in row} for name, row in counts[0].items()
    }
