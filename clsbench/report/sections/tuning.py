"""Tuning: how the metric of each arm depends on the settings, and which setting was chosen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clsbench.analysis.choosing import choose
from clsbench.analysis.curves import Comparison, spans_decades
from clsbench.metrics.measures import label_of
from clsbench.report.document import (
    ArmList,
    ArmRef,
    Axis,
    Cell,
    Column,
    Curves,
    Paragraph,
    Scale,
    Section,
    Series,
    Table,
)
from clsbench.report.sections.arms import Refs, drawn
from clsbench.report.sections.tuning_findings import (
    at_chosen,
    choices,
    findings,
    is_per_seed,
    num_tried,
    seeds_of,
    spans_of,
    tries,
    tuned_arms,
    values_of,
)
from clsbench.report.text import PROTOCOLS, number, setting_value
from clsbench.report.values import Tried, mean_range
from clsbench.results import ArmTuning, SettingResult, Tuning

Rows = tuple[tuple[Cell, ...], ...]

BY_THOSE = "mean over the seeds that came so far"


def tuning(comparison: Comparison, refs: Refs, tuned: Tuning | None) -> Section | None:
    """How every arm of a comparison was tuned; None where none was."""
    if tuned is None:
        return None
    title = f"Tuned by {label_of(tuned['metric'])}: {PROTOCOLS[tuned['protocol']]}"
    keys = [_by_key(comparison, refs, tuned, key) for key in _tried(comparison, tuned)]
    over = "seeds" if is_per_seed(tuned) else "tuning seeds"
    chosen = ArmList(tuple(_chosen(comparison, refs, tuned)), ("chosen", f"mean [min, max over {over}]"))
    return Section("tuning", (title,), (*keys, chosen, *findings(comparison, refs, tuned)))


def numeric_keys(comparison: Comparison, tuned: Tuning) -> list[str]:
    """The keys of the grid that have an axis: those with a number."""
    grid = tuned["grid"]
    return [key for key in _tried(comparison, tuned) if any(isinstance(value, int | float) for value in grid[key])]


def _tried(comparison: Comparison, tuned: Tuning) -> list[str]:
    """The keys of the grid with several values that some loss of the comparison has."""
    arms = tuned_arms(comparison, tuned).values()
    return [key for key, values in tuned["grid"].items() if len(values) > 1 and any(tries(arm, key) for arm in arms)]


def sensitivity(comparison: Comparison, refs: Refs, tuned: Tuning, key: str) -> Curves:
    """The metric against one key, each arm at its best over the other keys."""
    metric, values = tuned["metric"], values_of(comparison, tuned, key)
    arms = tuned_arms(comparison, tuned)
    series = tuple(
        _series(refs, name, profile(arms[name]["sensitivity"], metric, key, values), key)
        for name in drawn(refs)
        if name in arms and tries(arms[name], key)
    )
    x, y = _scale([line.x for line in series]), _scale([line.y for line in series])
    logs = [axis for axis, scale in (("x", x), ("y", y)) if scale == "log"]
    scales = f" (log {' and '.join(logs)} {'axis' if len(logs) == 1 else 'axes'})" if logs else ""
    best = ", best over the other keys" if len(tuned["grid"]) > 1 else ""
    title = f"{label_of(metric)} by {key}, mean over {seeds_of(tuned)}{best}{scales}"
    return Curves(title, metric, Axis(key, x), Axis(label_of(metric), y), series)


def profile(
    rows: Sequence[SettingResult], metric: str, key: str, values: Sequence[float | str | None]
) -> list[SettingResult | None]:
    """An arm's best row at each of a key's values, whatever the other keys are; None where it tried no such value."""
    by_value = [[row for row in rows if row["settings"][key] == value] for value in values]
    return [at_value[choose([at_value], metric)] if at_value else None for at_value in by_value]


def _series(refs: Refs, name: str, rows: Sequence[SettingResult | None], key: str) -> Series:
    points: list[tuple[float, float, float, float]] = []
    for row in rows:
        if row is None:
            continue
        place, mean = row["settings"][key], row["mean"]
        # A setting without a number (null for `clip_norm`) has no place on an axis.
        if isinstance(place, int | float) and mean is not None:
            known = [value for value in row["values"] if value is not None]
            points.append((place, mean, min(known), max(known)))
    points.sort(key=lambda point: point[0])
    return Series(
        refs[name],
        x=tuple(point[0] for point in points),
        y=tuple(point[1] for point in points),
        low=tuple(point[2] for point in points),
        high=tuple(point[3] for point in points),
    )


def _scale(values: Sequence[Sequence[float]]) -> Scale:
    """Logarithmic where the lines, of two points or more, span decades, and no point would be off the axis."""
    lines = [value for line in values if len(line) > 1 for value in line]
    positive = all(value > 0 for line in values for value in line)
    return "log" if lines and positive and spans_decades(lines) else "linear"


def _by_key(comparison: Comparison, refs: Refs, tuned: Tuning, key: str) -> Section:
    """The metric against one key: curves, and a table with every value."""
    metric, values = tuned["metric"], values_of(comparison, tuned, key)
    arms = {name: arm for name, arm in tuned_arms(comparison, tuned).items() if tries(arm, key)}
    profiles = {name: profile(arm["sensitivity"], metric, key, values) for name, arm in arms.items()}
    rows: Rows = tuple((refs[name], *_cells(profiles[name], values, arm, key)) for name, arm in arms.items())
    columns = (Column(("arm",), "left"), *(Column((setting_value(value),)) for value in values))
    lost = any(row["diverged"] for found in profiles.values() for row in found if row is not None)
    mark = "*N chosen at N seeds" if is_per_seed(tuned) else "* chosen"
    lacks = any(num_tried(row) < len(row["values"]) for found in profiles.values() for row in found if row is not None)
    told = [mark, *["div.: tuning seeds that diverged"] * lost, *[f"beyond the grid: {BY_THOSE}"] * lacks]
    note = Paragraph(("; ".join(told),), "note")
    curves = sensitivity(comparison, refs, tuned, key)
    having = [arm for arm in tuned["arms"] if tries(arm, key) and arm["name"] in comparison.records]
    table = Table(columns, rows, omitted=len(having) - len(rows))
    drawn_ones = [curves] if key in numeric_keys(comparison, tuned) else []
    return Section(f"tuning.{key}", (curves.title,), (*drawn_ones, table, note))


def _cells(
    rows: Sequence[SettingResult | None], values: Sequence[float | str | None], arm: ArmTuning, key: str
) -> Iterator[Tried | None]:
    chosen = [each["chosen"][key] for each in choices(arm)]
    for row, value in zip(rows, values, strict=True):
        times = None if arm["by_seed"] is None else chosen.count(value)
        if row is None:
            yield None
        else:
            yield Tried(row["mean"], row["diverged"], num_tried(row), value in chosen, times)


def _chosen(comparison: Comparison, refs: Refs, tuned: Tuning) -> Iterator[tuple[ArmRef, str]]:
    for name, arm in tuned_arms(comparison, tuned).items():
        settings = ", ".join(f"{key}={value}" for key, value in spans_of(arm).items())
        yield refs[name], f"{settings}: {mean_range(at_chosen(arm)) or number(None)}"
