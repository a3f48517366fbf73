"""What a report says of tuning, as data: sensitivity, choice, findings, warnings and cost."""

from __future__ import annotations

from typing import Any

import pytest

from clsbench.analysis.summary import over_seeds
from clsbench.report.document import ArmList, ArmRef, Curves, Paragraph, Section, Table
from clsbench.report.sections.tuning import tuning
from clsbench.report.values import Tried
from tests.report.runs import Summary, blocks, compared, plain, tried, tuned_run

RATES = [0.01, 0.1, 1.0, 10.0]
CURVES = {"good": [0.7, 0.9, 0.95, 0.9], "bad": [0.2, 0.3, 0.4, 0.5]}
GOOD, BAD = ArmRef("good", 0), ArmRef("bad", 1)


def usual(**facts: Any) -> Summary:
    rows = {
        name: [tried({"lr": rate}, mean) for rate, mean in zip(RATES, means, strict=True)]
        for name, means in CURVES.items()
    }
    return tuned_run(rows, {"lr": RATES}, **facts)


def section_of(summary: Summary) -> Section | None:
    return tuning(*compared([], summary), summary["tuning"])


def sentences(summary: Summary, role: str = "text") -> list[str]:
    return [plain(block.text) for block in blocks(section_of(summary), Paragraph) if block.role == role]


def test_every_value_of_the_grid_is_in_the_table_and_the_chosen_one_marked() -> None:
    """The table has the metric at each rate for each arm, and which rate was chosen."""
    (table,) = blocks(section_of(usual()), Table)
    assert [("arm",), ("0.01",), ("0.1",), ("1",), ("10",)] == [column.header for column in table.columns]
    assert (GOOD, *(Tried(mean, 0, 3, chosen=mean == 0.95) for mean in CURVES["good"])) == table.rows[0]
    assert (BAD, *(Tried(mean, 0, 3, chosen=mean == 0.5) for mean in CURVES["bad"])) == table.rows[1]
    assert ["* chosen"] == sentences(usual(), "note")


def test_sensitivity_is_a_curve_over_the_key() -> None:
    """Each arm is a line over the rates, on a logarithmic axis where the rates span decades, and the title says so."""
    (curves,) = blocks(section_of(usual()), Curves)
    assert "validation accuracy by lr, mean over 3 tuning seeds (log x axis)" == curves.title
    assert ("lr", "log", "linear") == (curves.x.label, curves.x.scale, curves.y.scale)
    assert [(GOOD, tuple(RATES)), (BAD, tuple(RATES))] == [(line.arm, line.x) for line in curves.series]
    assert tuple(CURVES["bad"]) == curves.series[1].y == curves.series[1].low == curves.series[1].high


def test_a_point_off_the_axis_keeps_it_linear() -> None:
    """A rate of zero has no place on a logarithmic axis."""
    rows = {"a": [tried({"lr": rate}, 0.5) for rate in (0, 0.01, 10.0)]}
    (curves,) = blocks(section_of(tuned_run(rows, {"lr": [0, 0.01, 10.0]})), Curves)
    assert "linear" == curves.x.scale


def test_the_choice_is_shown_with_its_spread() -> None:
    """Each arm's setting with what was measured there."""
    legend = next(block for block in blocks(section_of(usual()), ArmList) if block.heads)
    assert ((GOOD, "lr=1: 0.950 [0.950, 0.950]"), (BAD, "lr=10: 0.500 [0.500, 0.500]")) == legend.entries


def test_an_edge_is_warned_of_with_the_arm_and_the_value() -> None:
    """Only the arm whose best is at the edge is warned of."""
    expected = [
        "the best lr for bad is at the edge of the grid (10): a better one may be outside; "
        "tune.extend=true tries values beyond it."
    ]
    assert expected == sentences(usual(), "warning")


def test_an_extended_grid_is_shown_by_size_and_told() -> None:
    """Values beyond an edge stand where they belong, and are told; an edge that is left says that extending ended."""
    means = {0.1: 0.5, 1.0: 0.6, 10.0: 0.7, 0.01: 0.8}
    rows = {name: [tried({"lr": lr}, mean) for lr, mean in means.items()] for name in ("one", "other")}
    summary = tuned_run(rows, {"lr": [0.1, 1.0]}, {"lr": [10.0, 0.01]}, trials=24)
    (table,) = blocks(section_of(summary), Table)
    assert [("arm",), ("0.01",), ("0.1",), ("1",), ("10",)] == [column.header for column in table.columns]
    assert ["0.800*", "0.500", "0.600", "0.700"] == list(map(str, table.rows[0][1:]))
    told, cost = sentences(summary)
    assert "The grid was extended beyond an edge, for all arms alike: lr 0.01, 10." == told
    trials = "24 trials (2 arms x 2 settings x 3 tuning seeds, from 10000, and 12 trials beyond the edges)"
    assert f"Tuning cost {trials} and 1:15 of training; no test data were used." == cost
    assert [
        "the best lr for one, other is at the edge of the grid (0.01): a better one may be outside; "
        "extending ended there, at its budget or a bound."
    ] == sentences(summary, "warning")


def test_arms_of_several_runs_that_extended_differently_are_told_apart() -> None:
    """Nothing is said to be alike that is not; what was never extended is not said to have ended at its budget."""
    few, more = [0.1, 1.0], [0.1, 1.0, 10.0]
    rows = {name: [tried({"lr": lr}, lr / 20) for lr in rates] for name, rates in (("a", more), ("b", few), ("c", few))}
    summary = tuned_run(rows, {"lr": few}, {"lr": [10.0]}, trials=30)  # two runs, of which one trained another arm too
    assert summary["tuning"] is not None
    for arm, extended in zip(summary["tuning"]["arms"], ({"lr": [10.0]}, {}, None), strict=True):
        arm.update({"extended": extended, "at_edge": ["lr"]})
    _, told, cost = sentences(summary)
    assert "The grid was extended beyond an edge, in each run by itself: lr 10 for a; nothing for b and c." == told
    assert ", and 3 trials beyond the edges)" in cost
    assert [
        "the best lr for a is at the edge of the grid (10): a better one may be outside; "
        "extending ended there, at its budget or a bound.",
        "the best lr for b is at the edge of the grid (1): a better one may be outside; "
        "extending ended there, at its budget or a bound.",
        "the best lr for c is at the edge of the grid (1): a better one may be outside; "
        "tune.extend=true tries values beyond it.",
    ] == sentences(summary, "warning")


def test_an_option_that_a_loss_lacks_is_alike_for_those_that_have_it() -> None:
    """New values of a loss's own option are told for all arms, though another loss tries none."""
    own = [tried({"lr": 1.0, "gamma": gamma}, 0.5) for gamma in (1.0, 2.0, 4.0)]
    rows = {"focal": own, "hinge": [tried({"lr": 1.0}, 0.5)]}
    summary = tuned_run(rows, {"lr": [1.0], "gamma": [1.0, 2.0]}, trials=12)
    assert summary["tuning"] is not None
    for arm, extended in zip(summary["tuning"]["arms"], ({"gamma": [4.0]}, {}), strict=True):
        arm.update({"extended": extended})
    told, _ = sentences(summary)
    assert "The grid was extended beyond an edge, for all arms alike: gamma 4." == told


def test_a_value_that_only_some_seeds_came_to_says_so() -> None:
    """Beyond the grid, a mean over fewer seeds is told; a seed that did not try the value did not diverge there."""
    few = {"settings": {"lr": 10.0}, **over_seeds([None, 0.7, 0.8]), "diverged": 0}
    rows = {"one": [tried({"lr": 0.1}, 0.5), tried({"lr": 1.0}, 0.6), few]}
    summary = tuned_run(rows, {"lr": [0.1, 1.0]}, {"lr": [10.0]}, trials=8)
    (table,) = blocks(section_of(summary), Table)
    assert ["0.500", "0.600", "0.750*"] == list(map(str, table.rows[0][1:]))
    assert ["* chosen; beyond the grid: mean over the seeds that came so far"] == sentences(summary, "note")


def test_a_grid_that_had_no_need_of_extension_says_nothing() -> None:
    """Where a grid might have been extended, and its best is inside, there is no sentence about it."""
    rows = {"one": [tried({"lr": lr}, mean) for lr, mean in ((0.1, 0.5), (1.0, 0.6), (10.0, 0.5))]}
    summary = tuned_run(rows, {"lr": [0.1, 1.0, 10.0]}, {}, trials=9)
    (cost,) = sentences(summary)
    assert "9 trials (1 arm x 3 settings x 3 tuning seeds, from 10000) and" in cost
    assert [] == sentences(summary, "warning")


def test_a_loss_that_no_setting_helps_is_named() -> None:
    """An arm whose best stays five points behind the best arm's is a finding; by another metric it is not said."""
    finding = (
        "No setting of the grid brings bad (50.0%) within 5 percentage points of good (95.0%) in validation accuracy."
    )
    assert finding == sentences(usual())[0]
    assert not any("No setting" in sentence for sentence in sentences(usual(metric="val_nll")))


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        ("per_arm", "each loss at its own best setting"),
        ("shared", "one setting for all losses of a comparison, the best on average"),
    ],
)
def test_protocol_and_cost_are_said(protocol: str, words: str) -> None:
    """What was compared, how many trials that took and how long."""
    summary = usual(protocol=protocol)
    section = section_of(summary)
    assert section is not None
    assert f"Tuned by validation accuracy: {words}" == plain(section.title)
    cost = "Tuning cost 24 trials (2 arms x 4 settings x 3 tuning seeds, from 10000) and 1:15 of training"
    assert f"{cost}; no test data were used." == sentences(summary)[-1]


def test_test_data_are_said_to_be_unused_only_where_they_were() -> None:
    """An older run that split anew for every seed does not claim it; a newer one says what it held out."""
    summary = usual()
    for arm in summary["arms"]:
        arm["split_seed"] = "per_seed"
    assert sentences(summary)[-1].endswith("1:15 of training.")
    summary["tuning"]["data"] = {"moons": {"train": 37, "val": 12, "held_out": 101}}
    cost, held_out = sentences(summary)[-2:]
    assert cost.endswith("no test data were used.")
    assert "101 samples that some seed tests were held out, and tuning trained on 37 and validated on 12." in held_out


def test_diverged_seeds_are_in_the_table() -> None:
    """A setting that lost seeds says how many; a choice that did is warned of."""
    rows = {
        "lost": [tried({"lr": 1}, None, 3), tried({"lr": 9}, 0.8, 1)],
        "kept": [tried({"lr": 1}, 0.5), tried({"lr": 9}, 0.9, 2)],
    }
    summary = tuned_run(rows, {"lr": [1, 9]})
    (table,) = blocks(section_of(summary), Table)
    assert ["3/3 div.", "1/3 div.*"] == list(map(str, table.rows[0][1:]))
    assert ["0.500*", "2/3 div."] == list(map(str, table.rows[1][1:]))
    assert "even at the setting chosen for lost, 1 of 3 tuning seeds diverged." in sentences(summary, "warning")
    assert ["* chosen; div.: tuning seeds that diverged"] == sentences(summary, "note")


def test_each_key_is_shown_at_its_best_over_the_others() -> None:
    """Of two keys each gets a section of its own, with null beside numbers; null is no point of a curve."""
    means = {(0.1, None): 0.6, (0.1, 1): 0.5, (1.0, None): 0.4, (1.0, 1): 0.7}
    sensitivity = [tried({"lr": lr, "clip_norm": clip}, mean) for (lr, clip), mean in means.items()]
    section = section_of(tuned_run({"only": sensitivity}, {"lr": [0.1, 1.0], "clip_norm": [None, 1]}))
    by_rate, by_clip = blocks(section, Section)
    title = "validation accuracy by {}, mean over 3 tuning seeds, best over the other keys"
    assert [title.format("lr"), title.format("clip_norm")] == [plain(by_rate.title), plain(by_clip.title)]
    assert ["0.600", "0.700*"] == list(map(str, blocks(by_rate, Table)[0].rows[0][1:]))
    (table,) = blocks(by_clip, Table)
    assert [("null",), ("1",)] == [column.header for column in table.columns[1:]]
    assert ["0.600", "0.700*"] == list(map(str, table.rows[0][1:]))
    assert [(1,)] == [line.x for line in blocks(by_clip, Curves)[0].series]


def test_a_run_without_tuning_has_no_such_section() -> None:
    """Without `tune` there is nothing to say."""
    assert tuning(*compared([], usual()), None) is None


def test_warnings_of_many_arms_are_one_sentence_each() -> None:
    """Of eight arms that diverged at the edge of the grid, five are named in each warning."""
    rows = {f"l{number}": [tried({"lr": 1}, None, 3), tried({"lr": 9}, 0.8, 1)] for number in range(8)}
    named = "l0, l1, l2, l3, l4, 3 more arms"
    diverged = f"even at the setting chosen for {named}, 1 of 3 tuning seeds diverged."
    edge = (
        f"the best lr for {named} is at the edge of the grid (9): a better one may be outside; "
        "tune.extend=true tries values beyond it."
    )
    assert [diverged, edge] == sentences(tuned_run(rows, {"lr": [1, 9]}), "warning")
