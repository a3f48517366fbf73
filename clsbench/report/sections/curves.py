"""Curves of a metric by epoch, with the final value of each and the reason where one is missing."""

from __future__ import annotations

from collections.abc import Sequence

from clsbench.analysis.classes import majority, majority_accuracy
from clsbench.analysis.curves import Comparison, Curve, spans_decades
from clsbench.metrics.measures import is_share, label_of
from clsbench.report.document import ArmList, ArmRef, Axis, Curves, Level, Paragraph, Section, Series, joined
from clsbench.report.sections.arms import Refs, drawn
from clsbench.report.text import number
from clsbench.report.values import mean_range
from clsbench.results import ArmSummary


def by_epoch(comparison: Comparison, refs: Refs, metric: str) -> Curves:
    """The mean over seeds of every drawn arm, with a band from minimum to maximum."""
    series = tuple(_series(ref, comparison.curve(name, metric)) for name, ref in drawn(refs).items())
    means = [mean for line in series for mean in line.y]
    # Shares are read on a linear axis, however small the first of them are.
    is_log = bool(means) and not is_share(metric) and spans_decades(means)
    title = f"{label_of(metric)} by epoch, mean over seeds{', log scale' if is_log else ''}"
    x = Axis("epoch", "integer", end=comparison.last_epoch)
    y = Axis(label_of(metric), "log" if is_log else "linear")
    return Curves(title, metric, x, y, series, _level(comparison, metric))


def curves(comparison: Comparison, refs: Refs, metric: str) -> Section | None:
    """The curves of a metric with their final values; None where no arm has a number."""
    found = by_epoch(comparison, refs, metric)
    arms = [arm for arm in comparison.arms if arm["name"] in drawn(refs)]
    shown = [arm for arm, line in zip(arms, found.series, strict=True) if line.x]
    if not shown:
        return None
    ends = tuple((refs[arm["name"]], _end(comparison, comparison.curve(arm["name"], metric), arm)) for arm in shown)
    blocks = (found, ArmList(ends, ("at the end", "mean [min, max over seeds]")))
    level = [] if found.level is None else [_note(found.level)]
    missing = _missing(comparison, refs, [arm["name"] for arm in arms if arm not in shown])
    return Section(f"curves.{metric}", (found.title,), (*blocks, *level, *missing))


def _note(level: Level) -> Paragraph:
    return Paragraph((f"dashed: {level.label}, {number(level.value)}",), "note")


def _level(comparison: Comparison, metric: str) -> Level | None:
    """Of the headline metric on test data, what always answering the most frequent class gives."""
    most, share = majority(comparison.classes), majority_accuracy(comparison.classes, "test")
    if metric != comparison.headline or most is None or share is None:
        return None
    return Level(share, f"always {most['name']!r}, the majority")


def _series(ref: ArmRef, curve: Curve) -> Series:
    return Series(ref, curve.epochs, curve.mean, curve.low, curve.high)


def _end(comparison: Comparison, curve: Curve, arm: ArmSummary) -> str:
    """The final value of a curve, and how many seeds are left of it; or the epoch after which none was left."""
    if curve.epochs[-1] < comparison.last_epoch:
        return f"no seeds left after epoch {curve.epochs[-1]}"
    seeds = "" if curve.n[-1] == len(arm["seeds"]) else f" {curve.n[-1]} of {len(arm['seeds'])} seeds"
    final = mean_range(arm["metrics"].get(curve.metric))
    return f"{number(None) if final is None else final}{seeds}"


def _missing(comparison: Comparison, refs: Refs, names: Sequence[str]) -> list[Paragraph]:
    trained = [name for name in names if comparison.curve(name, comparison.headline).epochs]
    lost = [name for name in names if name not in trained]
    reasons = (("No probabilities, so no NLL", trained), ("No finished epoch", lost))
    return [
        Paragraph((f"{reason}: ", *joined(refs[name] for name in group), ".")) for reason, group in reasons if group
    ]
