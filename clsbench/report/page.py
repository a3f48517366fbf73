"""The page of a run as plain data: sentences and tables as sections, and numbers for charts that its reader moves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clsbench.analysis.classes import majority, majority_accuracy
from clsbench.analysis.curves import Comparison, comparisons, final_mean, spans_decades
from clsbench.metrics.diagnostics import STUCK_SHARE
from clsbench.metrics.measures import OBJECTIVE, is_share, label_of, on_split
from clsbench.report.compose import conditions, of_losses, over_all, seeds_in
from clsbench.report.document import Section, Text
from clsbench.report.intervals import intervals
from clsbench.report.sections import metrics, run, verdicts
from clsbench.report.sections.answer import answer, in_a_word
from clsbench.report.sections.arms import Refs, arms, short_references
from clsbench.report.sections.classes import by_class
from clsbench.report.sections.convergence import convergence
from clsbench.report.sections.cross import cross
from clsbench.report.sections.data import data
from clsbench.report.sections.start import confident_start
from clsbench.report.sections.tuning import numeric_keys, sensitivity, tuning
from clsbench.report.sections.why import why
from clsbench.report.seen import Film, pictures_of
from clsbench.report.text import setting_of
from clsbench.results import ArmSummary, Record, Records, Summary, Tuning
from clsbench.slices import every

MAX_COMPARISONS = 8  # of a page
MAX_POINTS = 100  # of a line, the last one among them
MAX_METRICS = 6  # with curves
MAX_CLASSES = 20  # of a confusion matrix


@dataclass(frozen=True)
class PageComparison:
    """A comparison: its name, its verdict in a word, what its arms share, its verdict first, sections, and charts."""

    name: str
    word: Text
    shared: str
    verdict: tuple[Text, ...]
    sections: tuple[Section, ...]
    charts: Mapping[str, Any]


@dataclass(frozen=True)
class Page:
    """A whole page. `first` is the comparison that is shown first: that in which arms differ most.

    `pictures` are compressed arrays by name, which the charts refer to. `notes` say what is left out.
    """

    title: str
    first: int
    over_all: tuple[Section, ...]
    comparisons: tuple[PageComparison, ...]
    sections: tuple[Section, ...]
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    pictures: Mapping[str, bytes]
    notes: tuple[str, ...]


def page_of(
    records: Iterable[Record],
    summary: Summary,
    config: Mapping[str, Any],
    environment: Mapping[str, Any],
    film: Film,
) -> Page:
    """The page of a run, or of several together, from what they keep."""
    compared = comparisons(records, summary)
    shown = compared[:MAX_COMPARISONS]
    pictures = pictures_of(shown, film)
    names = _names(shown)
    parts = tuple(_comparison(*each, summary) for each in zip(shown, names, pictures.charts, strict=True))
    sections = filter(
        None, [data(summary["data"], summary["warnings"]), run.joined(summary), run.expectations(summary)]
    )
    notes = [*pictures.notes]
    if len(compared) > len(shown):
        notes.append(f"The first {len(shown)} of {len(compared)} comparisons are shown; summary.json holds all.")
    return Page(
        title=summary["name"],
        first=max(range(len(shown)), key=lambda place: _spread(shown[place])),
        over_all=tuple(over_all(compared, summary)),
        comparisons=parts,
        sections=tuple(sections),
        config=config,
        environment=environment,
        pictures=pictures.blobs,
        notes=tuple(notes),
    )


def _spread(comparison: Comparison) -> float:
    """How much the final headline metric differs between the arms of a comparison, relative to its size."""
    means = [mean for arm in comparison.arms if (mean := final_mean(arm, comparison.headline)) is not None]
    largest = max(map(abs, means), default=0.0)
    return (max(means) - min(means)) / largest if largest else 0.0


def _names(shown: Sequence[Comparison]) -> list[str]:
    """The data and the model of each comparison, and its batch size or its number where others have the same."""
    names = [f"{each.dataset}, {each.model}" for each in shown]
    if len(set(names)) < len(names):
        names = [f"{name}, batch size {each.arms[0]['batch_size']}" for name, each in zip(names, shown, strict=True)]
    if len(set(names)) < len(names):
        names = [f"{place}: {name}" for place, name in enumerate(names, start=1)]
    return names


def _comparison(comparison: Comparison, name: str, pictures: Mapping[str, Any], summary: Summary) -> PageComparison:
    refs = short_references(comparison)
    sections = tuple(filter(None, _sections(comparison, refs, summary)))
    start, reason = confident_start(comparison), why(comparison, refs, summary)
    more = [*([] if start is None else [start]), *([] if reason is None else [reason])]
    seen = {refs[arm].name: of for arm, of in pictures.get("seen", {}).items()}  # the charts know arms by these names
    return PageComparison(
        name=name,
        word=in_a_word(comparison, refs, summary),
        shared=", ".join([*of_losses(comparison), *conditions(comparison, summary)]),
        verdict=(*answer(comparison, refs, summary), *more),
        sections=sections,
        charts={**_charts(comparison, refs, summary), **pictures, "seen": seen},
    )


def _sections(comparison: Comparison, refs: Refs, summary: Summary) -> Iterator[Section | None]:
    yield arms(comparison, refs)
    yield verdicts.verdicts(comparison, refs, summary)
    yield metrics.test(comparison, refs)
    yield metrics.robust(comparison, refs)
    yield cross(comparison, refs)
    yield by_class(comparison, refs)
    yield convergence(comparison, refs)
    yield tuning(comparison, refs, summary["tuning"])
    yield metrics.validation(comparison, refs)
    yield metrics.training(comparison, refs)
    yield metrics.gradients(comparison, refs)


def _charts(comparison: Comparison, refs: Refs, summary: Summary) -> dict[str, Any]:
    """The numbers that the charts of a comparison draw, with those of at most `MAX_POINTS` epochs of each arm."""
    shown = [arm for arm in comparison.arms if refs[arm["name"]].mark is not None]
    fields = _fields(comparison)
    return {
        "headline": comparison.headline,
        "last": comparison.last_epoch,
        "seeds": seeds_in(comparison) if comparison.num_seeds > 1 else None,
        "level": _level(comparison),
        "metrics": {field: _metric(comparison, shown, field) for field in (*fields, OBJECTIVE, STUCK_SHARE)},
        "curves": fields,
        "own": OBJECTIVE,
        "stuck": STUCK_SHARE,
        "arms": [_arm(comparison, arm, refs, (*fields, OBJECTIVE, STUCK_SHARE)) for arm in shown],
        "tuning": _tuning(comparison, refs, summary["tuning"]),
        "verdicts": list(intervals(comparison, refs, summary)),
    }


def _tuning(comparison: Comparison, refs: Refs, tuned: Tuning | None) -> list[dict[str, Any]]:
    """A chart for each key that tuning tried several values of."""
    keys = numeric_keys(comparison, tuned) if tuned else []
    found = [sensitivity(comparison, refs, tuned, key) for key in keys if tuned]
    return [
        {
            "title": curves.title,
            "key": curves.x.label,
            "along": curves.x.scale,
            "log": curves.y.scale == "log",
            "share": is_share(curves.metric),
            "lines": [
                {
                    "mark": line.arm.mark,
                    "name": line.arm.name,
                    "x": line.x,
                    "y": line.y,
                    "low": line.low,
                    "high": line.high,
                }
                for line in curves.series
            ],
        }
        for curves in found
    ]


def _fields(comparison: Comparison) -> list[str]:
    """The metrics on test data that have curves, the headline first: not by class, and only where there are numbers."""
    curved = [field for field, each in on_split("test", comparison.problem).items() if not each.at_last]
    ordered = dict.fromkeys([comparison.headline, *curved])
    known = [field for field in ordered if metrics.is_shown(comparison, field)]
    numbered = [f for f in known if any(comparison.curve(arm["name"], f).epochs for arm in comparison.arms)]
    return numbered[:MAX_METRICS]


def _metric(comparison: Comparison, shown: Sequence[ArmSummary], field: str) -> dict[str, Any]:
    means = [mean for arm in shown for mean in comparison.curve(arm["name"], field).mean]
    is_log = bool(means) and not is_share(field) and spans_decades(means)
    return {"label": label_of(field), "log": is_log, "share": is_share(field)}


def _level(comparison: Comparison) -> dict[str, Any] | None:
    most, share = majority(comparison.classes), majority_accuracy(comparison.classes, "test")
    return None if most is None or share is None else {"value": share, "label": f"always {most['name']!r}"}


def _arm(comparison: Comparison, arm: ArmSummary, refs: Refs, fields: Sequence[str]) -> dict[str, Any]:
    """An arm that is drawn: its lines over the same epochs, null where no seed has a number."""
    by_epoch = comparison.records[arm["name"]].by("epoch")
    epochs = thinned(sorted(by_epoch))
    lines = {}
    for field in fields:
        curve = comparison.curve(arm["name"], field)
        points = dict(zip(curve.epochs, zip(curve.mean, curve.low, curve.high, strict=True), strict=True))
        columns = [[_short(points[epoch][part]) if epoch in points else None for epoch in epochs] for part in range(3)]
        if any(value is not None for value in columns[0]):
            lines[field] = columns
    return {
        "name": refs[arm["name"]].name,
        "mark": refs[arm["name"]].mark,
        "setting": setting_of(arm),
        "epochs": epochs,
        "steps": [_mean(by_epoch[epoch], "step") for epoch in epochs],
        "seconds": [_mean(by_epoch[epoch], "seconds") for epoch in epochs],
        "lines": lines,
        "reliability": arm["reliability"],
        "confusion": _confusion(arm),
    }


def _confusion(arm: ArmSummary) -> dict[str, Any] | None:
    found = arm["confusion"]
    if not found or len(found) > MAX_CLASSES:
        return None
    return {"names": list(found), "counts": [[row.get(name, 0) for name in found] for row in found.values()]}


def _mean(rows: Records, field: str) -> float | None:
    values = [value for value in rows.column(field) if value is not None]
    return _short(sum(values) / len(values)) if values else None


def thinned(epochs: Sequence[int]) -> list[int]:
    """At most about `MAX_POINTS` of the epochs, evenly spaced, the last one among them."""
    return [epochs[place] for place in every(len(epochs), max(-(-len(epochs) // MAX_POINTS), 1))]


def _short(value: float) -> float:
    """Five digits, which is more than a chart shows."""
    return float(f"{value:.5g}")
