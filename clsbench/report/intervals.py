"""Verdicts as a picture: the differences of a comparison with their intervals, as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clsbench.analysis.curves import Comparison, final_mean
from clsbench.analysis.verdicts import seen_from
from clsbench.metrics.measures import direction, is_share, label_of, margin_of
from clsbench.report.document import ArmRef
from clsbench.report.sections.answer import verdicts_on
from clsbench.report.sections.arms import Refs
from clsbench.report.text import word_of
from clsbench.results import Summary, Verdict


def intervals(comparison: Comparison, refs: Refs, summary: Summary) -> Iterator[dict[str, Any]]:
    """For each metric that is judged, the best arm by it minus each other drawn one, where there is an interval."""
    margin: Mapping[str, float] = (summary["rules"] or {"margin": {}})["margin"]
    for metric in dict.fromkeys(row["metric"] for row in summary["verdicts"]):
        best = _best(comparison, metric)
        rows = [] if best is None else verdicts_on(best, comparison, summary, metric)
        shown = [row for row in rows if row["low"] is not None and refs[row["b"]].mark is not None]
        if best is not None and shown:
            other = refs[shown[0]["b"]].name if len(shown) == 1 else "each"
            yield {
                "title": f"{label_of(metric)}: {refs[best].name} minus {other}",
                "best": refs[best].name,
                "share": is_share(metric),
                "better": direction(metric),
                "margin": margin.get(metric.removeprefix("test_"), margin_of(metric)),
                "rows": [_row(row, refs[row["b"]]) for row in shown],
            }


def _best(comparison: Comparison, metric: str) -> str | None:
    means = {arm["name"]: mean for arm in comparison.arms if (mean := final_mean(arm, metric)) is not None}
    choose = max if direction(metric) == "higher" else min
    return choose(means, key=means.__getitem__, default=None)


def _row(row: Verdict, other: ArmRef) -> dict[str, Any]:
    numbers = {key: row[key] for key in ("difference", "low", "high")}
    return {"mark": other.mark, "name": other.name, **numbers, "verdict": word_of(seen_from(row, row["b"]))}
