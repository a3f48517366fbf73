"""Cross-evaluation in the terminal: trained with one loss, measured by every other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from clsbench.analysis.curves import Arm
from clsbench.report.page import Page
from clsbench.report.tables import Column
from clsbench.report.text import number

TITLE = "Trained with the row's loss, measured by every column: test, last epoch, means over seeds"
RULER = {
    "accuracy": "accuracy",
    "nll": "NLL",
    "likelihood": "likelihood\nper sample",
    "brier": "Brier",
    "ece": "ECE",
    "margin": "margin",
}
WIDEST_LABEL = 16


def cross_columns(page: Page) -> Iterator[Column]:
    """A column for each measure and then for each loss; none for a run that kept nothing of the kind."""
    arms = page.arms
    if not all("cross" in arm for arm in arms):
        return
    for name, title in RULER.items():
        yield Column(title, [_mean(arm["cross"][name]) for arm in arms])
    # Beyond some number of losses each measures its own networks alone, which makes no column.
    for label in (
        label for label in arms[0]["cross"]["losses"] if all(label in arm["cross"]["losses"] for arm in arms)
    ):
        yield Column(f"loss\n{_folded(page.look.words(label))}", [_mean(_of_loss(arm, label)) for arm in arms])


def _of_loss(arm: Arm, label: str) -> Mapping[str, Any]:
    column: Mapping[str, Any] = arm["cross"]["losses"][label]
    return column


def _mean(column: Mapping[str, Any]) -> str:
    return number(column["mean"])


def _folded(label: str) -> str:
    """A label on lines of at most WIDEST_LABEL characters, broken after `_` and blanks where it can be."""
    lines = [""]
    for part in re.findall(rf"[^_ ]{{1,{WIDEST_LABEL - 1}}}[_ ]?|[_ ]", label):
        if len(lines[-1]) + len(part) > WIDEST_LABEL:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)
