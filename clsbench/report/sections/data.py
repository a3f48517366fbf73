"""What was read: samples, columns and classes of each dataset, and the warnings of a run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from clsbench.problems import MultiLabel, SingleLabel
from clsbench.report.document import Paragraph, Section
from clsbench.report.text import count, number, percent
from clsbench.results import ClassCounts, DataSummary, RunWarning

MAX_CLASSES = 6
MAX_WARNINGS = 10
BRIEF_DATASETS, BRIEF_WARNINGS = 2, 3  # on the first screen
KINDS = {"number": ("number", "numbers"), "boolean": ("boolean", "booleans"), "category": ("category", "categories")}


def data(datasets: Mapping[str, DataSummary] | None, warnings: Sequence[RunWarning] | None) -> Section | None:
    """A few lines for each dataset, and a line for each warning; None where nothing is known of them."""
    lines = [line for label, dataset in (datasets or {}).items() for line in _lines(label, dataset)]
    shown = (warnings or ())[:MAX_WARNINGS]
    paragraphs = [Paragraph((line,)) for line in lines]
    paragraphs += map(_warning, shown)
    if more := len(warnings or ()) - len(shown):
        paragraphs.append(Paragraph((f"and {count(more, 'warning')} more, in summary.json",), "warning"))
    return Section("data", (), tuple(paragraphs)) if paragraphs else None


def brief_data(datasets: Mapping[str, DataSummary] | None, warnings: Sequence[RunWarning] | None) -> Section | None:
    """A line for each dataset, and the first few warnings; None where nothing is known of them."""
    known, warned = list((datasets or {}).items()), list(warnings or ())
    lines = [_line(label, dataset) for label, dataset in known[:BRIEF_DATASETS]]
    if more := len(known) - len(lines):
        lines.append(f"and {count(more, 'dataset')} more")
    paragraphs = [Paragraph((line,)) for line in lines]
    paragraphs += [_warning(each) for each in warned[:BRIEF_WARNINGS]]
    if (more := len(warned) - BRIEF_WARNINGS) > 0:
        paragraphs.append(Paragraph((f"and {count(more, 'warning')} more (--details)",), "warning"))
    return Section("data", (), tuple(paragraphs)) if paragraphs else None


def _line(label: str, dataset: DataSummary) -> str:
    splits = ", ".join(f"{dataset[split]} {split}" for split in ("train", "val", "test"))
    posed = f", {_posed(dataset)}" if dataset["classes"] or dataset["targets"] else ""
    return f"Data {label}: {splits} samples of {_shape(dataset).removeprefix('shape ')}{posed}"


def _posed(dataset: DataSummary) -> str:
    """`3 classes`, `3 labels (multi_label)`, `1 value (regression)`: how many targets, and of which kind."""
    amount = len(dataset["classes"] or dataset["targets"] or ())
    if dataset["problem"] == SingleLabel.kind:
        return count(amount, "class", "classes")
    return f"{count(amount, 'label' if dataset['classes'] else 'value')} ({dataset['problem']})"


def _warning(each: RunWarning) -> Paragraph:
    return Paragraph((f"{each['where']}: {each['text']} [{each['code']}]",), "warning")


def _lines(label: str, dataset: DataSummary) -> Iterator[str]:
    splits = f"{dataset['train']} training, {dataset['val']} validation and {dataset['test']} test samples"
    source = "" if dataset["source"] == label else f"; from {dataset['source']}"
    yield f"Data {label}: {splits} of {_shape(dataset)}{source}"
    classes = dataset["classes"]
    if classes:
        most = max(classes, key=lambda each: each["train"])
        always = (
            f"; always answering {most['name']!r} gives test accuracy {percent(dataset['majority'])}"
            if dataset["majority"] is not None
            else ""
        )
        yield f"{_posed(dataset)} (train/val/test): {_counts(classes)}{always}"
        if dataset["problem"] == MultiLabel.kind:
            yield "A label is predicted where its probability is above 0.5"
    for place, target in enumerate((dataset["targets"] or ())[:MAX_CLASSES]):
        start = f"{_posed(dataset)}: " if not place else ""
        trained = f"y - {number(target['mean'])}"
        if target["std"]:
            trained = f"({trained}) / {number(target['std'])}"
        how = f"; trained as {trained}, measured as y"
        yield (
            f"{start}{target['name']!r} from {number(target['min'])} to {number(target['max'])} in the training split"
            f"{how if target['standardised'] else ''}"
        )


def _shape(dataset: DataSummary) -> str:
    columns, shape = dataset["columns"], dataset["shape"]
    if columns:
        kinds = ", ".join(f"{amount} {KINDS.get(kind, (kind, kind))[amount != 1]}" for kind, amount in columns.items())
        return f"{count(sum(columns.values()), 'column')} ({kinds})" if len(columns) > 1 else kinds
    if len(shape) == 1:
        return count(shape[0], "number")
    return f"shape {' x '.join(map(str, shape))}"


def _counts(classes: Sequence[ClassCounts]) -> str:
    shown = ", ".join(f"{each['name']} {_by_split(each)}" for each in classes[:MAX_CLASSES])
    if len(classes) <= MAX_CLASSES:
        return shown
    sizes = [each["train"] for each in classes]
    return f"{shown}, ... ({min(sizes)} to {max(sizes)} training samples each)"


def _by_split(each: ClassCounts) -> str:
    return f"{each['train']}/{each['val']}/{each['test']}"
