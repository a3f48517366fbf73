"""The arms of a comparison: which are drawn, and what each one is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from clsbench.analysis.curves import Comparison, leading
from clsbench.config.entries import LossEntry
from clsbench.metrics.measures import label_of
from clsbench.registry import catalogue
from clsbench.report.document import ArmList, ArmRef, Paragraph, Section, Text
from clsbench.report.text import setting_of
from clsbench.results import ArmSummary

MAX_DRAWN = 8  # more lines than that hide one another
MAX_ON_SCREEN = 6  # where a comparison has to fit on one screen
MAX_ROWS = 30  # of a table: more arms fill screens, and the summary has them all
SAID = ("dataset=", "model=")  # above each comparison

Refs = Mapping[str, ArmRef]
"""The arms of a comparison by name; a reference may show a shorter one."""


def references(comparison: Comparison) -> dict[str, ArmRef]:
    """By name, the arms of a comparison; those that are drawn are marked, in their order."""
    return _marked(comparison, {arm["name"]: arm["name"] for arm in comparison.arms})


def short_references(comparison: Comparison, most: int = MAX_DRAWN) -> dict[str, ArmRef]:
    """The same, under names without the settings that all arms share, where those still differ; `most` are drawn."""
    common = set(_in_all([_swept(arm) for arm in comparison.arms]))
    short = {arm["name"]: " ".join([arm["label"], *_without(_swept(arm), common)]) for arm in comparison.arms}
    if len(set(short.values())) < len(short):
        short = {name: name for name in short}
    return _marked(comparison, short, most)


def _marked(comparison: Comparison, shown: Mapping[str, str], most: int = MAX_DRAWN) -> dict[str, ArmRef]:
    marks = {arm["name"]: mark for mark, arm in enumerate(leading(comparison, most))}
    return {name: ArmRef(text, marks.get(name)) for name, text in shown.items()}


def shared(comparison: Comparison) -> list[str]:
    """The settings that all arms of a comparison share, as `lr=0.5`, but for its dataset, its model and defaults."""
    swept = [part for part in _in_all([_swept(arm) for arm in comparison.arms]) if "=" in part]
    swept = [part for part in swept if not part.startswith(SAID)]
    common = _in_all([_parts(arm["setting"]) for arm in comparison.arms])
    told = [part for part in common if not all(_is_default(arm, part) for arm in comparison.arms)]
    return [*dict.fromkeys([*swept, *told])]


def own_legend(comparison: Comparison, refs: Refs) -> ArmList:
    """Each drawn arm with the settings that neither its name nor `shared` says, without options at their default."""
    common = set(shared(comparison))
    found = []
    for arm in comparison.arms:
        named = {*common, *_swept(arm)}
        parts = [part for part in _parts(arm["setting"]) if part not in named and not _is_default(arm, part)]
        if refs[arm["name"]].mark is not None:
            found.append((refs[arm["name"]], ", ".join(parts)))
    return ArmList(tuple(found))


def _swept(arm: ArmSummary) -> list[str]:
    """The settings in an arm's name, after its label; a label of several words among their values is several parts."""
    return arm["name"].removeprefix(arm["label"]).split()


def _parts(setting: str | None) -> list[str]:
    return re.split(r", (?=\w+=)", setting) if setting else []


def _in_all(lists: Sequence[Sequence[str]]) -> list[str]:
    return [part for part in lists[0] if all(part in each for each in lists)]


def _without(parts: Sequence[str], common: set[str]) -> list[str]:
    return [part for part in parts if part not in common]


def _is_default(arm: ArmSummary, part: str) -> bool:
    """Whether an option or the weight has its default; not the reduction, which scales a loss and its gradient."""
    key, _, value = part.partition("=")
    if key == "weight":
        return json.dumps(LossEntry.model_fields[key].default) == value
    options = next((spec.options for spec in catalogue.all("loss") if spec.name == arm["loss"]), {})
    option = options.get(key)
    return key != "reduction" and option is not None and not option.required and json.dumps(option.default) == value


def drawn(refs: Refs) -> dict[str, ArmRef]:
    """The arms that are drawn, by name, in the order of their marks."""
    return {name: ref for name, ref in refs.items() if ref.mark is not None}


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
