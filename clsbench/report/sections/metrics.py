"""Tables of arms: the metrics at the last epoch, mean and standard deviation over seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from clsbench.analysis.classes import is_skewed, majority_accuracy
from clsbench.analysis.curves import Comparison, final_mean
from clsbench.analysis.statistics import middle
from clsbench.metrics.measures import Measured, diagnostics, headline, judged, label_of, measured, on_split, parts_of
from clsbench.report.document import Cell, Column, Section, Table
from clsbench.report.sections.arms import Refs, tabled
from clsbench.report.values import MeanStd, mean_std


def test(comparison: Comparison, refs: Refs) -> Section:
    """Every test metric; also those of a plugin that is not loaded now."""
    kept = (key for arm in comparison.arms for key in arm["metrics"] if key.startswith("test_"))
    fields = list(dict.fromkeys([*on_split("test", comparison.problem), *kept]))
    return _measured("test", comparison, refs, fields, "Test, last epoch")


def robust(comparison: Comparison, refs: Refs) -> Section | None:
    """The metrics that verdicts compare, by what one odd seed moves beside what it does not; None below three seeds."""
    fields = [field for field in judged(comparison.problem) if is_shown(comparison, field)]
    rows = [row for field in fields for row in _robust_rows(comparison, refs, field)]
    if comparison.num_seeds < 3 or not rows:
        return None
    heads = (Column(("metric",), "left"), Column(("arm",), "left"))
    columns = (*heads, Column(("mean ± std",)), Column(("median",)), Column(("IQM",)))
    title = "Test over seeds: mean ± standard deviation, median, and mean of the middle half (IQM)"
    omitted = len(comparison.arms) - len(tabled(comparison))
    return Section("robust", (title,), (Table(columns, tuple(rows), num_heads=2, omitted=omitted),))


def _robust_rows(comparison: Comparison, refs: Refs, field: str) -> Iterator[tuple[Cell, ...]]:
    """A row for each arm that has the metric."""
    for arm in tabled(comparison):
        statistic = arm["metrics"].get(field)
        if statistic is not None and statistic["mean"] is not None:
            ends = (None if value is None else MeanStd(value, None) for value in middle(statistic["values"]))
            yield (label_of(field), refs[arm["name"]], mean_std(statistic), *ends)


def validation(comparison: Comparison, refs: Refs) -> Section | None:
    """The validation metrics; None where nothing was set apart for them."""
    if not has_validation(comparison):
        return None
    return _measured(
        "validation", comparison, refs, list(on_split("val", comparison.problem)), "Validation, last epoch"
    )


def training(comparison: Comparison, refs: Refs) -> Section:
    """The loss and the metrics of training."""
    return _measured(
        "training", comparison, refs, list(on_split("train", comparison.problem)), "Training, over the last epoch"
    )


def gradients(comparison: Comparison, refs: Refs) -> Section:
    """The norm of the gradient that remains on the logits, and the share of samples that are stuck."""
    where = "validation" if has_validation(comparison) else "training"
    fields = [spec.name for spec in diagnostics(comparison.problem)]
    return _measured("gradients", comparison, refs, fields, f"Logit gradients ({where}, last epoch)")


def has_validation(comparison: Comparison) -> bool:
    return any(final_mean(arm, headline(comparison.problem, "val")) is not None for arm in comparison.arms)


def arm_table(
    comparison: Comparison,
    refs: Refs,
    columns: Sequence[tuple[Column, Sequence[Cell]]],
    below: Sequence[tuple[Cell, ...]] = (),
) -> Table:
    """A row for each arm that is in tables, with its cell of every column, then the rows `below`."""
    arms = tabled(comparison)
    rows = zip(*(cells for _, cells in columns), strict=True)
    return Table(
        columns=(Column(("arm",), "left"), *(column for column, _ in columns)),
        rows=(*((refs[arm["name"]], *row) for arm, row in zip(arms, rows, strict=True)), *below),
        omitted=len(comparison.arms) - len(arms),
    )


def is_shown(comparison: Comparison, metric: str) -> bool:
    """Whether tables have a metric or field: not by class, those for skewed classes only where they are."""
    known = _known(comparison, metric)
    if parts_of(metric)[1] is not None or (known is not None and known.by_class):
        return False
    return known is None or not known.skewed or is_skewed(comparison.classes)


def _measured(name: str, comparison: Comparison, refs: Refs, metrics: Sequence[str], title: str) -> Section:
    arms = tabled(comparison)
    cells = {
        metric: [mean_std(arm["metrics"].get(metric)) for arm in arms]
        for metric in metrics
        if is_shown(comparison, metric)
    }
    shown = [metric for metric, column in cells.items() if may_stay(comparison, metric, column)]
    columns = [(Column((label_of(metric).replace("validation", "val"),)), cells[metric]) for metric in shown]
    table = arm_table(comparison, refs, columns, list(_majority(comparison, shown)))
    return Section(name, (f"{title}: mean ± standard deviation over seeds",), (table,))


def may_stay(comparison: Comparison, metric: str, column: Sequence[Cell]) -> bool:
    """Whether a column says something: one without a number does not, if the metric is of some data alone."""
    known = _known(comparison, metric)
    return known is None or not known.of_some_data or any(cell is not None for cell in column)


def _known(comparison: Comparison, metric: str) -> Measured | None:
    fields = measured(comparison.problem)
    return fields.get(metric) or fields.get(f"test_{metric}")


def _majority(comparison: Comparison, metrics: Sequence[str]) -> Iterator[tuple[Cell, ...]]:
    """The row of always answering the most frequent class of the training split, under held-out accuracy."""
    for split in ("val", "test"):
        accuracy = headline(comparison.problem, split)
        share = majority_accuracy(comparison.classes, split)
        if accuracy in metrics and share is not None:
            present = sum(each[split] > 0 for each in comparison.classes)
            known = {accuracy: share, f"{split}_balanced_accuracy": 1 / present}
            yield ("majority", *(known.get(metric) for metric in metrics))
