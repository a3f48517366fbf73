"""What a report says of classes: the majority, and where some are rare, each arm class by class."""

from __future__ import annotations

from typing import Any

import pytest

from clsbench.report.compose import figure_documents
from clsbench.report.document import Curves, Level, Mark, Table
from clsbench.report.renderers.figures import draw
from clsbench.report.sections import metrics
from clsbench.report.sections.classes import by_class
from clsbench.report.sections.curves import curves
from clsbench.report.values import MeanStd
from tests.report.runs import Records, Summary, blocks, compared, on_screen, run_of

FINALS = {"good": {"test_balanced_accuracy": 0.8}, "bad": {"test_balanced_accuracy": 0.5}}


def unequal(rare: int, names: tuple[str, ...] = ("no", "yes")) -> tuple[Records, Summary]:
    """A run on classes of which the first has 90 samples for training and 9 for testing, the last `rare`."""
    records, summary = run_of(["good", "bad"], finals=FINALS)
    counts = [90] * (len(names) - 1) + [rare]
    classes = [{"name": name, "train": n, "val": 0, "test": n // 10} for name, n in zip(names, counts, strict=True)]
    sizes = {split: sum(int(str(each[split])) for each in classes) for split in ("train", "val", "test")}
    described = {
        "problem": "single_label",
        "targets": None,
        "shape": [2],
        "majority": None,
        "columns": None,
        "source": "moons",
        "classes": classes,
    }
    summary["data"] = {"moons": {**described, **sizes}}
    for arm in summary["arms"]:
        found = arm["metrics"]
        found |= dict.fromkeys(("test_balanced_accuracy", "test_auroc"), found["test_accuracy"])
        found |= {f"test_{field}[{name}]": found["test_ece"] for field in ("recall", "precision") for name in names}
        arm["confusion"] = {name: dict.fromkeys(names, rare) for name in names}
    return records, summary


def test_the_majority_is_a_row_and_a_line() -> None:
    """Always answering the most frequent training class has its accuracy in the table, and across the plot."""
    records, summary = unequal(30)
    comparison, refs = compared(records, summary)
    (table,) = blocks(metrics.test(comparison, refs), Table)
    by_header = dict(zip([" ".join(column.header) for column in table.columns], table.rows[-1], strict=True))
    assert ("majority", 0.75, 0.5) == tuple(
        by_header[name] for name in ("arm", "test accuracy", "test balanced accuracy")
    )
    assert by_header["test NLL"] is None
    (plot,) = blocks(curves(comparison, refs, "test_accuracy"), Curves)
    assert Level(0.75, "always 'no', the majority") == plot.level
    (plot,) = blocks(curves(comparison, refs, "test_nll"), Curves)
    assert plot.level is None


@pytest.mark.parametrize(("encoding", "dash"), [("utf-8", "╌"), ("ascii", "-")])
def test_the_line_is_drawn_and_explained(encoding: str, dash: str) -> None:
    """In the terminal dashes cross the plot of accuracy, and a sentence says what they are."""
    screen = on_screen(*unequal(30), encoding=encoding).splitlines()
    assert any((3 * dash in line and line.lstrip()[:1].isdigit()) or 20 * dash in line for line in screen)
    assert "dashed: always 'no', the majority, 0.750" in screen
    figure = draw(figure_documents(*unequal(30))["curves"])
    levels = [
        line.get_ydata() for axes in figure.subfigs[0].axes for line in axes.lines if line.get_linestyle() == "--"
    ]
    assert [[0.75, 0.75]] == [list(level) for level in levels if len(set(level)) == 1 and len(level) == 2]


def test_rare_classes_have_a_table() -> None:
    """Where one class has half the samples of another, each arm has its recall, precision and predictions by class."""
    comparison, refs = compared(*unequal(45))
    (table,) = blocks(by_class(comparison, refs), Table)
    heads = [("",), ("class",), ("recall",), ("precision",), ("taken for", "no"), ("taken for", "yes")]
    assert heads == [column.header for column in table.columns]
    recall = MeanStd(pytest.approx(0.06), pytest.approx(0.01))
    assert ((Mark(refs["good"]),), "no", recall, recall, "45", "45") == table.rows[0]
    assert [("good", "no"), ("good", "yes"), ("bad", "no"), ("bad", "yes")] == [
        (row[0][0].arm.name, row[1]) for row in table.rows
    ]


def test_equal_classes_need_no_table() -> None:
    """Where classes are about equally frequent, neither they nor metrics for skewed ones are shown."""
    comparison, refs = compared(*unequal(46))
    assert by_class(comparison, refs) is None
    (table,) = blocks(metrics.test(comparison, refs), Table)
    assert not {"test balanced accuracy", "test AUROC"} & {" ".join(column.header) for column in table.columns}


def test_of_many_classes_the_rarest_are_shown() -> None:
    """The table has the six with the fewest training samples, and says of how many."""
    names = tuple(f"c{number}" for number in range(9))
    comparison, refs = compared(*unequal(10, names))
    section: Any = by_class(comparison, refs)
    (table,) = blocks(section, Table)
    assert ["c0", "c1", "c2", "c3", "c4", "c8"] == [row[1] for row in table.rows[:6]]
    assert 4 == len(table.columns)
    assert "the 6 least frequent of 9 classes" == section.blocks[-1].text[0]
