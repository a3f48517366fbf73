"""A run in the terminal: curves, tables, and what they come to, readable at 80 columns, in one colour, in ASCII."""

import os.path
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.text import Text

from clsbench.analysis.curves import (
    Arm,
    Comparison,
    Curve,
    Record,
    comparisons,
    final_mean,
    leading,
    seconds_per_trial,
    spans_decades,
)
from clsbench.analysis.targets import NEAR_BEST, Reached, times_to_target
from clsbench.report.cross import TITLE as CROSS_TITLE
from clsbench.report.cross import cross_columns
from clsbench.report.expectations import told
from clsbench.report.page import LETTERS, Look, Page
from clsbench.report.plots import Line, draw_lines
from clsbench.report.progress import Progress
from clsbench.report.sentences import outcome, stuck
from clsbench.report.tables import Column, legend, tables
from clsbench.report.text import (
    count,
    duration,
    mean_and_deviation,
    mean_and_range,
    metric_name,
    number,
    printable,
    setting_of,
    warm_start_of,
)
from clsbench.report.tuning import tuned
from clsbench.report.verdicts import conclusions, verdict_table

__all__ = ["Progress", "printable", "show_run"]

PLOTTED = ("test_accuracy", "test_nll", "train_nll")
TEST_METRICS = ("test_accuracy", "test_nll", "test_brier", "test_ece")
VALIDATION_METRICS = ("val_accuracy", "val_nll", "val_brier", "val_ece")
TRAINING_METRICS = ("train_loss", "train_accuracy", "train_nll")
GRADIENT_METRICS = ("logit_grad_norm", "stuck_share")
PLOT_HEIGHT = 12
WIDEST_PLOT = 100


def show_run(console: Console, records: Iterable[Record], summary: Mapping[str, Any], files: Sequence[str]) -> None:
    """Print every comparison of a run (heading, curves, tables, outcome), then where its `files` are."""
    look = Look(console.width, console.encoding)
    compared = comparisons(records, summary)
    for index, comparison in enumerate(compared, start=1):
        letters = dict(zip((arm["name"] for arm in leading(comparison.arms, len(LETTERS))), LETTERS, strict=False))
        page = Page(comparison, look, letters)
        place = f" ({index} of {len(compared)})" if len(compared) > 1 else ""
        for part in _page(page, summary, place):
            console.print(part, markup=False, highlight=False)
    if summary["expectations"]:
        console.print(_paragraph("Expected", "bold"))
        for row in summary["expectations"]:
            console.print(_paragraph(look.words(told(row, summary))))
        console.print()
    seconds = summary.get("seconds")
    if seconds is not None:
        console.print(Text(f"Training took {duration(seconds)}.", overflow="fold"))
    _show_files(console, files, look)


def _page(page: Page, summary: Mapping[str, Any], place: str) -> Iterator[RenderableType]:
    yield from _heading(page, summary, place)
    yield from _arms(page)
    if not page.look.narrow:
        for metric in PLOTTED:
            yield from _plot(page, metric)
    yield from _measured(page, _test_metrics(page.comparison.arms), "Test, at the last epoch")
    if crossed := list(cross_columns(page)):
        yield from _columns(page, CROSS_TITLE, crossed)
    validated = any(final_mean(arm, "val_accuracy") is not None for arm in page.comparison.arms)
    if validated:
        yield from _measured(page, VALIDATION_METRICS, "Validation, at the last epoch")
    yield from _measured(page, TRAINING_METRICS, "Training, over the last epoch")
    where = "validation" if validated else "training"
    yield from _measured(page, GRADIENT_METRICS, f"Gradients on {where} logits, at the last epoch")
    yield from _course(page)
    yield from tuned(page, summary.get("tuning"))
    yield from verdict_table(page, summary)
    for sentence in [*outcome(page), *conclusions(page, summary), *stuck(page)]:
        yield _paragraph(sentence)
    yield Text()


def _paragraph(text: str, style: str = "") -> Text:
    return Text(text, style, overflow="fold")


def _heading(page: Page, summary: Mapping[str, Any], place: str) -> Iterator[Text]:
    comparison, look = page.comparison, page.look
    title = look.words(summary["name"]) + place
    if summary["status"] != "finished":
        title += f" - {look.words(summary['status'])}"
    yield _paragraph(title, "bold")
    yield Text(("-" if look.ascii_only else "━") * min(look.width, WIDEST_PLOT), "dim")
    yield _paragraph(
        f"dataset {look.words(comparison.dataset)}, model {look.words(comparison.model)}, "
        f"{count(comparison.num_seeds, 'seed')}, {count(comparison.last_epoch, 'epoch')}, "
        f"on {look.words(summary['device'])}"
    )
    if summary.get("warm_start"):
        yield _paragraph(f"every trial starts from {warm_start_of(summary['warm_start'])}")
    yield Text()


def _arms(page: Page) -> Iterator[RenderableType]:
    """The legend: each arm with its letter and its setting."""
    words = page.look.words
    arms, in_all = page.arms, len(page.comparison.arms)
    if page.look.narrow:
        for arm in arms:
            yield _paragraph(f"{page.name(arm['name'])}: {words(setting_of(arm))}")
    else:
        settings = [Text(words(setting_of(arm)), "dim") for arm in arms]
        yield legend([page.row(arm["name"]) for arm in arms], settings, page.look.width)
    if in_all > len(page.letters):
        yield _paragraph(f"Drawn are {len(page.letters)} of {in_all} arms: those that end highest in test accuracy.")
    if in_all > len(arms):
        yield _paragraph(f"The tables have the first {len(arms)} by that; summary.json has {in_all - len(arms)} more.")
    yield Text()


def _plot(page: Page, metric: str) -> Iterator[RenderableType]:
    curves = [page.comparison.curve(name, metric) for name in page.letters]
    drawn = [curve for curve in curves if curve.epochs]
    if not drawn:
        return
    lines = [Line(page.letters[curve.arm], page.style(curve.arm), curve.epochs, curve.mean) for curve in drawn]
    scale = ", log scale" if spans_decades([mean for curve in drawn for mean in curve.mean]) else ""
    yield _paragraph(f"{metric_name(metric)} by epoch, mean over seeds{scale}", "bold")
    yield draw_lines(
        lines, width=min(page.look.width, WIDEST_PLOT), height=PLOT_HEIGHT, ascii_only=page.look.ascii_only
    )
    arms = {arm["name"]: arm for arm in page.comparison.arms}
    ends = [Text(_end(page.comparison, curve, arms[curve.arm])) for curve in drawn]
    yield legend(
        [(Text(), Text("at the end", "dim")), *(page.row(curve.arm) for curve in drawn)],
        [Text("mean [min, max over seeds]", "dim"), *ends],
        page.look.width,
    )
    yield from _undrawn(page, [curve.arm for curve in curves if not curve.epochs])
    yield Text()


def _end(comparison: Comparison, curve: Curve, arm: Arm) -> str:
    """Where a curve ends, and with fewer seeds than it began with, or before the last epoch, why."""
    if curve.epochs[-1] < comparison.last_epoch:
        return f"none left after epoch {curve.epochs[-1]}"
    seeds = "" if curve.n[-1] == len(arm["seeds"]) else f" {curve.n[-1]} of {len(arm['seeds'])} seeds"
    return mean_and_range(arm["metrics"].get(curve.metric)) + seeds


def _undrawn(page: Page, names: Sequence[str]) -> Iterator[Text]:
    trained = [name for name in names if page.comparison.curve(name, "test_accuracy").epochs]
    lost = [name for name in names if name not in trained]
    for reason, group in (("No probabilities, so no NLL", trained), ("No finished epoch", lost)):
        if group:
            yield _paragraph(f"{reason}: {', '.join(page.name(name) for name in group)}.")


def _test_metrics(arms: Sequence[Arm]) -> list[str]:
    """Every final test metric: those of classification, then what another kind of problem adds."""
    return list(dict.fromkeys([*TEST_METRICS, *(key for arm in arms for key in arm["metrics"] if key[:5] == "test_")]))


def _measured(page: Page, metrics: Sequence[str], title: str) -> Iterator[RenderableType]:
    """Mean and deviation over seeds of `metrics`."""
    columns = [
        Column(
            metric_name(metric).replace("validation", "val"),
            [mean_and_deviation(arm["metrics"].get(metric), page.look.plus_minus) for arm in page.arms],
        )
        for metric in metrics
    ]
    yield from _columns(page, f"{title}: mean {page.look.plus_minus} deviation over seeds", columns)


def _course(page: Page) -> Iterator[RenderableType]:
    """How each arm got there: how soon, at what cost, how many trials were lost on the way."""
    comparison = page.comparison
    names = [arm["name"] for arm in page.arms]
    reached = times_to_target(comparison)
    seconds = [seconds_per_trial(comparison.records[name]) for name in names]
    columns = [
        Column("epochs to 95%\nof the best", [_told_time(reached.get(name), comparison) for name in names]),
        Column("diverged\nseeds", [f"{arm['diverged']} of {len(arm['seeds'])}" for arm in page.arms]),
        *_failed(page.arms),
        Column("time of\na trial", ["-" if second is None else duration(second) for second in seconds]),
    ]
    target = ""
    if reached:
        found = number(next(iter(reached.values())).target)
        target = f" (epochs to {NEAR_BEST:.0%} of the best mean test accuracy, {found}: median over seeds)"
    yield from _columns(page, f"Course{target}", columns)


def _failed(arms: Sequence[Mapping[str, Any]]) -> list[Column]:
    """A column of its own where a trial failed, which is rare."""
    counts = [len(arm.get("failures", ())) for arm in arms]
    cells = [f"{count} of {len(arm['seeds'])}" for count, arm in zip(counts, arms, strict=True)]
    return [Column("failed\nseeds", cells)] if any(counts) else []


def _told_time(reached: Reached | None, comparison: Comparison) -> str:
    """`7`; `> 30` where the median is later than the last epoch; with how many seeds reached it if not all did."""
    if reached is None:
        return "-"
    times = reached.times
    median = f"> {comparison.last_epoch}" if times.median is None else f"{times.median:g}"
    return median if times.reached in (0, times.n) else f"{median} ({times.reached} of {times.n})"


def _columns(page: Page, title: str, columns: Sequence[Column]) -> Iterator[RenderableType]:
    names = [arm["name"] for arm in page.arms]
    yield _paragraph(title, "bold")
    if page.look.narrow:
        for row, name in enumerate(names):
            yield _paragraph(page.name(name))
            for column in columns:
                header = column.header.replace("\n", " ")
                yield _paragraph(f"  {header}: {column.cells[row]}")
    else:
        yield from tables(
            [page.row(name) for name in names], columns, width=page.look.width, ascii_only=page.look.ascii_only
        )
    yield Text()


def _show_files(console: Console, files: Sequence[str], look: Look) -> None:
    """The files' names, under the directory that they lie in."""
    folders: dict[str, list[str]] = {}
    for file in files:
        folder, name = os.path.split(file)
        folders.setdefault(folder, []).append(look.words(name))
    for folder, names in folders.items():
        # A path that is broken over lines cannot be copied; a terminal wraps it by itself.
        console.print(Text(os.path.join(look.words(folder or "."), "")), soft_wrap=True)
        console.print(_paragraph(", ".join(names)))
