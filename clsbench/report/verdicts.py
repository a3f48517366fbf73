"""The verdicts of a comparison: a table of pairs, and what can be said of the best arm in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from clsbench.analysis.curves import ranked
from clsbench.analysis.verdicts import Row, seeds_needed, seen_from
from clsbench.config.verdicts import BETTER, NO_DIFFERENCE, TOLERANCES, TOO_FEW_SEEDS, WORSE
from clsbench.report.page import Page
from clsbench.report.tables import Column, tables
from clsbench.report.text import PROTOCOLS, listed, metric_name, with_interval

MOST_ARMS = 6  # the pairs of more would fill screens
RELATIONS = {BETTER: "better than", NO_DIFFERENCE: "no different from", WORSE: "worse than"}


def verdict_table(page: Page, summary: Mapping[str, Any]) -> Iterator[RenderableType]:
    """Every pair of arms by every metric that is judged; with many arms the pairs of the best one."""
    rows = _shown(page, summary)
    if not rows:
        yield from map(_paragraph, _unjudged(summary))
        return
    yield _paragraph("Verdicts: differences paired by seed, mean [95% interval]", "bold")
    columns = _columns(page, rows)
    if page.look.narrow:
        for place, row in enumerate(rows):
            yield _paragraph(f"{_pair(page, row)}, {metric_name(row['metric'])}")
            for column in columns:
                yield _paragraph(f"  {column.header}: {column.cells[place]}")
    else:
        pairs = [_pair(page, row) for row in rows]
        names = [
            (Text("" if place and pair == pairs[place - 1] else pair), Text(metric_name(row["metric"])))
            for place, (pair, row) in enumerate(zip(pairs, rows, strict=True))
        ]
        heads, look = ("pair", "metric"), page.look
        yield from tables(names, columns, heads=heads, width=look.width, ascii_only=look.ascii_only)
    in_all = len(_of_comparison(page, summary))
    if len(rows) < in_all:
        yield _paragraph(f"These are of the best arm; summary.json holds all {in_all} verdicts.")
    yield from map(_paragraph, _unjudged(summary))
    yield Text()


def conclusions(page: Page, summary: Mapping[str, Any]) -> Iterator[str]:
    """What the verdicts say of the arm that ends highest in test accuracy, and what would settle the open ones."""
    best = next((arm["name"] for arm in ranked(page.comparison.arms)), None)
    rows = [seen_from(row, best) for row in _shown(page, summary) if best in (row["a"], row["b"])]
    if best is None or not rows:
        return
    ground = _ground(page, summary)
    if all(row["low"] is None for row in rows):
        yield f"{ground}, one seed gives no interval and no p-value: train more (train.seeds) for a verdict."
        return
    sentences = []
    if decided := _decided(page, rows):
        sentences.append(f"{page.name(best)} is {decided}")
    if still_open := [row for row in rows if row["verdict"] == TOO_FEW_SEEDS and not _is_constant(row)]:
        others = listed(_open(page, still_open, summary))
        sentences.append(f"the seeds are too few to tell {page.name(best)} {others}")
    if constant := [f"{_called(page, row['b'])} in {metric_name(row['metric'])}" for row in rows if _is_constant(row)]:
        sentences.append(f"the difference from {listed(constant)} is the same at every seed, which leaves no p-value")
    yield f"{ground}, {sentences[0]}."
    for sentence in sentences[1:]:
        yield f"{sentence[0].upper()}{sentence[1:]}."


def _is_bounded(summary: Mapping[str, Any]) -> bool:
    """Whether there were too many pairs of arms to judge them all."""
    pairs = summary.get("pairs")
    return bool(pairs and pairs["judged"] < pairs["all"])


def _called(page: Page, arm: str) -> str:
    """The letter of an arm, or its name where it has none."""
    return page.letters.get(arm) or page.look.words(arm)


def _unjudged(summary: Mapping[str, Any]) -> Iterator[str]:
    if _is_bounded(summary):
        pairs = summary["pairs"]
        yield (
            f"Of {pairs['all']:,} pairs of arms {pairs['judged']:,} were judged: each arm against the first of its "
            "comparison, and the pairs whose verdict is expected (expect: verdict(A, B, METRIC))."
        )


def _paragraph(text: str, style: str = "") -> Text:
    return Text(text, style, overflow="fold")


def _shown(page: Page, summary: Mapping[str, Any]) -> list[Row]:
    rows = _of_comparison(page, summary)
    if len(page.comparison.arms) <= MOST_ARMS or not rows:
        return rows
    best = ranked(page.comparison.arms)[0]["name"]
    shown = set(page.letters)
    if _is_bounded(summary):
        shown.add(page.comparison.arms[0]["name"])  # which all are judged against
    return [seen_from(row, best) for row in rows if best in (row["a"], row["b"]) and {row["a"], row["b"]} <= shown]


def _of_comparison(page: Page, summary: Mapping[str, Any]) -> list[Row]:
    names = {arm["name"] for arm in page.comparison.arms}
    return [row for row in summary["verdicts"] if row["a"] in names]


def _columns(page: Page, rows: Sequence[Row]) -> list[Column]:
    num_seeds = page.comparison.num_seeds
    columns = [
        Column("difference", [with_interval(row["difference"], row["low"], row["high"]) for row in rows]),
        Column("Holm's p", [_p(row["p_holm"]) for row in rows]),
        Column("verdict", [_word(page, row) for row in rows]),
    ]
    if any(row["n"] < num_seeds for row in rows):
        columns.insert(1, Column("seeds", [f"{row['n']} of {num_seeds}" for row in rows]))
    return columns


def _p(p: float | None) -> str:
    return "-" if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def _word(page: Page, row: Row) -> str:
    word: str = row["verdict"]
    return f"{_called(page, row['a'])} {word}" if word in (BETTER, WORSE) else word


def _pair(page: Page, row: Row) -> str:
    return f"{_called(page, row['a'])} - {_called(page, row['b'])}"


def _is_constant(row: Row) -> bool:
    return row["low"] is not None and bool(row["low"] == row["high"])


def _ground(page: Page, summary: Mapping[str, Any]) -> str:
    """What the verdicts are conditional on."""
    per_seed = page.comparison.arms[0].get("split_seed") == "per_seed"
    split = "Over splits drawn anew at every seed" if per_seed else "For this split"
    tuning = summary.get("tuning")
    return split if tuning is None else f"{split}, with {PROTOCOLS[tuning['protocol']]}"


def _decided(page: Page, rows: Sequence[Row]) -> str:
    """`better than A and C in test accuracy and test NLL; no different from A in test Brier`."""
    metrics: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for metric in TOLERANCES:
        for word in RELATIONS:
            found = [row for row in rows if row["metric"] == metric and row["verdict"] == word]
            if others := tuple(_called(page, row["b"]) for row in found if not _is_constant(row)):
                metrics.setdefault((word, others), []).append(metric_name(metric))
    return "; ".join(
        f"{RELATIONS[word]} {listed(others)} in {listed(names)}" for (word, others), names in metrics.items()
    )


def _open(page: Page, rows: Sequence[Row], summary: Mapping[str, Any]) -> list[str]:
    """By metric: `from A and C in test accuracy (about 34 and 12 seeds would settle it)`."""
    told = []
    for metric in TOLERANCES:
        found = [row for row in rows if row["metric"] == metric]
        needed = [seeds_needed(row, summary["verdicts"]) for row in found]
        numbers = listed(["?" if number is None else f"{number:,}" for number in needed])
        settled = f" (about {numbers} seeds would settle it)" if any(needed) else ""
        if found:
            told.append(f"from {listed([_called(page, row['b']) for row in found])} in {metric_name(metric)}{settled}")
    return told
