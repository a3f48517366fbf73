"""The best setting: fewest diverged seeds, then the mean over arms, then the first; and whether it is on the edge."""

from __future__ import annotations

from typing import Any

import pytest

from clsbench.analysis.tuning import at_edge, choose


def rows(*means: float | None, diverged: tuple[int, ...] = ()) -> list[dict[str, Any]]:
    lost = diverged or (0,) * len(means)
    return [{"mean": mean, "diverged": count} for mean, count in zip(means, lost, strict=True)]


def test_direction_of_the_metric_is_considered() -> None:
    """More accuracy is better, less NLL is."""
    assert 1 == choose([rows(0.5, 0.9, 0.7)], "val_accuracy")
    assert 0 == choose([rows(0.5, 0.9, 0.7)], "val_nll")


def test_first_of_equal_settings_wins() -> None:
    """Ties go to the first in grid order."""
    assert 1 == choose([rows(0.5, 0.9, 0.9)], "val_accuracy")


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
