"""Where the arms of a comparison start: told where their networks are wrong and sure of it, before any training."""

from __future__ import annotations

from clsbench.analysis.curves import Comparison
from clsbench.report.document import Text

MOST_RIGHT = 0.5  # a start that has more answers right is not a wrong one
LEAST_EXCESS = 0.5  # by how much confidence exceeds accuracy on average, at least, in a confident one


def confident_start(comparison: Comparison) -> Text | None:
    """How many test samples are right before training, and how sure the networks are; None where that is usual.

    The arms start from the same weights, so the first one with probabilities speaks for all. Where confidence exceeds
    accuracy in every bin, its mean is the accuracy plus the ECE.
    """
    for arm in comparison.arms:
        right, excess = (comparison.curve(arm["name"], f"test_{metric}") for metric in ("accuracy", "ece"))
        if all(curve.epochs and curve.epochs[0] == 0 for curve in (right, excess)):
            if right.mean[0] > MOST_RIGHT or excess.mean[0] < LEAST_EXCESS:
                return None
            sure = min(right.mean[0] + excess.mean[0], 1.0)
            return (f"Before training the networks are confidently wrong: {right.mean[0]:.0%} right, {sure:.0%} sure.",)
    return None
