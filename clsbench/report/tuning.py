"""What tuning found: how each arm's metric hangs on the settings, which was chosen, and what that cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from clsbench.analysis.curves import spans_decades
from clsbench.analysis.tuning import choose
from clsbench.report.page import Page
from clsbench.report.plots import Line, draw_lines
from clsbench.report.tables import Column, legend, tables
from clsbench.report.text import PROTOCOLS, count, duration, mean_and_range, metric_name, number

PLOT_HEIGHT = 9
WIDEST_PLOT = 100
FAR_BEHIND = 0.05  # of accuracy: a loss that no setting brings nearer is worth a word

Row = Mapping[str, Any]


def tuned(page: Page, tuning: Mapping[str, Any] | None) -> Iterator[RenderableType]:
    """How every arm of a comparison was tuned; nothing where none was."""
    if tuning is None:
        return
    metric = metric_name(tuning["metric"])
    yield _paragraph(f"Tuned by {metric}: {PROTOCOLS[tuning['protocol']]}", "bold")
    for key, values in tuning["grid"].items():
        if len(values) > 1 and not page.look.narrow:
            yield from _by_key(page, tuning, key)
    yield from _chosen(page, tuning)
    findings = [*_beyond_saving(page, tuning), *_diverged(page, tuning), *_at_edge(page, tuning)]
    for sentence in [*findings, _cost(page, tuning), *_held_out(page, tuning)]:
        yield _paragraph(sentence)
    yield Text()


def profile(rows: Sequence[Row], metric: str, key: str, values: Sequence[Any]) -> list[Row]:
    """An arm's best row at each of a key's values, whatever the other keys are."""
    by_value = [[row for row in rows if row["settings"][key] == value] for value in values]
    return [at_value[choose([at_value], metric)] for at_value in by_value]


def _paragraph(text: str, style: str = "") -> Text:
    return Text(text, style, overflow="fold")


def _tried(page: Page, tuning: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The arms of the page's tables as tuning has them."""
    found = {arm["name"]: arm for arm in tuning["arms"]}
    return {arm["name"]: found[arm["name"]] for arm in page.arms if arm["name"] in found}


def _chosen_row(arm: Mapping[str, Any]) -> Row:
    row: Row = next(row for row in arm["sensitivity"] if row["settings"] == arm["chosen"])
    return row


def _by_key(page: Page, tuning: Mapping[str, Any], key: str) -> Iterator[RenderableType]:
    """The metric against one key: a plot, and a table with every value."""
    values, arms = tuning["grid"][key], _tried(page, tuning)
    profiles = {name: profile(arm["sensitivity"], tuning["metric"], key, values) for name, arm in arms.items()}
    lines = [_line(page, name, profiles[name], key) for name in page.letters if name in profiles]
    drawn = [line for line in lines if len(line.xs) > 1]
    best = ", best over the other keys" if len(tuning["grid"]) > 1 else ""
    title = f"{metric_name(tuning['metric'])} by {key}, mean over {count(len(tuning['seeds']), 'tuning seed')}{best}"
    yield _paragraph(f"{title}{_scales(drawn)}")
    if drawn:
        width = min(page.look.width, WIDEST_PLOT)
        yield draw_lines(drawn, width=width, height=PLOT_HEIGHT, ascii_only=page.look.ascii_only, whole=False)
    columns = []
    for place, value in enumerate(values):
        cells = [_cell(profiles[name][place], chosen=arm["chosen"][key] == value) for name, arm in arms.items()]
        columns.append(Column(_value(value), cells))
    yield from tables(list(map(page.row, arms)), columns, width=page.look.width, ascii_only=page.look.ascii_only)
    lost = any(row["diverged"] for rows in profiles.values() for row in rows)
    yield _paragraph("* chosen" + ("; div.: tuning seeds that diverged" if lost else ""), "dim")
    yield Text()


def _line(page: Page, name: str, rows: Sequence[Row], key: str) -> Line:
    points = sorted(
        (row["settings"][key], row["mean"])
        for row in rows
        if row["mean"] is not None and row["settings"][key] is not None
    )
    return Line(page.letters[name], page.style(name), [x for x, _ in points], [y for _, y in points])


def _scales(lines: Sequence[Line]) -> str:
    """What must be said of the axes that a plot of `lines` gets."""
    across, up = [x for line in lines for x in line.xs], [y for line in lines for y in line.ys]
    logs = [axis for axis, values in (("x", across), ("y", up)) if values and spans_decades(values)]
    return f" (log {' and '.join(logs)} {'axis' if len(logs) == 1 else 'axes'})" if logs else ""


def _value(value: float | None) -> str:
    # Three digits, and 10000 rather than 1e+04.
    return "null" if value is None else f"{float(f'{value:.3g}'):g}"


def _cell(row: Row, *, chosen: bool) -> str:
    lost = f"{row['diverged']}/{len(row['values'])} div." if row["diverged"] else number(row["mean"])
    return lost + "*" * chosen


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={_value(value)}" for key, value in settings.items())


def _chosen(page: Page, tuning: Mapping[str, Any]) -> Iterator[RenderableType]:
    arms = _tried(page, tuning)
    remarks = [f"{_settings(arm['chosen'])}: {mean_and_range(_chosen_row(arm))}" for arm in arms.values()]
    if page.look.narrow:
        for name, remark in zip(arms, remarks, strict=True):
            yield _paragraph(f"{page.name(name)}: {remark}")
        return
    yield legend(
        [(Text(), Text("chosen", "dim")), *map(page.row, arms)],
        [Text("mean [min, max over tuning seeds]", "dim"), *map(Text, remarks)],
        page.look.width,
    )


def _beyond_saving(page: Page, tuning: Mapping[str, Any]) -> Iterator[str]:
    """Which arms no setting brings near the best arm's best: a finding that no single setting could show."""
    if tuning["metric"] != "val_accuracy":
        return
    best: dict[str, float] = {}
    for name, arm in _tried(page, tuning).items():
        means = [row["mean"] for row in arm["sensitivity"] if row["mean"] is not None and not row["diverged"]]
        if means:
            best[name] = max(means)
    if not best:
        return
    leader = max(best, key=best.__getitem__)
    behind = [f"{page.name(name)} ({mean:.1%})" for name, mean in best.items() if best[leader] - mean >= FAR_BEHIND]
    if behind:
        yield (
            f"No setting of the grid brings {' or '.join(behind)} within {100 * FAR_BEHIND:.0f} points of "
            f"{page.name(leader)} ({best[leader]:.1%}) in validation accuracy."
        )


def _diverged(page: Page, tuning: Mapping[str, Any]) -> Iterator[str]:
    for name, arm in _tried(page, tuning).items():
        if lost := _chosen_row(arm)["diverged"]:
            seeds = f"{lost} of {count(len(tuning['seeds']), 'tuning seed')}"
            yield f"Warning: even at the setting chosen for {page.name(name)}, {seeds} diverged."


def _at_edge(page: Page, tuning: Mapping[str, Any]) -> Iterator[str]:
    places: dict[tuple[str, Any], list[str]] = {}
    for name, arm in _tried(page, tuning).items():
        for key in arm["at_edge"]:
            places.setdefault((key, arm["chosen"][key]), []).append(page.name(name))
    for (key, value), names in places.items():
        yield (
            f"Warning: the best {key} for {', '.join(names)} lies on the edge of the grid ({_value(value)}): "
            "a better one may lie outside."
        )


def _cost(page: Page, tuning: Mapping[str, Any]) -> str:
    seeds = tuning["seeds"]
    settings = len(tuning["arms"][0]["sensitivity"])
    return (
        f"Tuning cost {count(tuning['trials'], 'trial')} ({count(len(tuning['arms']), 'arm')} x "
        f"{count(settings, 'setting')} x {count(len(seeds), 'seed')}, from {seeds[0]}) and "
        f"{duration(tuning['seconds'])} of training{'; test data took no part' if _blind(page, tuning) else ''}."
    )


def _blind(page: Page, tuning: Mapping[str, Any]) -> bool:
    """Whether no sample that is tested took part in tuning."""
    # An older run, which held nothing out, may have tuned on what it tested at another seed.
    return "data" in tuning or all(arm.get("split_seed") != "per_seed" for arm in page.comparison.arms)


def _held_out(page: Page, tuning: Mapping[str, Any]) -> Iterator[str]:
    """What was left to tune on, where every seed tests other samples of one set."""
    data = tuning.get("data", {}).get(page.comparison.dataset)
    if data and data["held_out"]:
        yield (
            f"Every seed has a test set of its own: {count(data['held_out'], 'sample')} that some seed tests were held "
            f"out, and tuning trained on {data['train']:,} and validated on {data['val']:,}."
        )
