"""The verdicts in a report, as data: the table of pairs, and the sentences that say what it means."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest
from scipy import stats

from clsbench.analysis.curves import comparisons
from clsbench.analysis.test_set import SampleSpread
from clsbench.analysis.verdicts import judgement
from clsbench.config.schema import VerdictConfig
from clsbench.report.compose import conditions
from clsbench.report.document import Column, Paragraph, Table
from clsbench.report.renderers.look import Look
from clsbench.report.sections.answer import answer
from clsbench.report.sections.verdicts import conclusions, rescaled, verdicts
from clsbench.report.values import Difference, Proportion, PValue
from tests.report.runs import Summary, arm_of, blocks, compared, plain, summary_of

RULES = VerdictConfig().rules
SPREAD = (-0.002, 0.001, 0.0, 0.0005, 0.0005)

Values = Sequence[float | None]


def run_with(
    accuracies: Mapping[str, Values], others: Mapping[str, Mapping[str, Values]] | None = None, **facts: Any
) -> Summary:
    """Arms by name with their accuracies by seed; NLL and Brier are those of `others`, or 1 - accuracy."""
    arms = []
    for name, values in accuracies.items():
        rest = [None if value is None else 1 - value for value in values]
        metrics = {"test_accuracy": values, "test_nll": rest, "test_brier": rest, **(others or {}).get(name, {})}
        arms.append(arm_of(name, metrics, **facts))
    return summary_of(arms, [list(accuracies)])


def around(middle: float, spread: Iterable[float] = SPREAD) -> list[float]:
    return [middle + deviation for deviation in spread]


def table_of(summary: Summary) -> Table:
    (table,) = blocks(verdicts(*compared([], summary), summary), Table)
    return table


def sentences(summary: Summary) -> list[str]:
    return list(map(plain, conclusions(*compared([], summary), summary)))


def test_a_row_has_difference_interval_p_and_verdict() -> None:
    """Pair by mark, metric, mean a - b with its interval, Holm's p, and which arm is better."""
    table = table_of(run_with({"one": around(0.9), "two": around(0.7, SPREAD[::-1])}))
    assert (2, ["pair", "metric", "difference", "Holm's p", "verdict"]) == (
        table.num_heads,
        [column.header[0] for column in table.columns],
    )
    pair, metric, difference, p, word = table.rows[0]
    assert isinstance(difference, Difference)
    assert isinstance(p, PValue)
    assert ("[one] - [two]", "test accuracy", "[one] better") == (_plain(pair), metric, _plain(word))
    assert pytest.approx(0.2) == difference.value
    assert difference.low is not None
    assert 0.19 < difference.low < 0.2
    assert p.p < 0.001
    assert ["test accuracy", "test NLL", "test Brier"] == [row[1] for row in table.rows]
    assert {"[one] better"} == {_plain(row[-1]) for row in table.rows}


def _plain(cell: object) -> str:
    assert isinstance(cell, tuple)
    return plain(cell)


def test_the_conclusion_is_for_this_split_unless_splits_vary() -> None:
    """What holds for one split says so; what holds over splits drawn anew says that."""
    accuracies = {"one": around(0.7), "two": around(0.9, SPREAD[::-1])}
    said = "two is better than [one] in test accuracy, test NLL and test Brier."
    assert [f"For this split, {said}"] == sentences(run_with(accuracies, split_seed=0))
    anew = f"Over a different split for every seed, {said}"
    assert [anew] == sentences(run_with(accuracies, split_seed="per_seed"))


def test_verdicts_on_one_split_say_what_they_do_not_cover() -> None:
    """Below the table of a fixed split, not where every seed has a split of its own."""
    for split_seed, expected in ((0, 1), ("per_seed", 0)):
        summary = run_with({"one": around(0.7), "two": around(0.9)}, split_seed=split_seed)
        notes = [plain(each.text) for each in blocks(verdicts(*compared([], summary), summary), Paragraph)]
        assert expected == len([note for note in notes if note.startswith("All seeds share one split: ")])


def test_a_test_set_of_its_own_is_the_same_at_every_seed() -> None:
    """Splits by seed vary the training samples alone: the sentence and the note below the table say so."""
    accuracies = {"one": around(0.7), "two": around(0.9, SPREAD[::-1])}
    summary = run_with(accuracies, split_seed="per_seed", own_test=True)
    (said,) = sentences(summary)
    assert said.startswith("Over a different training split for every seed and one test set, two is better than")
    (note,) = (plain(each.text) for each in blocks(verdicts(*compared([], summary), summary), Paragraph))
    assert note.startswith("All seeds share the test set that comes with the data: intervals and words hold for these")
    drawn = run_with(accuracies, split_seed="per_seed")
    on_one, on_its_own = ([*conditions(*comparisons([], each), each)] for each in (summary, drawn))
    assert "5 seeds on a training split each and one test set" in on_one
    assert "5 seeds on a split each" in on_its_own
    fixed = run_with(accuracies, own_test=True)
    (note,) = (plain(each.text) for each in blocks(verdicts(*compared([], fixed), fixed), Paragraph))
    assert note.startswith("All seeds share one training split and the test set that comes with the data: ")
    assert "per_seed" not in note


def test_the_conclusion_names_the_question_that_tuning_asked() -> None:
    """Tuned arms are compared each at its best or all at one setting, and the sentence says which."""
    summary = run_with({"one": around(0.7), "two": around(0.9, SPREAD[::-1])})
    (said,) = sentences({**summary, "tuning": {"protocol": "per_arm"}})
    assert said.startswith("For this split, with each loss at its own best setting, two is better than [one]")


def test_metrics_that_disagree_are_told_apart() -> None:
    """An arm can be better by one metric, as good by another and worse by a third."""
    ones = {"test_nll": around(0.5), "test_brier": around(0.3)}
    twos = {"test_nll": around(0.3, SPREAD[::-1]), "test_brier": around(0.3, SPREAD[::-1])}
    summary = run_with({"one": around(0.9), "two": around(0.8, SPREAD[::-1])}, {"one": ones, "two": twos})
    expected = "better than [two] in test accuracy; worse than [two] in test NLL; equivalent to [two] in test Brier"
    assert [f"For this split, one is {expected}."] == sentences(summary)


def test_an_open_pair_says_how_many_seeds_would_settle_it() -> None:
    """Where there are too few seeds the sentence says of what, and about how many would do."""
    summary = run_with({"one": [0.9, 0.7, 0.85], "two": [0.8, 0.75, 0.8]})
    (said,) = sentences(summary)
    assert said.startswith(
        "For this split, there are too few seeds to separate one from [two] in test accuracy (about "
    )
    assert 3 == len(re.findall(r"from \[two\] in test \w+ \(about [\d,]+ seeds in all would settle it\)", said))
    assert ("undecided",) == table_of(summary).rows[0][-1]


def test_one_seed_gets_no_p_value_and_says_so() -> None:
    """A single seed has its difference, without interval and p, and the sentence says what to do."""
    summary = run_with({"one": [0.9], "two": [0.8]})
    *_, difference, p, word = table_of(summary).rows[0]
    assert (Difference(pytest.approx(0.1), None, None), None, ("undecided",)) == (difference, p, word)
    advice = "one seed gives no interval and no p-value: train more (train.seeds) for a verdict."
    assert [f"For this split, {advice}"] == sentences(summary)


def test_a_negligible_difference_says_so() -> None:
    """An arm can be better beyond chance by less than anybody cares for."""
    summary = run_with({"one": [0.902, 0.9021, 0.9019, 0.902], "two": [0.9] * 4})
    assert "[one] better, negligibly" == _plain(table_of(summary).rows[0][-1])
    assert sentences(summary)[0].startswith("For this split, one is negligibly better than [two] in test accuracy")


def test_words_that_temperature_scaling_changes_are_told() -> None:
    """The table has both words, a sentence those that are reversed, another those that nothing is left of."""
    rising = SPREAD[::-1]
    ones = {
        "test_nll": around(0.3),
        "test_brier": around(0.2),
        "test_nll_ts": around(0.3),
        "test_brier_ts": around(0.2),
    }
    twos = {
        "test_nll": around(0.5, rising),
        "test_brier": around(0.4, rising),
        "test_nll_ts": around(0.1, rising),
        "test_brier_ts": around(0.2, rising),
    }
    summary = run_with({"one": around(0.9), "two": around(0.8, rising)}, {"one": ones, "two": twos})
    words = ["[one] better", "[one] better; scaled: worse", "[one] better; scaled: equivalent"]
    assert words == [_plain(row[-1]) for row in table_of(summary).rows]
    told = list(map(plain, rescaled(*compared([], summary), summary)))
    assert [
        "After temperature scaling the verdict is reversed: [two] is better than [one] in test NLL.",
        "After temperature scaling these are equivalent: [one] and [two] in test Brier.",
    ] == told
    assert told[:1] == list(map(plain, rescaled(*compared([], summary), summary, brief=True)))
    kept = {**twos, "test_nll_ts": twos["test_nll"], "test_brier_ts": twos["test_brier"]}
    same = run_with({"one": around(0.9), "two": around(0.8, rising)}, {"one": ones, "two": kept})
    assert [] == list(rescaled(*compared([], same), same))


def test_further_sentences_begin_with_a_capital() -> None:
    """What is decided comes first, then what is not, each in a sentence of its own."""
    others = {"test_nll": [0.9, 0.7, 0.85, 0.8, 0.8], "test_brier": [0.1] * 5}
    summary = run_with({"one": around(0.9), "two": around(0.7, SPREAD[::-1])}, {"two": others})
    first, *rest = sentences(summary)
    assert first.startswith("For this split, one is better than [two] in test accuracy")
    assert all(sentence[0].isupper() and sentence.endswith(".") for sentence in rest)


def test_seeds_that_diverged_are_counted_beside_the_difference() -> None:
    """A pair of fewer seeds than were trained says how many; whole pairs have no such column."""
    full = around(0.9)
    table = table_of(run_with({"one": full, "two": [None, *around(0.7)[1:]]}))
    assert ("seeds",) == table.columns[3].header
    assert Proportion(4, 5) == table.rows[0][3]
    assert Column(("seeds",)) not in table_of(run_with({"one": full, "two": around(0.7)})).columns


def test_arms_without_probabilities_are_judged_by_accuracy_alone() -> None:
    """A metric that a loss cannot have makes no row and is in no sentence."""
    nothing = {"test_nll": [None] * 5, "test_brier": [None] * 5}
    summary = run_with({"one": around(0.9), "two": around(0.7, SPREAD[::-1])}, {"two": nothing})
    assert ["For this split, one is better than [two] in test accuracy."] == sentences(summary)
    assert ["test accuracy"] == [row[1] for row in table_of(summary).rows]


@pytest.mark.parametrize("accuracies", [{"only": around(0.9)}, {"a": [None] * 3, "b": [None] * 3}])
def test_nothing_to_compare_is_nothing_to_say(accuracies: Mapping[str, Values]) -> None:
    """A lone arm, and arms that all diverged, have neither table nor sentence."""
    summary = run_with(accuracies)
    assert verdicts(*compared([], summary), summary) is None
    assert [] == sentences(summary)


def test_many_arms_show_the_pairs_of_the_best_one() -> None:
    """Of seven arms only the best one's pairs are shown, from its side, with where to find the rest."""
    accuracies = {f"arm{n}": around(0.3 + n / 10, [(n + 1) * value for value in SPREAD]) for n in range(7)}
    summary = run_with(accuracies)
    section = verdicts(*compared([], summary), summary)
    rows = blocks(section, Table)[0].rows
    assert [f"[arm6] - [arm{n}]" for n in range(6)] == list(dict.fromkeys(_plain(row[0]) for row in rows))
    assert ["[arm6] better"] * 18 == [_plain(row[-1]) for row in rows]
    bound, _ = blocks(section, Paragraph)
    assert ("Only pairs with the best arm are shown; summary.json holds all 63 verdicts.",) == bound.text
    six = table_of(run_with(dict(list(accuracies.items())[:6])))
    assert 15 == len({_plain(row[0]) for row in six.rows})


def test_pairs_with_a_baseline_are_called_so() -> None:
    """What was judged is said with the baseline's name; of many arms, its pair with the best is shown, drawn or not."""
    names = {f"arm{n}": around(0.3 + n / 100, [(n + 1) * value for value in SPREAD]) for n in range(10)}
    run = run_with(names)
    summary: Any = {**run, **judgement(run, VerdictConfig(baseline="arm1").rules)}
    section = verdicts(*compared([], summary), summary)
    said = plain(blocks(section, Paragraph)[-1].text)
    assert said.startswith("Of 45 pairs of arms 9 were judged: those with arm1, and the pairs whose verdict is expec")
    assert {"H - arm1"} == {Look(80, "utf-8").line(row[0]) for row in table_of(summary).rows}


def test_an_arm_that_is_not_drawn_is_called_by_its_name() -> None:
    """Where pairs were bounded, the first arm, which all are judged against, may have no mark."""
    names = {f"arm{n}": around(0.3 + n / 100, [(n + 1) * value for value in SPREAD]) for n in range(34)}
    summary = run_with(names)
    (first, *_) = table_of(summary).rows
    assert "H - arm0" == Look(80, "utf-8").line(first[0])
    assert "Of 561 pairs of arms 33 were judged" in plain(
        blocks(verdicts(*compared([], summary), summary), Paragraph)[-1].text
    )


def test_the_test_sets_own_error_stands_beside_the_seeds() -> None:
    """A column, what it is, and the verdicts that these samples are too few to be sure of; on the first screen, too."""
    accuracies = {"one": around(0.7), "two": around(0.9, SPREAD[::-1])}
    summary: Any = run_with(accuracies, split_seed=0)
    stds = {"test_accuracy": 2.0, "test_nll": 0.5, "test_brier": 0.5}
    spreads = {metric: SampleSpread(std, 101) for metric, std in stds.items()}
    known: Any = {**summary, **judgement(summary, RULES, spreads=lambda a, b, metric: spreads[metric])}
    section = verdicts(*compared([], known), known)
    (table,) = blocks(section, Table)
    assert ["pair", "metric", "difference", "test set", "Holm's p", "verdict"] == [c.header[0] for c in table.columns]
    reach = stats.t.ppf(1 - 0.05 / 6, 100) * 2.0 / math.sqrt(101)
    assert f"±{reach:.3f}" == str(table.rows[0][3])
    notes = [plain(each.text) for each in blocks(section, Paragraph)]
    assert notes[1].startswith("Column 'test set': the same interval over the 101 test samples instead of seeds")
    assert "These test samples are too few to be sure of: [one] - [two] in test accuracy." == notes[2]
    said = [plain(text) for text in answer(*compared([], known), known)]
    assert "Its 101 test samples are too few to be sure of that against [one]." == said[1]
    assert not any("test samples" in plain(text) for text in answer(*compared([], summary), summary))
