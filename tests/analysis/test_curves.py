"""Curves over seeds."""

import math
from typing import Any

import numpy as np
import pytest

from clsbench.analysis.curves import (
    Comparison,
    Curve,
    best_mean,
    comparisons,
    leading,
    ranked,
    seconds_per_trial,
    spans_decades,
)


def row(arm: Any, seed: Any, epoch: Any, **metrics: Any) -> Any:
    return {"trial": seed, "arm": arm, "seed": seed, "epoch": epoch, **metrics}


def curve(records: Any, name: Any, metric: Any) -> Any:
    """The curve of an arm, among all arms that the records have."""
    names = sorted({record["arm"] for record in records})
    (found,) = comparisons(records, {"arms": [arm(each, 0.5) for each in names], "pairing": [{"arms": names}]})
    return found.curve(name, metric)


def line(*points: Any) -> Any:
    epochs, means = zip(*points, strict=True)
    return Curve("a", "test_accuracy", epochs, means, means, means, (1,) * len(points))


def arm(name: Any, accuracy: Any, seeds: Any = (0,)) -> Any:
    return {
        "name": name,
        "dataset": "moons",
        "model": "mlp",
        "seeds": list(seeds),
        "metrics": {"test_accuracy": {"mean": accuracy}},
    }


def test_mean_and_range_agree_with_numpy() -> None:
    """Mean, minimum and maximum at each epoch are numpy's over the seeds."""
    values = np.random.default_rng(0).random((7, 5))
    records = [row("a", seed, epoch, test_nll=values[seed, epoch]) for seed in range(7) for epoch in range(5)]
    drawn = curve(records[::-1], "a", "test_nll")
    assert (0, 1, 2, 3, 4) == drawn.epochs
    assert drawn.n == (7,) * 5
    np.testing.assert_allclose(drawn.mean, values.mean(axis=0), rtol=1e-12)
    np.testing.assert_array_equal(drawn.low, values.min(axis=0))
    np.testing.assert_array_equal(drawn.high, values.max(axis=0))


def test_a_diverged_seed_is_not_imputed() -> None:
    """A seed leaves the mean at the epoch where it diverged, and n falls."""
    records = [row("a", 0, epoch, test_accuracy=0.8) for epoch in range(4)]
    records += [
        row("a", 1, 0, test_accuracy=0.4),
        row("a", 1, 1, test_accuracy=0.6),
        row("a", 1, 2, test_accuracy=None),
    ]
    drawn = curve(records, "a", "test_accuracy")
    assert (2, 2, 1, 1) == drawn.n
    assert pytest.approx((0.6, 0.7, 0.8, 0.8)) == drawn.mean
    assert (0.4, 0.6, 0.8, 0.8) == drawn.low


def test_epochs_without_a_number_are_absent() -> None:
    """An epoch at which every seed has diverged is no point of the curve, nor is a number that is not finite."""
    records = [row("a", 0, 0, test_nll=0.7), row("a", 0, 1, test_nll=math.nan), row("a", 0, 2, test_nll=None)]
    assert (0,) == curve(records, "a", "test_nll").epochs
    assert () == curve(records, "a", "test_brier").epochs


def test_other_arms_do_not_count() -> None:
    """A curve is of its own arm alone."""
    records = [row("a", 0, 0, test_nll=1.0), row("b", 0, 0, test_nll=3.0)]
    assert (1.0,) == curve(records, "a", "test_nll").mean


def test_best_mean_looks_at_every_epoch_of_every_curve() -> None:
    """The best need be neither the last epoch nor the first arm; without points there is none."""
    assert 0.9 == best_mean([line((0, 0.1), (1, 0.9), (2, 0.3)), line((0, 0.8))], "test_accuracy")
    assert 0.1 == best_mean([line((0, 0.1), (1, 0.9)), line((0, 0.8))], "test_nll")
    assert best_mean([Curve("a", "m", (), (), (), (), ())], "test_nll") is None


def test_ranked_puts_the_highest_first_and_leaves_out_what_has_no_mean() -> None:
    """An arm whose seeds all diverged has no rank; equal means keep the order of the plan."""
    arms = (arm("low", 0.5), arm("lost", None), arm("first", 0.9), arm("second", 0.9))
    assert ["first", "second", "low"] == [one["name"] for one in ranked(Comparison(arms, {}))]


def test_leading_keeps_the_order_of_the_plan() -> None:
    """The best are chosen by accuracy, and drawn in their own order; those without a mean come last."""
    arms = (arm("a", 0.5), arm("b", None), arm("c", 0.9), arm("d", 0.7))
    assert ["c", "d"] == [one["name"] for one in leading(Comparison(arms, {}), 2)]
    assert ["a", "b", "c", "d"] == [one["name"] for one in leading(Comparison(arms, {}), 4)]


def test_comparisons_follow_the_pairing() -> None:
    """Each entry of the summary's pairing is a comparison with the records of its own arms."""
    records = [row("a", 0, 3, test_nll=1.0), row("b", 0, 5, test_nll=3.0)]
    summary = {"arms": [arm("a", 0.5), arm("b", 0.6, (0, 1))], "pairing": [{"arms": ["b"]}, {"arms": ["a"]}]}
    first, second = comparisons(records, summary)
    assert ["b"] == [one["name"] for one in first.arms]
    assert (5, 3) == (first.last_epoch, second.last_epoch)
    assert (2, 1) == (first.num_seeds, second.num_seeds)
    assert (1.0,) == second.curve("a", "test_nll").mean


def test_seconds_per_trial_is_the_mean_of_the_last_records() -> None:
    """`seconds` is cumulative: each trial counts once, with its last record."""
    records = [row("a", seed, epoch, seconds=(seed + 1.0) * epoch) for seed in (0, 1) for epoch in (0, 1, 2)]
    assert 3.0 == seconds_per_trial(records)
    assert seconds_per_trial([]) is None


def test_spans_decades() -> None:
    """A logarithmic axis is for positive values that differ a hundredfold."""
    assert spans_decades([0.01, 1.0])
    assert not spans_decades([0.02, 1.0])
    assert not spans_decades([0.0, 1.0])
