"""What a user should look at before trusting the results of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from clsbench.config.expectations import Expectation, chosen_on_test
from clsbench.metrics.by_class import RECALL
from clsbench.metrics.measures import field_of, headline, label_of
from clsbench.problems import kind_of
from clsbench.results import ArmSummary, DataSummary, RunWarning

BEST_ON_TEST = "best-on-test"


def unsilenced(findings: Iterable[tuple[str, Sequence[tuple[str, str]]]], silence: Collection[str]) -> list[RunWarning]:
    """The `warnings` of a summary.

    Args:
        findings: the labels of datasets, models and losses, with the codes and texts of what was noticed about each.
        silence: the codes to leave out.
    """
    return [
        {"code": code, "where": label, "text": text}
        for label, found in findings
        for code, text in found
        if code not in silence
    ]


def of_arms(arms: Sequence[ArmSummary], data: Mapping[str, DataSummary]) -> list[tuple[str, list[tuple[str, str]]]]:
    """The names of arms, with the codes and texts of what makes their results worthless.

    An arm predicts one class only at a seed where that class's recall is 1 and every other's is 0.
    """
    return [(arm["name"], [*_one_class(arm, data), *_no_better(arm, data)]) for arm in arms if arm["dataset"] in data]


def of_expectations(expectations: Iterable[Expectation]) -> list[tuple[str, list[tuple[str, str]]]]:
    """The names of arms whose epoch an expectation chooses on test data, with a code and a text for each."""
    return [
        (side.arm, [(BEST_ON_TEST, f"`{each.text}` chooses the epoch on test data; write {side.metric}@val_best")])
        for each, side in chosen_on_test(expectations)
    ]


def _one_class(arm: ArmSummary, data: Mapping[str, DataSummary]) -> Iterator[tuple[str, str]]:
    names = [each["name"] for each in data[arm["dataset"]]["classes"] or ()]
    fields = {name: field_of(f"test_{RECALL}", name) for name in names}
    recalls = {name: arm["metrics"][field]["values"] for name, field in fields.items() if field in arm["metrics"]}
    alone: Counter[str] = Counter()
    for place in range(len(arm["seeds"])):
        found = {name: values[place] for name, values in recalls.items() if values[place] is not None}
        right = [name for name, recall in found.items() if recall]
        if len(found) > 1 and len(right) == 1 and found[right[0]] == 1:
            alone[right[0]] += 1
    for name, seeds in alone.items():
        yield "one-class", f"{seeds} of {len(arm['seeds'])} seeds predict {name!r} for every test sample"


def _no_better(arm: ArmSummary, data: Mapping[str, DataSummary]) -> Iterator[tuple[str, str]]:
    known = data[arm["dataset"]]
    field = headline(kind_of({"problem": known["problem"]}), "test")
    reached = arm["metrics"][field]["mean"] if field in arm["metrics"] else None
    if known["majority"] is not None and reached is not None and reached <= known["majority"]:
        yield (
            "majority",
            f"the {label_of(field)}, {reached:.1%} on average, is no better than always answering the most frequent "
            f"class ({known['majority']:.1%})",
        )
