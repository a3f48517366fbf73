"""Tables of arms: the metrics at the last epoch, mean and standard deviation over seeds."""

from __future__ import annotations

from collections.abc import Sequence

from clsbench.analysis.curves import Comparison, final_mean
from clsbench.metrics.measures import diagnostics, headline, label_of, on_split
from clsbench.report.document import Cell, Column, Section, Table
from clsbench.report.sections.arms import Refs, tabled
from clsbench.report.values import mean_std


def test(comparison: Comparison, refs: Refs) -> Section:
    """Every test metric; also those of a plugin that is not loaded now."""
    kept = (key for arm in comparison.arms for key in arm["metrics"] if key.startswith("test_"))
    fields = list(dict.fromkeys([*on_split("test"), *kept]))
    return _measured("test", comparison, refs, fields, "Test, last epoch")


def validation(comparison: Comparison, refs: Refs) -> Section | None:
    """The validation metrics; None where nothing was set apart for them."""
    if not has_validation(comparison):
        return None
    return _measured("validation", comparison, refs, list(on_split("val")), "Validation, last epoch")


def training(comparison: Comparison, refs: Refs) -> Section:
    """The loss and the metrics of training."""
    return _measured("training", comparison, refs, list(on_split("train")), "Training, over the last epoch")


def gradients(comparison: Comparison, refs: Refs) -> Section:
    """The norm of the gradient that remains on the logits, and the share of samples that are stuck."""
    where = "validation" if has_validation(comparison) else "training"
    fields = [spec.name for spec in diagnostics()]
    return _measured("gradients", comparison, refs, fields, f"Logit gradients ({where}, last epoch)")


def has_validation(comparison: Comparison) -> bool:
    return any(final_mean(arm, headline(comparison.problem, "val")) is not None for arm in comparison.arms)


def arm_table(comparison: Comparison, refs: Refs, columns: Sequence[tuple[Column, Sequence[Cell]]]) -> Table:
    """A row for each arm that is in tables, with its cell of every column."""
    arms = tabled(comparison)
    rows = zip(*(cells for _, cells in columns), strict=True)
    return Table(
        columns=(Column(("arm",), "left"), *(column for column, _ in columns)),
        rows=tuple((refs[arm["name"]], *row) for arm, row in zip(arms, rows, strict=True)),
        omitted=len(comparison.arms) - len(arms),
    )


def _measured(name: str, comparison: Comparison, refs: Refs, metrics: Sequence[str], title: str) -> Section:
    columns = [
        (
            Column((label_of(metric).replace("validation", "val"),)),
            [mean_std(arm["metrics"].get(metric)) for arm in tabled(comparison)],
        )
        for metric in metrics
    ]
    table = arm_table(comparison, refs, columns)
    return Section(name, (f"{title}: mean ± standard deviation over seeds",), (table,))
