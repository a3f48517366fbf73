"""Verdicts on pairs of arms: the words, what is compared with what, and how often they are wrong."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from clsbench.analysis.pairs import MOST_PAIRS, judged_pairs
from clsbench.analysis.statistics import holm, paired_difference
from clsbench.analysis.verdicts import judgement, seen_from, verdicts
from clsbench.config.schema import VerdictConfig
from clsbench.metrics.measures import direction, judged
from clsbench.problems import SingleLabel
from clsbench.results.verdicts import VERDICTS

KEYS = [
    "a",
    "b",
    "metric",
    "difference",
    "low",
    "high",
    "n",
    "p",
    "p_holm",
    "p_flip",
    "verdict",
    "negligible",
    "seeds_needed",
    "scaled",
    "test_set",
]
RULES = VerdictConfig().rules
JUDGED = tuple(judged(SingleLabel))
SCORES = st.floats(0, 1) | st.none()


def arm(name: Any, seeds: Any = None, **values: Any) -> Any:
    """An arm of a summary; metrics without values are those that its loss cannot have."""
    seeds = seeds or range(len(next(iter(values.values()))))
    metrics = {metric: {"values": list(values.get(metric, [None] * len(seeds)))} for metric in judged(SingleLabel)}
    return {"name": name, "seeds": list(seeds), "metrics": metrics}


def summary(*arms: Any, pairing: Any = None) -> Any:
    return {"arms": arms, "pairing": pairing or [{"arms": [arm["name"] for arm in arms]}]}


def pair(rng: Any, num_seeds: Any, shift: Any = 0.0, metrics: Any = JUDGED) -> Any:
    """Two arms whose paired difference has deviation 0.02 and mean `shift` times that."""
    common = rng.normal(0.8, 0.05, (len(metrics), num_seeds))
    gain = rng.normal(shift * 0.02, 0.02, (len(metrics), num_seeds))
    return (
        arm("a", **dict(zip(metrics, (common + gain).tolist(), strict=True))),
        arm("b", **dict(zip(metrics, common.tolist(), strict=True))),
    )


@pytest.mark.parametrize(
    ("differences", "metric", "margin", "word", "negligible"),
    [
        ([0.03, 0.032, 0.031], "test_accuracy", 0.005, "better", False),
        ([-0.03, -0.032, -0.031], "test_accuracy", 0.005, "worse", False),
        ([0.03, 0.032, 0.031], "test_nll", 0.02, "worse", False),
        ([0.002, 0.0021, 0.0019], "test_accuracy", 0.005, "better", True),
        ([0.01, 0.09, 0.03], "test_accuracy", 0.005, "undecided", False),
        ([0.001, -0.001, 0.0], "test_accuracy", 0.005, "equivalent", False),
        ([0.001, -0.001, 0.0], "test_accuracy", 0.001, "undecided", False),
        ([0.0, 0.0], "test_accuracy", 0.0, "equivalent", False),
        ([0.9 - 0.895] * 3, "test_accuracy", 0.005, "equivalent", False),
        ([0.02] * 5, "test_accuracy", 0.005, "undecided", False),
        ([0.02] * 6, "test_accuracy", 0.005, "better", False),
        ([0.02], "test_accuracy", 0.05, "undecided", False),
    ],
)
def test_words(differences: Any, metric: Any, margin: Any, word: Any, negligible: Any) -> None:
    """Better or worse by a corrected p under 0.05; else equivalent where the interval is within the margin."""
    zeros = [0.0] * len(differences)
    rules = {**RULES, "margin": {metric.removeprefix("test_"): margin}}
    (row,) = verdicts(summary(arm("a", **{metric: differences}), arm("b", **{metric: zeros})), rules)
    assert (word, negligible) == (row["verdict"], row["negligible"])


def test_a_row_has_the_keys_of_the_contract() -> None:
    """The rows are those of the design, in strict JSON."""
    rows = verdicts(summary(*pair(np.random.default_rng(0), 5)), RULES)
    assert [KEYS] * 3 == [list(row) for row in rows]
    assert [name for name, each in judged(SingleLabel).items() if not each.skewed] == [row["metric"] for row in rows]
    json.dumps(rows, allow_nan=False)


@pytest.mark.parametrize(
    ("samples", "metrics", "judged_by"),
    [
        ((50, 26), (), ["test_accuracy"]),
        ((50, 25), (), ["test_accuracy", "test_balanced_accuracy"]),
        ((50, 50), ("test_balanced_accuracy",), ["test_accuracy", "test_balanced_accuracy"]),
    ],
)
def test_skewed_classes_are_judged_by_balanced_accuracy_too(
    samples: tuple[int, int], metrics: tuple[str, ...], judged_by: list[str]
) -> None:
    """Balanced accuracy judges where one class has twice the training samples of another, or where it is asked for."""
    rng = np.random.default_rng(0)
    data = {
        "d": {
            "majority": None,
            "classes": [{"name": str(n), "train": count, "test": count} for n, count in enumerate(samples)],
        }
    }
    arms = [{**each, "dataset": "d"} for each in pair(rng, 5, metrics=("test_accuracy", "test_balanced_accuracy"))]
    rows = verdicts({**summary(*arms), "data": data}, RULES, metrics=metrics)
    assert judged_by == [row["metric"] for row in rows]


def test_a_row_is_the_paired_difference_over_seeds() -> None:
    """The numbers are the statistics' of a - b; lower NLL is better."""
    a, b = [0.30, 0.41, 0.52, 0.33], [0.60, 0.70, 0.83, 0.62]
    (row,) = verdicts(summary(arm("a", test_nll=a), arm("b", test_nll=b)), RULES)
    paired = paired_difference(a, b)
    low, high = paired.interval()
    expected = {"a": "a", "b": "b", "metric": "test_nll", "difference": paired.difference, "low": low, "high": high}
    expected |= {"n": 4, "p": paired.p, "p_holm": paired.p, "p_flip": 0.125, "verdict": "better"}
    assert expected | {"negligible": False, "seeds_needed": None, "scaled": None, "test_set": None} == row


@pytest.mark.parametrize("metric", ["test_nll", "test_brier"])
def test_a_row_has_the_verdict_after_temperature_scaling(metric: str) -> None:
    """`scaled` is the row that the scaled values alone would give, and leaves the others as they are."""
    rng = np.random.default_rng(0)
    raw, scaled = rng.normal([[0.3], [0.5], [0.9]], 0.01, (2, 3, 5))
    names = ("a", "b", "c")
    both = [arm(name, **{metric: raw[n].tolist()}) for n, name in enumerate(names)]
    for n, each in enumerate(both):
        each["metrics"][f"{metric}_ts"] = {"values": (1 - scaled[n]).tolist()}
    rows = verdicts(summary(*both), RULES)
    alone = verdicts(summary(*(arm(name, **{metric: (1 - scaled[n]).tolist()}) for n, name in enumerate(names))), RULES)
    keys = ("difference", "low", "high", "p_holm", "verdict")
    assert [{key: row[key] for key in keys} for row in alone] == [row["scaled"] for row in rows]
    assert [("better", "worse")] * 3 == [(row["verdict"], row["scaled"]["verdict"]) for row in rows]
    unscaled = verdicts(summary(*(arm(name, **{metric: raw[n].tolist()}) for n, name in enumerate(names))), RULES)
    assert [{**row, "scaled": None} for row in rows] == unscaled


def test_the_margin_of_a_metric_holds_after_temperature_scaling() -> None:
    """A difference that is negligible before scaling is negligible after it."""
    a, b = arm("a", test_nll=[0.5, 0.7, 0.6]), arm("b", test_nll=[0.6, 0.8, 0.7])
    for each, values in ((a, [0.3, 0.31, 0.29]), (b, [0.301, 0.308, 0.291])):
        each["metrics"]["test_nll_ts"] = {"values": values}
    (row,) = verdicts(summary(a, b), {**RULES, "margin": {"nll": 0.01}})
    assert "equivalent" == row["scaled"]["verdict"]
    (row,) = verdicts(summary(a, b), {**RULES, "margin": {"nll": 0.001}})
    assert "undecided" == row["scaled"]["verdict"]


def test_a_row_seen_from_the_other_arm_is_reversed_after_scaling_too() -> None:
    """The difference, its interval and the word are those of b - a, and twice reversed the row is itself."""
    a, b = arm("a", test_nll=[0.5, 0.7, 0.6]), arm("b", test_nll=[0.6, 0.81, 0.7])
    for each, values in ((a, [0.5, 0.61, 0.4]), (b, [0.3, 0.4, 0.2])):
        each["metrics"]["test_nll_ts"] = {"values": values}
    (row,) = verdicts(summary(a, b), RULES)
    (other,) = verdicts(summary(b, a), RULES)
    assert {**other, "p": row["p"]} == {**seen_from(row, "b"), "p": row["p"]}
    assert row == seen_from(seen_from(row, "b"), "a")


def test_arms_are_paired_by_seed() -> None:
    """Values belong to the seeds beside them, whatever their order."""
    a, b = arm("a", seeds=[1, 0], test_nll=[1.0, 2.0]), arm("b", seeds=[0, 1], test_nll=[1.5, 0.5])
    (row,) = verdicts(summary(a, b), RULES)
    assert (0.5, 0.5, 0.5) == (row["difference"], row["low"], row["high"])


def test_pairs_stay_inside_a_comparison_in_the_order_of_arms() -> None:
    """Every pair of arms of one comparison once, the earlier arm as a; never across comparisons."""
    arms = [arm(name, test_brier=[0.1, 0.2]) for name in "abcde"]
    rows = verdicts(summary(*arms, pairing=[{"arms": ["c", "a", "b"]}, {"arms": ["d", "e"]}]), RULES)
    assert ["ab", "ac", "bc", "de"] == [row["a"] + row["b"] for row in rows]
    assert [] == verdicts(summary(arms[0]), RULES)


@pytest.mark.parametrize(
    ("family", "size"),
    [("run", 6), ("comparison", 3), ("metric", 1)],
)
def test_correction_is_over_the_family(family: Any, size: Any) -> None:
    """Holm's correction takes the rows of a family together, and the intervals are Bonferroni's for as many."""
    rng = np.random.default_rng(1)
    arms = [{**member, "name": f"{member['name']}{number}"} for number in (0, 1) for member in pair(rng, 6)]
    of_two = summary(*arms, pairing=[{"arms": ["a0", "b0"]}, {"arms": ["a1", "b1"]}])
    rows = verdicts(of_two, {**RULES, "family": family})
    assert 6 == len(rows)
    for start in range(0, 6, size):
        part = rows[start : start + size]
        assert holm([row["p"] for row in part]) == [row["p_holm"] for row in part]
    by_seed = [arms[0]["metrics"]["test_nll"]["values"], arms[1]["metrics"]["test_nll"]["values"]]
    assert paired_difference(*by_seed).interval(0.05 / size) == (rows[1]["low"], rows[1]["high"])


def test_a_baseline_is_what_the_others_are_compared_with() -> None:
    """A baseline is an arm, or a loss by its label; comparisons without it judge all pairs."""
    arms = [{**arm(name, test_brier=[0.1, 0.2]), "label": name[0]} for name in ("a", "b", "c", "b2", "d", "e")]
    of_two = summary(*arms, pairing=[{"arms": ["a", "b", "c"]}, {"arms": ["b2", "d", "e"]}])
    for baseline, pairs in {"b": "ab bc b2d b2e", "c": "ac bc b2d b2e de"}.items():
        rows = verdicts(of_two, {**RULES, "baseline": baseline})
        assert pairs.split() == [row["a"] + row["b"] for row in rows]


def test_metric_that_a_loss_cannot_have_gives_no_row() -> None:
    """Without probabilities there is no NLL to compare, and no test is counted for it."""
    with_p = arm("a", test_accuracy=[0.9, 0.8, 0.85], test_nll=[0.1, 0.2, 0.3])
    (row,) = verdicts(summary(with_p, arm("b", test_accuracy=[0.5, 0.6, 0.5])), RULES)
    assert ("test_accuracy", row["p"]) == (row["metric"], row["p_holm"])


def test_diverged_seeds_are_left_out_and_seen_in_n() -> None:
    """A seed counts where both arms finished; an arm that never did has no row but that of failures."""
    a, b = arm("a", test_nll=[0.1, None, 0.3, 0.2]), arm("b", test_nll=[0.2, 0.2, None, 0.5])
    row, failed = verdicts(summary(a, b), RULES)
    assert (2, "test_nll") == (row["n"], row["metric"])
    assert (4, "failures", 0.0, 1.0) == (failed["n"], failed["metric"], failed["difference"], failed["p"])
    assert ["failures"] == [row["metric"] for row in verdicts(summary(a, arm("b", test_nll=[None] * 4)), RULES)]


def test_survivors_do_not_win_for_an_arm_that_lost_more_seeds() -> None:
    """With more seeds lost an arm is not better or equivalent on the rest; the other may be better."""
    lossy = arm("a", test_accuracy=[None, None, 0.95, 0.96, 0.95, 0.97, 0.96])
    for others, word in ((0.8, "undecided"), (0.958, "undecided"), (0.99, "worse")):
        row, _ = verdicts(summary(lossy, arm("b", test_accuracy=[others] * 7)), RULES)
        assert (word, 5) == (row["verdict"], row["n"])
        assert row["seeds_needed"] is None
    even = arm("b", test_accuracy=[0.8] * 5 + [None] * 2)
    assert "better" == verdicts(summary(lossy, even), RULES)[0]["verdict"]


@pytest.mark.parametrize("order", [1, -1])
def test_arms_of_two_runs_are_judged_at_the_seeds_that_both_have(order: int) -> None:
    """A seed that one of them was never trained on is neither lost nor failed; it changes no number."""
    few, many = [0.95, 0.91, 0.93, 0.96], [0.85, 0.8, 0.83, 0.84]
    arms = [arm("a", test_accuracy=few), arm("b", test_accuracy=[*many, 0.1, None])]
    expected = verdicts(summary(*[arms[0], arm("b", test_accuracy=many)][::order]), RULES)
    assert ["better" if order > 0 else "worse"] == [row["verdict"] for row in expected]
    assert expected == verdicts(summary(*arms[::order]), RULES)


def test_failures_are_judged_by_mcnemars_exact_test() -> None:
    """A seed failed that has no metric or is below always answering one class; p is of seeds where one arm failed."""
    classes = [{"name": name, "train": 5, "test": 5} for name in "xy"]
    data = {"d": {"problem": "single_label", "majority": 0.5, "classes": classes}}
    a = arm("a", test_balanced_accuracy=[0.9] * 4 + [0.4] * 5 + [None] * 3)
    b = arm("b", test_balanced_accuracy=[0.1] + [0.9] * 8 + [None] + [0.5] * 2)
    of_two = {**summary(*({**each, "dataset": "d"} for each in (a, b))), "data": data}
    *_, row = verdicts(of_two, RULES)
    assert ("failures", 12, 6 / 12) == (row["metric"], row["n"], row["difference"])
    assert stats.binomtest(1, 8).pvalue == pytest.approx(row["p"])
    assert "undecided" == row["verdict"]
    (*_, alone) = verdicts(summary(arm("a", test_nll=[None] * 9), arm("b", test_nll=[0.1] * 9)), RULES)
    assert ("worse", 2 / 2**9) == (alone["verdict"], alone["p"])


def test_giving_up_accuracy_for_a_rare_class_is_no_failure() -> None:
    """With 97% of one class, 90% accuracy is below the majority's; at a balanced accuracy of 80% nothing collapsed."""
    classes = [{"name": "no", "train": 97, "test": 97}, {"name": "yes", "train": 3, "test": 3}]
    data = {"d": {"problem": "single_label", "majority": 0.97, "classes": classes}}
    weighted = arm("a", test_accuracy=[0.9] * 9, test_balanced_accuracy=[0.8] * 9)
    plain = arm("b", test_accuracy=[0.97] * 9, test_balanced_accuracy=[0.5] * 9)
    of_two = {**summary(*({**each, "dataset": "d"} for each in (weighted, plain))), "data": data}
    assert "failures" not in {row["metric"] for row in verdicts(of_two, RULES)}


@given(st.lists(st.tuples(SCORES, SCORES), min_size=1, max_size=8))
def test_swapping_the_arms_flips_the_verdict(pairs: Any) -> None:
    """The verdict on b and a is that on a and b turned round; the difference changes its sign."""
    a, b = (arm(name, test_accuracy=values) for name, values in zip("ab", zip(*pairs, strict=True), strict=True))
    flipped = {"better": "worse", "worse": "better"}
    for there, back in zip(verdicts(summary(a, b), RULES), verdicts(summary(b, a), RULES), strict=True):
        assert there["difference"] == -back["difference"]
        assert (there["p_holm"], there["p_flip"]) == (back["p_holm"], back["p_flip"])
        assert flipped.get(there["verdict"], there["verdict"]) == back["verdict"]
        assert there["verdict"] in VERDICTS


def test_chance_alone_is_seldom_called_a_difference() -> None:
    """Of 2,000 null experiments with ten seeds at most 6.2% of rows have p < 0.05, and 6.2% any verdict after Holm."""
    rng = np.random.default_rng(0)
    experiments = [verdicts(summary(*pair(rng, 10)), RULES) for _ in range(2000)]
    rows = [row for experiment in experiments for row in experiment]
    assert 0.038 <= np.mean([row["p"] < 0.05 for row in rows]) <= 0.062
    assert np.mean([any(row["verdict"] in ("better", "worse") for row in rows) for rows in experiments]) <= 0.062


def test_true_difference_is_found() -> None:
    """One standard deviation of the paired difference, at 20 seeds, is found in at least 95% of experiments."""
    rng = np.random.default_rng(0)
    found = [verdicts(summary(*pair(rng, 20, shift=1.0, metrics=("test_accuracy",))), RULES) for _ in range(1000)]
    assert np.mean([row["verdict"] == "better" for (row,) in found]) >= 0.95


def test_seeds_are_advised_where_they_would_settle_it() -> None:
    """An open row says how many seeds it needs, more among many tests; a settled one needs none."""
    a, b = arm("a", test_accuracy=[0.95, 0.91, 0.93, 0.96]), arm("b", test_accuracy=[0.9] * 2 + [0.94] * 2)
    (row,) = verdicts(summary(a, b), RULES)
    (among_many, *_) = verdicts(summary(a, b, arm("c", test_accuracy=[0.1, 0.9, 0.2, 0.8])), RULES)
    assert "undecided" == row["verdict"] == among_many["verdict"]
    assert row["n"] < row["seeds_needed"] < among_many["seeds_needed"]
    (settled,) = verdicts(summary(arm("a", test_accuracy=[0.5] * 9), arm("b", test_accuracy=[0.4] * 9)), RULES)
    assert ("better", None) == (settled["verdict"], settled["seeds_needed"])


@pytest.mark.parametrize(
    ("metric", "better"),
    [
        ("test_accuracy", "higher"),
        ("val_accuracy", "higher"),
        ("train_loss", "lower"),
        ("test_nll", "lower"),
        ("stuck_share", "lower"),
        ("logit_grad_norm", None),
        ("seconds", None),
    ],
)
def test_direction_is_the_metrics_own(metric: Any, better: Any) -> None:
    """Which way is better comes from the metric's definition; a diagnostic and a cost have no best epoch."""
    assert better == direction(metric)


def many(number: Any, rng: Any = None) -> Any:
    """A summary of so many arms; with `rng` their values are at random."""
    scores = [[0.1 * n, 0.2] if rng is None else rng.random(2).tolist() for n in range(number)]
    return summary(*(arm(f"l{n}", test_accuracy=values) for n, values in enumerate(scores)))


@pytest.mark.parametrize(("arms", "judged"), [(2, 1), (32, 496), (33, 32), (300, 299)])
def test_all_pairs_are_judged_up_to_a_limit_and_beyond_it_each_against_the_first(arms: Any, judged: Any) -> None:
    """496 of 496 pairs, but 32 of 528; what was judged of how many is said."""
    found = judgement(many(arms), RULES)
    assert {"judged": judged, "all": arms * (arms - 1) // 2} == found["pairs"]
    pairs = list(dict.fromkeys((row["a"], row["b"]) for row in found["verdicts"]))
    assert judged == len(pairs)
    assert (judged > arms) == any(a != "l0" for a, _ in pairs)
    assert sorted(pairs, key=lambda pair: (int(pair[0][1:]), int(pair[1][1:]))) == pairs


def test_no_result_chooses_the_reference() -> None:
    """The pairs are the same whatever the arms came to, in every comparison of a run that has too many in all."""
    names = [[f"l{n}" for n in range(start, start + 30)] for start in (0, 30)]
    two = {"arms": many(60)["arms"], "pairing": [{"arms": part[::-1]} for part in names]}
    other = {**two, "arms": many(60, np.random.default_rng(0))["arms"]}
    assert MOST_PAIRS < 2 * 435
    assert [(part[0], b) for part in names for b in part[1:]] == judged_pairs(two) == judged_pairs(other)


def test_pairs_that_are_asked_for_are_judged_too_and_count_in_the_family() -> None:
    """Each once, in the summary's order, however it is asked for; Holm's correction is over what is judged."""
    arms = many(40, np.random.default_rng(0))
    usual, asked = (
        judgement(arms, RULES),
        judgement(arms, RULES, {("l7", "l3"), ("l3", "l7"), ("l0", "l1"), ("l39", "l38")}),
    )
    assert 2 == asked["pairs"]["judged"] - usual["pairs"]["judged"]
    rows = asked["verdicts"]
    assert {("l3", "l7"), ("l38", "l39")} == {(row["a"], row["b"]) for row in rows if row["a"] != "l0"}
    assert holm([row["p"] for row in rows]) == [row["p_holm"] for row in rows]
    assert verdicts(many(5), RULES) == verdicts(many(5), RULES, {("l3", "l1")})
