"""Arms over several comparisons: ranks, tests and probabilities, against scipy, baycomp and closed forms."""

from __future__ import annotations

import itertools
from typing import Any

import baycomp
import numpy as np
import pytest
from scipy import stats

from clsbench.analysis.across import across, bayesian_signed_rank, friedman, groups, mean_ranks, signed_rank
from clsbench.config.plan import make_plan
from clsbench.config.reader import read_mapping
from clsbench.config.schema import VerdictConfig

RULES = VerdictConfig().rules
DATASETS = ["moons", "circles", "iris", "wine", "digits", "breast_cancer"]


def found(values: dict[str, Any], losses: list[str], rules: Any = RULES, num_datasets: int | None = None) -> Any:
    """`across` of an experiment whose arms have these test accuracies, by loss: for each dataset, those by seed."""
    number = num_datasets or len(next(iter(values.values())))
    names = [*DATASETS, *(f"d{place}" for place in range(len(DATASETS), number))][:number]
    datasets = [name if name in DATASETS else {"name": "moons", "label": name} for name in names]
    plan = make_plan(read_mapping({"dataset": datasets, "model": "linear", "loss": losses, "train": {"seeds": 2}}))
    arms: list[Any] = [
        {"name": arm.name, "metrics": {"test_accuracy": {"values": values[arm.loss.name][arm.comparison]}}}
        for arm in plan.arms
    ]
    return across(plan, arms, {name: {"problem": "single_label"} for name in names}, rules)  # type: ignore[dict-item]


def test_friedmans_test_by_its_closed_form() -> None:
    """12 N / (A (A + 1)) (sum of squared mean ranks - A (A + 1)^2 / 4) is chi-square with A - 1 degrees of freedom."""
    gains = np.random.default_rng(0).random((14, 4))
    ranks = mean_ranks(gains)
    assert [row.mean() for row in stats.rankdata(-gains, axis=1).T] == ranks.tolist()
    statistic = 12 * 14 / (4 * 5) * ((ranks**2).sum() - 4 * 5**2 / 4)
    assert stats.chi2.sf(statistic, 3) == pytest.approx(friedman(gains))


def test_ranks_of_equal_arms_are_shared() -> None:
    """Two arms in front share 1.5; tests of arms that are equal everywhere find nothing."""
    assert [1.5, 1.5, 3.0] == mean_ranks(np.array([[0.9, 0.9, 0.1]] * 3)).tolist()
    assert 1.0 == friedman(np.full((4, 3), 0.5)) == signed_rank([0.0] * 4)
    assert friedman(np.array([[0.1, 0.2], [0.1, 0.2]])) is None


@pytest.mark.parametrize("number", [2, 3, 4])
def test_few_differences_have_the_p_of_scipys_exact_test(number: int) -> None:
    """With ties and without, with blocks that differ by nothing."""
    cases = [case for case in itertools.product([-2.0, -1.0, 0.0, 1.0, 3.0], repeat=number) if any(case)]
    exact = stats.PermutationMethod(n_resamples=np.inf)
    assert [stats.wilcoxon(case, method=exact).pvalue for case in cases] == [signed_rank(case) for case in cases]


@pytest.mark.parametrize("margin", [0.002, 0.01])
@pytest.mark.parametrize("shift", [-0.01, 0.0, 0.03])
def test_bayesian_probabilities_agree_with_baycomp(shift: float, margin: float) -> None:
    """To within the luck of 20,000 and 50,000 draws."""
    differences = np.random.default_rng(0).normal(shift, 0.02, 14)
    expected = baycomp.two_on_multiple(differences, np.zeros(14), rope=margin)
    assert expected == pytest.approx(bayesian_signed_rank(differences.tolist(), margin), abs=0.02)


def test_wins_ties_and_losses_are_counted_by_the_margin() -> None:
    """Within the margin two arms tie; a metric's own margin stands where the rules name none."""
    better = [[0.9, 0.92], [0.8, 0.8], [0.7, 0.7], [0.6, 0.6], [0.5, 0.5], [0.5, 0.5]]
    worse = [[0.8, 0.8], [0.797, 0.797], [0.71, 0.71], [0.6, 0.6], [0.4, 0.4], [0.4, 0.4]]
    values = {"bce": better, "hinge": worse}
    (pair,) = found(values, ["bce", "hinge"])["pairs"]
    assert ("bce", "hinge", 3, 2, 1) == (pair["a"], pair["b"], pair["win"], pair["tie"], pair["loss"])
    strict = found(values, ["bce", "hinge"], {**RULES, "margin": {"accuracy": 0.0}})["pairs"][0]
    assert (4, 1, 1) == (strict["win"], strict["tie"], strict["loss"])
    assert stats.wilcoxon(np.mean(better, 1) - np.mean(worse, 1)).pvalue == pytest.approx(pair["p"])


def test_the_test_says_which_of_two_arms_is_better() -> None:
    """By its signed ranks: an arm that leads by a little in most comparisons, and loses by far in others, is worse."""
    leads = [0.001 * place for place in range(1, 22)] + [-0.01 * place for place in range(4, 23)]
    values = {"cross_entropy": [[0.5 + lead] for lead in leads], "bce": [[0.5]] * len(leads)}
    both = found(values, ["cross_entropy", "bce"])
    first, second = (arm["mean_rank"] for arm in both["arms"])
    (pair,) = both["pairs"]
    assert first < second
    assert stats.wilcoxon(leads).pvalue == pytest.approx(pair["p_holm"])
    assert 0.05 > pair["p_holm"]
    assert "worse" == pair["verdict"]
    (turned,) = found(values, ["bce", "cross_entropy"])["pairs"]
    assert "better" == turned["verdict"]


def test_an_arm_without_a_number_ranks_last() -> None:
    """A loss of which every seed diverged on a dataset is worse there than any that ended; it has no mean."""
    values = {"bce": [[None, None], [0.9, 0.9]], "hinge": [[0.1, 0.1], [0.5, 0.5]]}
    both = found(values, ["bce", "hinge"])
    assert [1.5, 1.5] == [arm["mean_rank"] for arm in both["arms"]]
    assert [None, 0.3] == [arm["mean"] and pytest.approx(arm["mean"]) for arm in both["arms"]]
    assert (1, 0, 1) == tuple(both["pairs"][0][key] for key in ("win", "tie", "loss"))


def test_the_interval_of_the_mean_draws_seeds_within_each_comparison() -> None:
    """Datasets differ by far more than seeds: the interval knows the seeds alone."""
    rng = np.random.default_rng(0)
    values = {"bce": [(level + rng.normal(0, 0.01, 50)).tolist() for level in (0.2, 0.5, 0.9)]}
    values["hinge"] = values["bce"]
    arm = found(values, ["bce", "hinge"])["arms"][0]
    deviation = np.sqrt(sum(np.var(block) / 50 for block in values["bce"])) / 3
    assert 2 * 1.96 * deviation == pytest.approx(arm["high"] - arm["low"], rel=0.1)
    assert arm["low"] < arm["mean"] < arm["high"]


def test_one_seed_gives_a_mean_without_an_interval() -> None:
    """Nor has an arm an interval of which one seed is left in some comparison."""
    values: dict[str, Any] = {"bce": [[0.9], [0.7]], "hinge": [[0.8, 0.6], [0.5, None]]}
    numbers = [(arm["mean"], arm["low"], arm["high"]) for arm in found(values, ["bce", "hinge"])["arms"]]
    assert [(pytest.approx(0.8), None, None), (pytest.approx(0.6), None, None)] == numbers


def test_equal_arms_are_equivalent_also_by_a_margin_of_zero() -> None:
    """No difference in any comparison is no reason to expect one in the next."""
    assert (0.0, 1.0, 0.0) == bayesian_signed_rank([0.0] * 6, 0.0)
    better, equivalent, worse = bayesian_signed_rank([0.1, -0.1] * 5, 0.0)
    assert pytest.approx((0.5, 0.5), abs=0.02) == (better, worse)
    assert 0.0 == equivalent


def test_one_comparison_has_nothing_to_be_across() -> None:
    """Nor has one arm, nor arms of problems of different kinds."""
    assert found({"bce": [[0.1, 0.2]], "hinge": [[0.1, 0.2]]}, ["bce", "hinge"]) is None
    assert found({"bce": [[0.1, 0.2], [0.1, 0.2]]}, ["bce"]) is None


def test_groups_are_the_largest_that_no_test_tells_apart() -> None:
    """Neighbours by rank; a group inside another is not named again."""
    pairs = [("a", "b", 0.9), ("a", "c", 0.04), ("b", "c", 0.2), ("a", "d", 0.01), ("b", "d", 0.01), ("c", "d", 0.5)]
    of: Any = {
        "arms": [{"name": name, "mean_rank": rank} for rank, name in enumerate("abcd", start=1)],
        "pairs": [{"a": a, "b": b, "p_holm": p} for a, b, p in pairs],
    }
    assert [("a", "b"), ("b", "c"), ("c", "d")] == groups(of)
