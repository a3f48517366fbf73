"""Classes that are not equally frequent: each arm's recall, precision and predictions, class by class."""

from __future__ import annotations

from clsbench.analysis.classes import is_skewed
from clsbench.analysis.curves import Comparison
from clsbench.metrics.measures import field_of
from clsbench.report.document import Cell, Column, Mark, Paragraph, Section, Table
from clsbench.report.sections.arms import Refs
from clsbench.report.values import mean_std

MOST_CLASSES = 6  # in the table; of more, the least frequent are the ones that accuracy hides
FIELDS = {"recall": "test_recall", "precision": "test_precision"}


def by_class(comparison: Comparison, refs: Refs) -> Section | None:
    """A row for each drawn arm and class; None where the classes are equally frequent, or nothing was kept of them."""
    classes = comparison.classes
    arms = [arm for arm in comparison.arms if refs[arm["name"]].mark is not None]
    if not is_skewed(classes) or not any(field.startswith("test_recall[") for arm in arms for field in arm["metrics"]):
        return None
    rarest = sorted(classes, key=lambda each: each["train"])[:MOST_CLASSES]
    shown = [each["name"] for each in classes if each in rarest]
    confusions = {arm["name"]: confusion for arm in arms if (confusion := arm["confusion"])}
    predicted = shown if len(shown) == len(classes) and len(confusions) == len(arms) else []
    rows: list[tuple[Cell, ...]] = []
    for arm in arms:
        for name in shown:
            means = (mean_std(arm["metrics"].get(field_of(field, name))) for field in FIELDS.values())
            counts = (str(confusions[arm["name"]][name][other]) for other in predicted)
            rows.append(((Mark(refs[arm["name"]]),), name, *means, *counts))
    heads = (Column(("",), "left"), Column(("class",), "left"), *(Column((label,)) for label in FIELDS))
    table = Table((*heads, *(Column(("taken for", name)) for name in predicted)), tuple(rows), num_heads=2)
    title = "By class, test, last epoch: mean ± standard deviation over seeds"
    if predicted:
        title += "; samples of all seeds"
    left_out = len(classes) - len(shown)
    note = [Paragraph((f"the {len(shown)} least frequent of {len(classes)} classes",), "note")] if left_out else []
    return Section("by_class", (title,), (table, *note))
