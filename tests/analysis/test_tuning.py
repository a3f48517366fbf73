"""The best setting: fewest diverged seeds, the mean over arms, NLL, grid order; and whether it is on the edge."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clsbench.analysis.choosing import at_edge, choose


def rows(*means: float | None, diverged: tuple[int, ...] = ()) -> list[dict[str, Any]]:
    lost = diverged or (0,) * len(means)
    return [{"values": [mean], "diverged": count} for mean, count in zip(means, lost, strict=True)]


def seeds(counts: Sequence[int], samples: int, nll: float | None = None) -> dict[str, Any]:
    """A setting at which so many of the samples are right, seed by seed."""
    return {"values": [count / samples for count in counts], "diverged": 0, "second": nll}


def test_direction_of_the_metric_is_considered() -> None:
    """More accuracy is better, less NLL is."""
    assert 1 == choose([rows(0.5, 0.9, 0.7)], "val_accuracy")
    assert 0 == choose([rows(0.5, 0.9, 0.7)], "val_nll")


def test_first_of_equal_settings_wins() -> None:
    """Ties go to the first in grid order."""
    assert 1 == choose([rows(0.5, 0.9, 0.9)], "val_accuracy")


def test_equal_accuracies_tie_exactly() -> None:
    """23, 23 and 23 of 30 are as good as 22, 23 and 24: 69 of 90, whatever the last bit of a mean says."""
    same = [seeds(counts, 30) for counts in ([22, 23, 24], [23, 23, 23], [24, 24, 21], [30, 30, 9])]
    for first in range(len(same)):
        assert 0 == choose([same[first:]], "val_accuracy")
        assert 0 == choose([same[::-1][first:]], "val_accuracy")


def test_one_more_right_sample_decides() -> None:
    """The least that samples can differ by is told apart, in millions of them too."""
    for samples in (30, 12_000_000 // 3):
        few, more = seeds([samples // 3] * 3, samples), seeds([samples // 3] * 2 + [samples // 3 + 1], samples)
        assert 1 == choose([[few, more]], "val_accuracy")
        assert 0 == choose([[more, few]], "val_accuracy")


def test_equal_accuracies_are_told_apart_by_nll() -> None:
    """Among equals the least validation NLL wins; where one of them has none, the first in grid order."""
    assert 1 == choose([[seeds([20], 30, 0.5), seeds([20], 30, 0.4), seeds([19], 30, 0.1)]], "val_accuracy")
    assert 0 == choose([[seeds([20], 30, 0.5), seeds([20], 30, None), seeds([19], 30, 0.1)]], "val_accuracy")
    assert 1 == choose([[seeds([19], 30, None), seeds([20], 30, 0.5), seeds([20], 30, 0.5)]], "val_accuracy")
    two = [[seeds([20], 30, 0.5), seeds([20], 30, 0.4)], [seeds([20], 30, 0.1), seeds([20], 30, 0.3)]]
    assert 0 == choose(two, "val_accuracy")


COUNTS = st.integers(2, 4).flatmap(
    lambda n: st.lists(st.lists(st.integers(0, 12), min_size=n, max_size=n), min_size=2, max_size=6)
)


@given(arms=st.lists(COUNTS, min_size=1, max_size=4), samples=st.sampled_from([12, 30, 49, 997]), data=st.data())
def test_order_of_seeds_and_arms_does_not_matter(arms: list[list[list[int]]], samples: int, data: Any) -> None:
    """Shuffled seeds and shuffled arms choose the same setting, the first of those with the most right samples."""
    settings = min(map(len, arms))
    shared = [[seeds(counts, samples) for counts in arm[:settings]] for arm in arms]
    by_hand = [sum(Fraction(sum(arm[place]), len(arm[place])) for arm in arms) for place in range(settings)]
    assert by_hand.index(max(by_hand)) == choose(shared, "val_accuracy")
    shuffled = [[{**row, "values": data.draw(st.permutations(row["values"]))} for row in arm] for arm in shared]
    assert choose(shared, "val_accuracy") == choose(data.draw(st.permutations(shuffled)), "val_accuracy")
    assert choose(shared, "val_brier") == choose(data.draw(st.permutations(shuffled)), "val_brier")


def test_setting_with_a_diverged_seed_loses_to_any_without() -> None:
    """However good the seeds that are left; among settings that all diverge, the fewest lost seeds win."""
    assert 0 == choose([rows(0.1, 0.9, diverged=(0, 1))], "val_accuracy")
    assert 1 == choose([rows(0.9, 0.1, None, diverged=(2, 1, 3))], "val_accuracy")
    assert 0 == choose([rows(None, None, diverged=(3, 3))], "val_accuracy")


def test_arms_that_share_a_setting_are_judged_by_their_mean() -> None:
    """Neither arm's own best need win, and a setting at which one of them diverged loses."""
    assert 1 == choose([rows(0.9, 0.8, 0.1), rows(0.1, 0.8, 0.9)], "val_accuracy")
    assert 0 == choose([rows(0.5, 0.8), rows(0.5, 0.8, diverged=(0, 1))], "val_accuracy")


@pytest.mark.parametrize(("lr", "edge"), [(0.1, ["lr"]), (1.0, []), (10.0, ["lr"])])
def test_edge_is_either_end_whatever_the_order(lr: float, edge: list[str]) -> None:
    """The least and the greatest value are the edge, wherever they stand in the list."""
    assert edge == at_edge({"lr": lr}, {"lr": (1.0, 10.0, 0.1)})


def test_ends_by_nature_are_no_edge() -> None:
    """Beyond no momentum, no clipping and a single value there is nothing to try."""
    axes = {"momentum": (0, 0.9), "clip_norm": (None, 1.0, 5.0), "lr": (0.1,)}
    assert [] == at_edge({"momentum": 0, "clip_norm": None, "lr": 0.1}, axes)
    assert ["momentum", "clip_norm"] == at_edge({"momentum": 0.9, "clip_norm": 1.0, "lr": 0.1}, axes)
    assert [] == at_edge({"momentum": 0, "clip_norm": 5.0, "lr": 0.1}, axes)
