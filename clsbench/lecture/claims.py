"""The lecture's single claims, each with numbers computed when it is asked for."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from clsbench.analysis.terrain import sigmoid

LOGITS = (2.0, 3.0, 5.0, 0.0)
PAIRS = ((0.0, 0.0), (1.0, 3.0), (-2.0, 0.3), (0.1, -0.7), (10.0, -10.0))
SCALES = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
SAMPLES = (((2.0, 0.0, -1.0), 0), ((0.0, 1.0, 0.5), 1), ((0.5, 1.0, 0.0), 0))  # logits and true class
CLOUDS, POINTS, SPREAD = 6, 60, 0.25  # on a circle of radius 1


@dataclass(frozen=True)
class Claim:
    """What is claimed, the numbers of a table, and what they show."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    conclusion: Sequence[str]


def softmax(logits: Sequence[float]) -> list[float]:
    """e^z_i over the sum of all, in a form that does not overflow."""
    top = max(logits)
    powers = [math.exp(z - top) for z in logits]
    return [power / sum(powers) for power in powers]


def of_softmax() -> Claim:
    probabilities = softmax(LOGITS)
    total = sum(map(math.exp, LOGITS))
    rows = [(f"{z:g}", f"{math.exp(z):.2f}", f"{p:.4f}") for z, p in zip(LOGITS, probabilities, strict=True)]
    return Claim(
        "Softmax turns logits into probabilities: e^z over the sum of all",
        ("logit", "e^z", "softmax"),
        [*rows, ("sum", f"{total:.2f}", f"{sum(probabilities):.4f}")],
        (
            f"The largest logit, {max(LOGITS):g}, gets {max(probabilities):.0%}: a soft form of the maximum.",
            f"With 100 added to every logit no probability changes by more than {_shifted(probabilities):g}.",
        ),
    )


def _shifted(probabilities: Sequence[float]) -> float:
    moved = softmax([z + 100 for z in LOGITS])
    return max(abs(a - b) for a, b in zip(moved, probabilities, strict=True))


def of_sigmoid() -> Claim:
    rows, gaps = [], []
    for z0, z1 in PAIRS:
        two, one = softmax((z0, z1))[1], sigmoid(z1 - z0)
        rows.append((f"{z0:g}", f"{z1:g}", f"{two:.10f}", f"{one:.10f}"))
        gaps.append(abs(two - one))
    return Claim(
        "For two classes, softmax is the sigmoid of the difference of the logits",
        ("z0", "z1", "softmax of class 1", "sigmoid(z1 - z0)"),
        rows,
        (
            f"The largest difference is {max(gaps):.0g} in double precision:",
            "binary cross-entropy is cross-entropy of two classes.",
        ),
    )


def of_one_hot() -> Claim:
    """Least squares on class numbers and on one-hot labels, of clouds whose numbers mean nothing."""
    import numpy as np

    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(CLOUDS), POINTS)
    angles = 2 * np.pi * labels / CLOUDS
    points = np.stack([np.cos(angles), np.sin(angles)], 1) + SPREAD * rng.standard_normal((len(labels), 2))
    x = np.column_stack([points, np.ones(len(points))])
    by_number = x @ np.linalg.lstsq(x, labels.astype(float), rcond=None)[0]
    by_one_hot = x @ np.linalg.lstsq(x, np.eye(CLOUDS)[labels], rcond=None)[0]
    right_number = float((by_number.round() == labels).mean())
    right_one_hot = float((by_one_hot.argmax(1) == labels).mean())
    return Claim(
        "Class numbers as targets claim an order; one-hot labels do not",
        ("label", "from class 0 to 1", "from class 0 to 5", "accuracy"),
        [
            ("class number", "1.000", f"{CLOUDS - 1:.3f}", f"{right_number:.3f}"),
            ("one-hot", f"{math.sqrt(2):.3f}", f"{math.sqrt(2):.3f}", f"{right_one_hot:.3f}"),
        ],
        (
            f"Linear least squares on {CLOUDS} clouds around a circle, {POINTS} points each.",
            f"On the circle classes 0 and {CLOUDS - 1} are neighbours, as numbers furthest apart.",
        ),
    )


def of_likelihood() -> Claim:
    rows = []
    for scale in SCALES:
        p = [softmax([scale * z for z in logits])[target] for logits, target in SAMPLES]
        rows.append((scale, math.prod(p), -sum(map(math.log, p))))
    most, least = max(rows, key=lambda row: row[1])[0], min(rows, key=lambda row: row[2])[0]
    gap = max(abs(math.exp(-entropy) - likelihood) for _, likelihood, entropy in rows)
    return Claim(
        "Maximum likelihood is minimal cross-entropy",
        ("scale of the logits", "likelihood", "sum of cross-entropies"),
        [(f"{scale:g}", f"{likelihood:.6f}", f"{entropy:.6f}") for scale, likelihood, entropy in rows],
        (
            f"{len(SAMPLES)} samples. The likelihood is largest at scale {most:g}, the sum smallest at {least:g}:",
            f"one is e to the minus of the other, here to {gap:.0e}, and e^-x falls everywhere.",
        ),
    )


CLAIMS: Mapping[str, Callable[[], Claim]] = {
    "softmax": of_softmax,
    "one-hot": of_one_hot,
    "sigmoid": of_sigmoid,
    "likelihood": of_likelihood,
}
