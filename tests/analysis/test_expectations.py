"""Expectations: when one is met, by how much, and what is said where it is not."""

import json
from typing import Any

import pytest

from clsbench.analysis.expectations import evaluate
from clsbench.config.expectations import parse


def records(arm: Any, values: Any, metric: Any = "test_accuracy") -> Any:
    """`values` by seed, then by epoch; None is the record of a divergence."""
    return [
        {"arm": arm, "seed": seed, "epoch": epoch, metric: value, "test_nll": None}
        for seed, curve in enumerate(values)
        for epoch, value in enumerate(curve)
    ]


def verdict_row(metric: Any, word: Any) -> Any:
    return {
        "a": "a",
        "b": "b",
        "metric": metric,
        "difference": 0.1,
        "low": 0.0,
        "high": 0.2,
        "verdict": word,
        "scaled": None,
        "test_set": None,
    }


def evaluated(text: Any, rows: Any = (), arms: Any = None, verdicts: Any = ()) -> Any:
    """Evaluate over arms of three seeds, or of those given as `{name: (seeds, diverged)}`."""
    arms = arms or dict.fromkeys("ab", (3, 0))
    listed = [
        {"name": name, "seeds": list(range(n)), "diverged": lost, "failures": {}} for name, (n, lost) in arms.items()
    ]
    (result,) = evaluate([parse(text)], rows, {"arms": listed, "verdicts": verdicts, "warnings": []})
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert ["text", "met", "left", "right", "slack"] == list(result)
    assert text == result["text"]
    return result


A = records("a", [[0.1, 0.9, 0.8], [0.1, 0.7, 0.9], [0.1, 0.5, 0.7]])
B = records("b", [[0.1, 0.5, 0.7], [0.1, 0.5, 0.7], [0.1, 0.5, 0.7]])


@pytest.mark.parametrize(
    ("text", "met", "left", "right", "slack"),
    [
        ("a.test_accuracy >= 0.75", True, 0.8, 0.75, 0.5),
        ("a.test_accuracy <= 0.75", False, 0.8, 0.75, -0.5),
        ("0.85 > a.test_accuracy", True, 0.85, 0.8, 0.5),
        ("0.85 < a.test_accuracy", False, 0.85, 0.8, -0.5),
        ("a.test_accuracy != 0.75", True, 0.8, 0.75, 0.5),
        ("a.test_accuracy == 0.75", False, 0.8, 0.75, None),
        ("a.test_accuracy > b.test_accuracy", True, 0.8, 0.7, 1.0),
        ("b.test_accuracy > a.test_accuracy", False, 0.7, 0.8, -1.0),
        ("b.test_accuracy < 0.8", True, 0.7, 0.8, None),
        ("a.test_accuracy@0 < 0.5", True, 0.1, 0.5, None),
        ("a.test_accuracy@1 == b.test_accuracy@2", True, 0.7, 0.7, None),
        ("a.test_accuracy > a.test_accuracy@1", True, 0.8, 0.7, 3**-0.5),
        ("a.test_accuracy@best > 0.75", True, 0.8, 0.75, 0.5),
        ("a.test_accuracy@3 > 0", False, None, 0.0, None),
        ("a.test_nll > 0", False, None, 0.0, None),
        ("a.diverged == 0", True, 0, 0.0, None),
    ],
)
def test_evaluated(text: Any, met: Any, left: Any, right: Any, slack: Any) -> None:
    """Means over seeds at the last or a named epoch, compared; slack in deviations of the margin, paired by seed."""
    result = evaluated(text, A + B)
    assert met is result["met"]
    assert (left, right, slack) == tuple(
        value if value is None else pytest.approx(value) for value in (result["left"], result["right"], result["slack"])
    )


def test_best_epoch_is_one_for_all_seeds_by_the_metrics_direction() -> None:
    """Best is the best mean over seeds, not the mean of each seed's best; of a loss the lowest."""
    losses = records("a", [[1.0, 0.2, 0.5], [1.0, 0.9, 0.4]], "train_loss")
    assert 0.45 == pytest.approx(evaluated("a.train_loss@best < 0.5", losses, {"a": (2, 0)})["left"])
    accuracies = records("a", [[0.2, 0.9], [0.7, 0.1]], "val_accuracy")
    assert 0.5 == pytest.approx(evaluated("a.val_accuracy@best > 0.8", accuracies, {"a": (2, 0)})["left"])


def test_numbers_are_compared_exactly() -> None:
    """`==` and the strict signs leave no room: a mean that is off by rounding is another number."""
    rows = records("a", [[0.1 + 0.2], [0.1 + 0.2]])
    assert evaluated("a.test_accuracy > 0.3", rows, {"a": (2, 0)})["met"]
    assert not evaluated("a.test_accuracy == 0.3", rows, {"a": (2, 0)})["met"]
    assert evaluated("a.test_accuracy == 0.30000000000000004", rows, {"a": (2, 0)})["met"]


def test_one_seed_has_no_slack() -> None:
    """One seed can meet an expectation, and says nothing of by how many deviations."""
    result = evaluated("a.test_accuracy > 0.5", records("a", [[0.1, 0.9]]), {"a": (1, 0)})
    assert (True, 0.9, None) == (result["met"], result["left"], result["slack"])


def test_slack_of_values_apart_by_rounding_is_unknown() -> None:
    """A margin that no seed deviates from has no slack, not an enormous one."""
    rows = records("a", [[0.91], [0.12], [0.02]]) + records("b", [[0.9], [0.11], [0.01]])
    assert evaluated("a.test_accuracy > b.test_accuracy", rows)["slack"] is None


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("a.test_accuracy > 0.1", False),
        ("a.test_accuracy@0 > 0.1", False),
        ("a.test_accuracy@best > 0.1", False),
        ("b.test_accuracy < a.test_accuracy", False),
        ("verdict(a, b, test_accuracy) == better", False),
        ("verdict(b, a, test_accuracy) != better", False),
        ("b.test_accuracy < 0.9", True),
        ("a.diverged == 1", True),
        ("a.diverged > b.diverged", True),
        ("a.diverged == 0", False),
    ],
)
def test_divergence_fails_what_is_not_about_it(text: Any, met: Any) -> None:
    """A diverged seed of an arm it names fails an expectation, whatever the others came to."""
    rows = records("a", [[0.2, 0.9], [0.2, None]]) + records("b", [[0.2, 0.8], [0.2, 0.7]])
    row = verdict_row("test_accuracy", "better")
    result = evaluated(text, rows, {"a": (2, 1), "b": (2, 0)}, [row])
    assert met is result["met"]
    assert result["slack"] is None or met


def test_seed_without_a_number_fails_it_too() -> None:
    """A trial that failed is not made up for by its neighbours; their mean is shown."""
    result = evaluated("a.test_accuracy > 0.1", records("a", [[0.2, 0.9], [0.2]]), {"a": (2, 0)})
    assert (False, 0.9) == (result["met"], result["left"])


@pytest.mark.parametrize(
    ("text", "met", "left"),
    [
        ("verdict(a, b, test_nll) == better", True, "better"),
        ("verdict(b, a, test_nll) == worse", True, "worse"),
        ("verdict(b, a, test_nll) != better", True, "worse"),
        ("verdict(a, b, test_nll) == worse", False, "better"),
        ("verdict(b, a, test_brier) == equivalent", True, "equivalent"),
        ("verdict(b, a, test_brier) == 'no difference'", True, "equivalent"),
        ("verdict(a, b, test_accuracy) != worse", False, None),
    ],
)
def test_verdicts_are_the_summarys(text: Any, met: Any, left: Any) -> None:
    """The run's own word, turned round for the arms in the other order; without a row it is not met."""
    rows = [verdict_row("test_nll", "better"), verdict_row("test_brier", "equivalent")]
    result = evaluated(text, verdicts=rows)
    assert (met, left, None) == (result["met"], result["left"], result["slack"])


def test_word_may_stand_first() -> None:
    """Sides may change places."""
    row = verdict_row("test_nll", "undecided")
    result = evaluated("'too few seeds' == verdict(a, b, test_nll)", verdicts=[row])
    assert (True, "undecided", "undecided") == (result["met"], result["left"], result["right"])


VALIDATED = [
    {"arm": "a", "seed": seed, "epoch": epoch, "val_nll": val_nll, "test_nll": test_nll, "val_accuracy": accuracy}
    for seed, curve in enumerate(
        [[(3, 30, 0.9), (1, 10, 0.8), (2, 5, 0.7)], [(1, 1, 0.1), (None, 3, 0.2), (1, 7, 0.2)]]
    )
    for epoch, (val_nll, test_nll, accuracy) in enumerate(curve)
]


@pytest.mark.parametrize(
    ("side", "by_seed"),
    [
        ("a.test_nll@val_best", (10, 1)),  # not the best on test data; the first of equals
        ("a.val_nll@val_best", (1, 1)),
        ("a.epoch@val_best", (0, 1)),  # by validation accuracy
    ],
)
def test_each_seed_has_the_epoch_that_its_validation_data_choose(side: str, by_seed: tuple[int, int]) -> None:
    """Seed by seed, at the epoch where the validation metric is best, whatever the test data say."""
    found = evaluated(f"{side} > -1", VALIDATED, {"a": (2, 0)})
    assert (True, sum(by_seed) / 2) == (found["met"], found["left"])


def test_a_seed_without_validation_values_has_no_chosen_epoch() -> None:
    """Nothing is made up: an expectation of it is not met."""
    assert not evaluated("a.test_nll@val_best > -1", VALIDATED, {"a": (3, 0)})["met"]
