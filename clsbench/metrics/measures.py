"""The measured fields of a record: each metric on each split that it is computed on, by the field's name.

A metric by class has a mapping of numbers as its field. Each of them is named `FIELD[CLASS]`, as `test_recall[yes]`,
in summaries, tables and expectations.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from clsbench.problems import KINDS, Problem
from clsbench.registry import SHARE, SPLITS, Better, Bounds, MetricSpec, Split, catalogue

SPLIT_LABELS = {"train": "train", "val": "validation", "test": "test"}
OBJECTIVE = "train_loss"
SCALED = "_ts"  # ends the name of a metric after temperature scaling
Posing = Problem | type[Problem]


@dataclass(frozen=True)
class Measured:
    """A field of a record that holds a measured number, or one for each class.

    Attributes:
        name: the field's name, such as `test_accuracy`.
        label: the text that is displayed.
        split: None for a diagnostic, which is computed on validation data (on training data if there is none).
        better: None if neither direction is better.
        metric: the metric; None for the loss itself.
    """

    name: str
    label: str
    split: Split | None
    better: Better | None
    metric: MetricSpec | None = None

    @property
    def needs_probabilities(self) -> bool:
        """Whether it is null for losses whose link gives no probabilities."""
        needs = () if self.metric is None else self.metric.needs
        return any(need.endswith(("probabilities", "likelihoods")) for need in needs)

    @property
    def by_class(self) -> bool:
        """Whether it holds a number for each class."""
        return self.metric is not None and self.metric.by_class

    @property
    def at_last(self) -> bool:
        """Whether only the record of the last epoch has it, so that it has no curve."""
        return self.metric is not None and self.metric.at_last

    @property
    def of_some_data(self) -> bool:
        """Whether it is null, whatever the loss, for data that do not know what it is made of."""
        return self.metric is not None and self.metric.of_some_data

    @property
    def ranks(self) -> bool:
        """Whether it ranks the samples of two classes, and is null for other problems."""
        return self.metric is not None and self.metric.ranks

    @property
    def skewed(self) -> bool:
        """Whether tables and verdicts have it only where some classes are much more frequent than others."""
        return self.metric is not None and self.metric.skewed

    @property
    def tolerance(self) -> float | None:
        """The negligible difference, in its own units; None if verdicts do not use it."""
        return self.metric.tolerance if self.metric is not None and self.split == "test" else None


def measured(problem: Posing | None = None) -> dict[str, Measured]:
    """The measured fields of the records of a problem, in order; of all problems, one for each name."""
    return dict(_fields(tuple(_metrics(problem))))


def bounds() -> dict[str, Bounds]:
    """The measured fields of all problems, in order, with their smallest and largest possible values or None."""
    found: dict[str, Bounds] = {}
    for kind in KINDS.values():
        for name, each in measured(kind).items():
            own: Bounds = (None, None) if each.metric is None else each.metric.bounds
            found[name] = _wider(found[name], own) if name in found else own
    return found


def rulers() -> tuple[tuple[str, ...], ...]:
    """The fields that the records of each kind of problem have, its headline on test data the first."""
    return tuple((headline(kind, "test"), *measured(kind)) for kind in KINDS.values())


def by_class() -> frozenset[str]:
    """The fields of a record that hold a number for each class."""
    return frozenset(name for name, each in measured().items() if each.by_class)


def on_split(split: Split, problem: Posing | None = None) -> dict[str, Measured]:
    """The fields of a record that are computed on a split, also those by class."""
    return {name: each for name, each in measured(problem).items() if each.split == split}


def judged(problem: Posing | None = None) -> dict[str, Measured]:
    """The fields that verdicts compare: the metrics on test data that have a tolerance."""
    return {name: each for name, each in measured(problem).items() if each.tolerance is not None}


def averaged(problem: Posing) -> list[MetricSpec]:
    """The metrics of `judged` that are the mean over samples of a number for each."""
    found = [each.metric for each in judged(problem).values() if each.metric is not None]
    return [spec for spec in found if spec.sums is None and not (spec.ranks or spec.by_class)]


def margin_of(field: str) -> float:
    """The negligible difference of a field, in its own units; 0 if verdicts do not use it."""
    known = _known(field)
    return 0.0 if known is None or known.tolerance is None else known.tolerance


def margins() -> dict[str, float]:
    """The negligible difference of every metric of classes that verdicts always use, by its name without the split."""
    return {
        each.metric.name: each.tolerance
        for each in judged(KINDS["single_label"]).values()
        if each.metric is not None and each.tolerance is not None and not each.skewed
    }


def scaled_field(field: str) -> str | None:
    """The field of the same metric after temperature scaling; None if it has none."""
    scaled = f"{field}{SCALED}"
    return scaled if scaled in measured() else None


def direction(field: str) -> Better | None:
    """Which direction of a field is better; None if neither is, or if it is not registered here."""
    known = _known(field)
    return None if known is None else known.better


def field_of(name: str, of_class: str) -> str:
    """The name of one number of a field by class: `test_recall[yes]`."""
    return f"{name}[{of_class}]"


def parts_of(field: str) -> tuple[str, str | None]:
    """A field, and the class in brackets; None if it names none."""
    name, bracket, rest = field.partition("[")
    return (name, rest[:-1]) if bracket and rest.endswith("]") else (field, None)


def headline(problem: Posing, split: Split) -> str:
    """The field of a record that holds a problem's headline metric on a split."""
    return f"{split}_{problem.headline}"


def is_share(field: str) -> bool:
    """Whether a field of a record is a share of samples, displayed in percent."""
    known = _known(field)
    return known is not None and known.metric is not None and known.metric.unit == SHARE


def label_of(field: str) -> str:
    """The displayed label of a field of a record; its name, if the metric is not registered here."""
    known, (_, name) = _known(field), parts_of(field)
    label = field.partition("[")[0].replace("_", " ") if known is None else known.label
    return label if name is None else f"{label} of {name}"


def metric_label(name: str) -> str:
    """The displayed label of a metric without its split; its name, if the metric is not registered here."""
    labels = {spec.name: spec.label for spec in reversed(catalogue.metrics())}
    return labels.get(name, name.replace("_", " "))


def taken_on(split: Split, problem: Posing) -> list[MetricSpec]:
    """The prediction metrics of a problem on a split, computed at every epoch."""
    return [spec for spec in _metrics(problem) if split in spec.splits]


def taken_at_the_end(problem: Posing | None) -> list[MetricSpec]:
    """The metrics of a problem, or of all, on test data, for trained networks, without those by class and at last."""
    found = [spec for spec in _metrics(problem) if spec.final or "test" in spec.splits]
    return [spec for spec in found if not (spec.by_class or spec.at_last)]


def diagnostics(problem: Posing | None = None) -> list[MetricSpec]:
    """The diagnostics of a problem, or of all, which are computed at every epoch and belong to no split."""
    return [spec for spec in _metrics(problem) if _is_diagnostic(spec)]


def _is_diagnostic(spec: MetricSpec) -> bool:
    return not spec.splits and not spec.final


def _metrics(problem: Posing | None) -> list[MetricSpec]:
    """The metrics of a problem, or of all, in the order of registration."""
    return [spec for spec in catalogue.metrics() if problem is None or problem.kind in spec.problems]


@lru_cache(maxsize=32)
def _fields(metrics: tuple[MetricSpec, ...]) -> dict[str, Measured]:
    """The measured fields of these metrics, in order; of several with one name, the first.

    Kept, since sections and tables ask for each number that they show.
    """
    found = [Measured(OBJECTIVE, "train loss", "train", "lower")]
    for split in SPLITS:
        found += [_on(split, spec) for spec in metrics if split in spec.splits]
    found += [Measured(spec.name, spec.label, None, spec.better, spec) for spec in metrics if _is_diagnostic(spec)]
    by_name: dict[str, Measured] = {}
    for each in found:
        by_name.setdefault(each.name, each)
    return by_name


def _wider(one: Bounds, other: Bounds) -> Bounds:
    (low, high), (lower, higher) = one, other
    return (
        None if low is None or lower is None else min(low, lower),
        None if high is None or higher is None else max(high, higher),
    )


def _known(field: str) -> Measured | None:
    return measured().get(parts_of(field)[0])


def _on(split: Split, spec: MetricSpec) -> Measured:
    return Measured(f"{split}_{spec.name}", f"{SPLIT_LABELS[split]} {spec.label}", split, spec.better, spec)
