"""Cross-evaluation over seeds: every measure of each arm, and the reliability of its confidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, cast

from clsbench.analysis.summary import over_seeds
from clsbench.config.arms import Arm
from clsbench.config.plan import Plan
from clsbench.metrics.measures import taken_at_the_end
from clsbench.metrics.reliability import COLUMNS
from clsbench.results import ArmCross, Cross, Reliability, Statistic

if TYPE_CHECKING:
    from clsbench.execution.cross import CrossEvaluation


def cross_summaries(plan: Plan, found: Mapping[int, CrossEvaluation]) -> dict[str, ArmCross]:
    """The `cross_summary` of each arm of the plan, by name."""
    trials: dict[str, list[int]] = {}
    for trial in plan.trials:
        trials.setdefault(trial.arm.name, []).append(trial.number)
    return {arm.name: cross_summary(arm, plan, (found.get(n) for n in trials[arm.name])) for arm in plan.arms}


def cross_summary(arm: Arm, plan: Plan, trials: Iterable[CrossEvaluation | None]) -> ArmCross:
    """`cross`, `reliability` and `confusion` of one arm of `summary.json`.

    `cross` is `{METRIC: ..., losses: {label: ...}}`, each as the arm's `metrics` are: every metric of trained networks
    by its name, and the losses of `judging`. `reliability` pools the samples of all seeds: by bin of confidence,
    `count`, and the means `confidence` and `accuracy`, null where the bin is empty; it is null itself where the loss
    gives no probabilities. `confusion` adds up the counts of all seeds, `{CLASS: {PREDICTED: samples}}`.

    Args:
        trials: the arm's, seed by seed; None for one that did not finish, which has no values.
    """
    from clsbench.execution.cross import judging  # imports torch, which reading a config does not need

    taken = dict.fromkeys(spec.name for spec in taken_at_the_end(plan.problems.get(arm.name)))
    measures: dict[str, list[float | None]] = {name: [] for name in taken}
    losses: dict[str, list[float | None]] = {entry.title: [] for entry in judging(plan, arm)}
    bins: dict[str, list[float]] = {}
    confusion: dict[str, Counter[str]] = {}
    for trial in trials:  # one at a time: those of many seeds take much memory
        for name, values in measures.items():
            values.append(trial.measures.get(name) if trial else None)
        for label, values in losses.items():
            values.append(trial.losses.get(label) if trial else None)
        if trial and trial.bins:
            bins = {name: _sums(bins.get(name), trial.bins[name]) for name in COLUMNS}
        for name, row in (trial.confusion or {}).items() if trial else ():
            confusion.setdefault(name, Counter()).update(row)
    by_label: dict[str, Statistic] = {label: over_seeds(values) for label, values in losses.items()}
    cross = cast(Cross, {**{name: over_seeds(values) for name, values in measures.items()}, "losses": by_label})
    return {
        "cross": cross,
        "reliability": _means(bins) if bins else None,
        "confusion": {name: dict(row) for name, row in confusion.items()} or None,
    }


def _sums(so_far: Sequence[float] | None, added: Sequence[float]) -> list[float]:
    return list(added) if so_far is None else [a + b for a, b in zip(so_far, added, strict=True)]


def _means(bins: Mapping[str, Sequence[float]]) -> Reliability:
    count, confidence, correct = (bins[name] for name in COLUMNS)
    return {
        "count": [round(n) for n in count],
        "confidence": [c / n if n else None for c, n in zip(confidence, count, strict=True)],
        "accuracy": [c / n if n else None for c, n in zip(correct, count, strict=True)],
    }
