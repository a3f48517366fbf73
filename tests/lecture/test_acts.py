"""The lecture's acts: what they show is what gradient descent and training do."""

from __future__ import annotations

import math
from itertools import islice
from statistics import mean

import pytest

from clsbench.analysis.terrain import terrain_of
from clsbench.lecture.claims import CLAIMS
from clsbench.lecture.marble import roll, rolls
from clsbench.lecture.networks import gentle, wrong


def test_one_marble_rolls_and_the_other_lies() -> None:
    """Cross-entropy takes 11 steps, counted; squared error about 60,646,000, integrated: the closed form says so."""
    entropy, squared = rolls()
    assert (11, True) == (entropy.steps, entropy.counted)
    assert pytest.approx(-16, abs=1e-3) == entropy.at(2)
    # A step is 8 p (1 - p)^2 wide, and 1 / (p (1 - p)^2) = e^-m + 3 + 3 e^m + e^2m is integrated from -20 to 0.
    closed = (math.exp(20) - 1 + 60 + 3 * (1 - math.exp(-20)) + 0.5) / 8
    assert pytest.approx(closed, rel=1e-6) == squared.steps
    assert not squared.counted
    assert pytest.approx(1000 * 8 * math.exp(-20), rel=1e-4) == squared.at(1000) + 20


def test_integrating_agrees_with_counting() -> None:
    """A hundredth of the learning rate needs a hundred times the steps, though it is integrated."""
    terrain = terrain_of("mse_softmax", 3)
    assert terrain is not None
    fine, finer = roll(terrain, -4.0, 0.05), roll(terrain, -4.0, 0.0005)
    assert (True, False) == (fine.counted, finer.counted)
    assert pytest.approx(100 * fine.steps, rel=0.02) == finer.steps


def test_a_gentle_start_is_paired() -> None:
    """Before training both sides have the same marbles and accuracy; after two epochs both have learned."""
    start, _, later = islice(gentle(), 3)
    assert start.sides[0].margins == start.sides[1].margins
    assert start.sides[0].accuracies == start.sides[1].accuracies
    assert 200 == len(start.sides[0].margins)
    assert all(side.accuracies[0] is not None and side.accuracies[0] > 0.7 for side in later.sides)


@pytest.mark.slow
def test_a_wrong_start_is_a_slope_for_one_loss_and_a_plateau_for_the_other() -> None:
    """Every marble starts far on the wrong side; in two epochs those of cross-entropy move, the others hardly."""
    start, _, later = islice(wrong(), 3)
    assert max(start.sides[0].margins) < 0
    assert mean(start.sides[0].margins) < -15
    entropy, squared = (
        mean(after.margins) - mean(before.margins) for before, after in zip(start.sides, later.sides, strict=True)
    )
    assert entropy > 10
    assert abs(squared) < 1


def test_claims_hold() -> None:
    """Softmax of (2, 3, 5, 0); sigmoid of a difference; one-hot beats numbers; one scale is best for both."""
    rows = CLAIMS["softmax"]().rows
    assert ["0.0418", "0.1135", "0.8390", "0.0057", "1.0000"] == [row[-1] for row in rows]
    assert all(row[2] == row[3] for row in CLAIMS["sigmoid"]().rows)
    by_number, by_one_hot = (float(row[-1]) for row in CLAIMS["one-hot"]().rows)
    assert by_number < 0.6 < 0.9 < by_one_hot
    scales = [(float(likelihood), float(entropy)) for _, likelihood, entropy in CLAIMS["likelihood"]().rows]
    assert max(scales)[1] == min(entropy for _, entropy in scales)
    assert all(math.exp(-entropy) == pytest.approx(likelihood, abs=1e-5) for likelihood, entropy in scales)
