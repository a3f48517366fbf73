"""The verdicts in the terminal: the table of pairs, and the sentences that say what it comes to."""

import io
import re

import pytest
from rich.console import Console

from clsbench.analysis.curves import Comparison
from clsbench.analysis.verdicts import verdicts
from clsbench.report.document import Document
from clsbench.report.renderers.look import Look
from clsbench.report.renderers.terminal import show
from clsbench.report.sections import verdicts as section
from clsbench.report.sections.arms import references

SPREAD = (-0.002, 0.001, 0.0, 0.0005, 0.0005)


def page_of(accuracies, others=None, look=None, **arm_facts):
    """Arms by name with their accuracies by seed; NLL and Brier are those of `others`, or 1 - accuracy."""
    arms = []
    for name, values in accuracies.items():
        rest = [None if value is None else 1 - value for value in values]
        metrics = {"test_accuracy": list(values), "test_nll": rest, "test_brier": rest, **(others or {}).get(name, {})}
        entry = {"name": name, "seeds": list(range(len(values))), "diverged": values.count(None), **arm_facts}
        entry["metrics"] = {key: {"mean": mean_of(column), "values": column} for key, column in metrics.items()}
        arms.append(entry)
    summary = {"arms": arms, "pairing": [{"arms": list(accuracies)}]}
    page = (Comparison(tuple(arms), {}), look or Look(80, "utf-8"))
    return page, {**summary, "verdicts": verdicts(summary)}


def mean_of(values):
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def around(middle, spread=SPREAD):
    return [middle + deviation for deviation in spread]


def table(page, summary):
    comparison, look = page
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=look.encoding, newline="")
    found = section.verdicts(comparison, references(comparison), summary)
    show(Document("", (found,) if found else ()), Console(file=file, width=look.width))
    file.flush()
    return raw.getvalue().decode(look.encoding)


def rows_with(text, *parts):
    lines = [re.sub(r" +", " ", line).strip() for line in text.splitlines()]
    return [line for line in lines if all(part in line for part in parts)]


def sentences(page, summary):
    comparison, look = page
    return [look.line(text) for text in section.conclusions(comparison, references(comparison), summary)]


def test_a_row_has_difference_interval_p_and_verdict():
    """Pair by letter, metric, mean a - b with its interval, Holm's p, and which arm is better; each pair named once."""
    text = table(*page_of({"one": around(0.9), "two": around(0.7, SPREAD[::-1])}))
    (accuracy,) = rows_with(text, "test accuracy")
    assert re.fullmatch(r"A - B test accuracy \+0\.200 \[\+0\.19\d, \+0\.20\d\] <0\.001 A better", accuracy)
    assert rows_with(text, "test NLL", "-0.200", "A better")
    assert rows_with(text, "test Brier", "-0.200", "A better")
    assert 1 == text.count("A - B")


def test_the_conclusion_is_for_this_split_unless_splits_vary():
    """What was one split's is said to be; drawn anew at every seed it is said, too."""
    accuracies = {"one": around(0.7), "two": around(0.9, SPREAD[::-1])}
    said = "B two is better than A in test accuracy, test NLL and test Brier."
    assert [f"For this split, {said}"] == sentences(*page_of(accuracies, split_seed=0))
    assert [f"Over splits drawn anew at every seed, {said}"] == sentences(*page_of(accuracies, split_seed="per_seed"))


def test_the_conclusion_names_the_question_that_tuning_asked():
    """Tuned arms are compared each at its best or all at one setting, and the sentence says which."""
    page, summary = page_of({"one": around(0.7), "two": around(0.9, SPREAD[::-1])})
    (said,) = sentences(page, {**summary, "tuning": {"protocol": "per_arm"}})
    assert said.startswith("For this split, with each loss at its own best setting, B two is better than A")


def test_metrics_that_disagree_are_told_apart():
    """An arm can be better by one metric, as good by another and worse by a third."""
    ones = {"test_nll": around(0.5), "test_brier": around(0.3)}
    twos = {"test_nll": around(0.3, SPREAD[::-1]), "test_brier": around(0.3, SPREAD[::-1])}
    page, summary = page_of({"one": around(0.9), "two": around(0.8, SPREAD[::-1])}, {"one": ones, "two": twos})
    expected = "A one is better than B in test accuracy; worse than B in test NLL; no different from B in test Brier."
    assert [f"For this split, {expected}"] == sentences(page, summary)


def test_an_open_pair_says_how_many_seeds_would_settle_it():
    """Where the seeds are too few the sentence says of what, and about how many would do."""
    page, summary = page_of({"one": [0.9, 0.7, 0.85], "two": [0.8, 0.75, 0.8]})
    (said,) = sentences(page, summary)
    assert said.startswith("For this split, the seeds are too few to tell A one from B in test accuracy (about ")
    assert 3 == len(re.findall(r"from B in test \w+ \(about [\d,]+ seeds would settle it\)", said))
    assert rows_with(table(page, summary), "test accuracy", "too few seeds")


def test_one_seed_gets_no_p_value_and_says_so():
    """A single seed shows its difference, without an interval, and the sentence says what to do."""
    page, summary = page_of({"one": [0.9], "two": [0.8]})
    assert "A - B test accuracy +0.100 - too few seeds" in rows_with(table(page, summary), "test accuracy")
    assert ["For this split, one seed gives no interval and no p-value: train more (train.seeds) for a verdict."] == (
        sentences(page, summary)
    )


def test_a_difference_without_variance_says_so():
    """The same difference at every seed has no p, and is neither passed off as decided nor as open."""
    page, summary = page_of({"one": [0.9] * 3, "two": [0.8] * 3})
    assert rows_with(table(page, summary), "test accuracy", "+0.100 [+0.100, +0.100] - too few seeds")
    (said,) = sentences(page, summary)
    assert said.startswith("For this split, the difference from B in test accuracy, B in test NLL and B in test Brier")
    assert said.endswith(" is the same at every seed, which leaves no p-value.")


def test_seeds_that_diverged_are_counted_beside_the_difference():
    """A pair of fewer seeds than were trained shows how many; whole pairs have no such column."""
    full = around(0.9)
    page, summary = page_of({"one": full, "two": [None, *around(0.7)[1:]]})
    assert rows_with(table(page, summary), "test accuracy", "4 of 5")
    assert "seeds" not in table(*page_of({"one": full, "two": around(0.7)})).splitlines()[1]


def test_arms_without_probabilities_are_judged_by_accuracy_alone():
    """A metric that a loss cannot have makes no row and is in no sentence."""
    nothing = {"test_nll": [None] * 5, "test_brier": [None] * 5}
    page, summary = page_of({"one": around(0.9), "two": around(0.7, SPREAD[::-1])}, {"two": nothing})
    assert ["For this split, A one is better than B in test accuracy."] == sentences(page, summary)
    assert "NLL" not in table(page, summary)


@pytest.mark.parametrize("accuracies", [{"only": around(0.9)}, {"a": [None] * 3, "b": [None] * 3}])
def test_nothing_to_compare_is_nothing_to_say(accuracies):
    """A lone arm, and arms that all diverged, have neither table nor sentence."""
    page, summary = page_of(accuracies)
    assert ("", []) == (table(page, summary), sentences(page, summary))


def test_many_arms_show_the_best_ones_pairs():
    """Of seven arms only the best one's pairs are shown, from its side, with where to find the rest."""
    accuracies = {f"arm{n}": around(0.3 + n / 10, [(n + 1) * value for value in SPREAD]) for n in range(7)}
    page, summary = page_of(accuracies)
    text = table(page, summary)
    assert [f"G - {letter}" for letter in "ABCDEF"] == re.findall(r"G - [A-Z]", text)
    assert 18 == text.count("G better")
    assert "These are of the best arm; summary.json holds all 63 verdicts." in text
    page, summary = page_of(dict(list(accuracies.items())[:6]))
    assert 15 == table(page, summary).count(" - ")


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("width", [1, 2, 20, 39, 40, 41, 60, 80, 250])
def test_every_width_works(width, encoding):
    """From one column on nothing crashes, no line is too long, and no number is cut short."""
    accuracies = {"one": around(0.9), "two": [None, *around(0.7)[1:]], "three": around(0.5, SPREAD[::-1])}
    text = table(*page_of(accuracies, look=Look(width, encoding)))
    assert max(map(len, text.splitlines())) <= width
    assert "+0.400[+0.39" in re.sub(r"\s", "", text)
    assert text.isascii() or encoding == "utf-8"
