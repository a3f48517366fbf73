"""The arms of a comparison: which are drawn, and what each one is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from clsbench.analysis.curves import Comparison, leading
from clsbench.metrics.measures import label_of
from clsbench.report.document import ArmList, ArmRef, Paragraph, Section, Text
from clsbench.report.text import setting_of
from clsbench.results import ArmSummary

MAX_DRAWN = 8  # more lines than that hide one another
MAX_ROWS = 30  # of a table: more arms fill screens, and the summary has them all

Refs = Mapping[str, ArmRef]


def references(comparison: Comparison) -> dict[str, ArmRef]:
    """By name, the arms of a comparison; those that are drawn are marked, in their order."""
    drawn = {arm["name"]: mark for mark, arm in enumerate(leading(comparison, MAX_DRAWN))}
    return {arm["name"]: ArmRef(arm["name"], drawn.get(arm["name"])) for arm in comparison.arms}


def drawn(refs: Refs) -> list[ArmRef]:
    """The arms that are drawn, in the order of their marks."""
    return [ref for ref in refs.values() if ref.mark is not None]


def tabled(comparison: Comparison) -> list[ArmSummary]:
    """The arms that have a row in tables: of many, those with the best final headline metric."""
    return leading(comparison, MAX_ROWS)


def settings(comparison: Comparison, refs: Refs) -> ArmList:
    """Each arm with its setting: the loss behind a label, reduction, weight, learning rate."""
    return ArmList(tuple((refs[arm["name"]], setting_of(arm)) for arm in tabled(comparison)))


def arms(comparison: Comparison, refs: Refs) -> Section:
    """The legend, and which arms are drawn or in tables if not all are."""
    return Section("arms", (), (settings(comparison, refs), *map(Paragraph, _left_out(comparison, refs))))


def _left_out(comparison: Comparison, refs: Refs) -> Iterator[Text]:
    lines, rows, in_all = len(drawn(refs)), len(tabled(comparison)), len(comparison.arms)
    if lines < in_all:
        best = f"those with the best final {label_of(comparison.headline)}"
        yield (f"The plots show {lines} of {in_all} arms, {best}.",)
    if rows < in_all:
        yield (f"The tables show the first {rows} by the same measure; summary.json holds all {in_all}.",)
