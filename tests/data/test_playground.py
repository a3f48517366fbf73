"""The generators of the playground, against closed forms and against what each is meant to show."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from clsbench.data.playground import gaussians, spiral, xor
from clsbench.data.raw import RawData


def accuracies(raw: RawData) -> tuple[float, float]:
    """On the second half of the samples, of a straight line and of the nearest neighbour, fitted on the first half."""
    half = len(raw.labels) // 2
    models = (LogisticRegression(), KNeighborsClassifier(1))
    straight, nearest = (
        model.fit(raw.features[:half], raw.labels[:half]).score(raw.features[half:], raw.labels[half:])
        for model in models
    )
    return straight, nearest


@pytest.mark.parametrize("raw", [spiral(0), xor(0)], ids=["spiral", "xor"])
def test_no_straight_line_separates_what_neighbours_do(raw: RawData) -> None:
    """A linear model is hardly better than chance, where the nearest neighbour is right nine times of ten."""
    straight, nearest = accuracies(raw)
    assert straight < 0.7
    assert nearest > 0.88


@pytest.mark.parametrize("classes", [2, 5])
def test_arms_of_a_spiral_are_one_curve_turned(classes: int) -> None:
    """Without noise an arm turned back by its class number is r (sin 3.5 pi r, cos 3.5 pi r), r from 0 to 1."""
    raw = spiral(3, samples=500, classes=classes, noise=0.0)
    turned = 2 * np.pi * raw.labels / classes
    (x, y), sine, cosine = raw.features.T, np.sin(turned), np.cos(turned)
    r = np.hypot(x, y)
    assert 0.9 < r.max() <= 1
    np.testing.assert_allclose(r * np.sin(3.5 * np.pi * r), cosine * x - sine * y, atol=1e-12)
    np.testing.assert_allclose(r * np.cos(3.5 * np.pi * r), sine * x + cosine * y, atol=1e-12)


def test_xor_is_the_sign_of_the_product() -> None:
    """Without noise the class is 1 where the coordinates have opposite signs, in all four quadrants of the square."""
    raw = xor(1, noise=0.0)
    assert (raw.features.prod(1) < 0).astype(int).tolist() == raw.labels.tolist()
    quadrants = np.bincount((raw.features > 0) @ [1, 2], minlength=4)
    np.testing.assert_allclose(quadrants, 250, atol=50)
    assert 1 >= abs(raw.features).max() > 0.99


@pytest.mark.parametrize(
    ("samples", "classes", "features", "noise"), [(7, 2, 2, 1.0), (900, 3, 4, 0.5), (64, 6, 2, 2.0)]
)
def test_posterior_is_that_of_bayes(samples: int, classes: int, features: int, noise: float) -> None:
    """p(c | x) is the share of c times SciPy's density of its cloud, over the sum; neighbouring centres are 2 apart."""
    raw = gaussians(5, samples=samples, classes=classes, features=features, noise=noise)
    assert raw.posterior is not None
    centres = np.zeros((classes, features))
    angles = 2 * np.pi * np.arange(classes) / classes
    centres[:, :2] = np.stack([np.cos(angles), np.sin(angles)], 1) / math.sin(math.pi / classes)
    assert pytest.approx(2) == np.linalg.norm(centres[0] - centres[1])
    shares = np.bincount(raw.labels) / samples
    joint = np.stack(
        [share * multivariate_normal(m, noise**2).pdf(raw.features) for share, m in zip(shares, centres, strict=True)],
        1,
    )
    np.testing.assert_allclose(joint / joint.sum(1, keepdims=True), raw.posterior(raw.features), atol=1e-12)


def test_labels_of_gaussians_are_as_frequent_as_the_posterior_says() -> None:
    """Among samples of like posterior, class 1 is as frequent; the best possible accuracy is Phi(1), 84 percent."""
    raw = gaussians(0, samples=40_000)
    assert raw.posterior is not None
    p = raw.posterior(raw.features)[:, 1]
    for low in np.arange(0, 1, 0.1):
        inside = (low <= p) & (p < low + 0.1)
        assert p[inside].mean() == pytest.approx(raw.labels[inside].mean(), abs=0.035)
    assert norm.cdf(1) == pytest.approx(np.mean((p > 0.5) == raw.labels), abs=0.01)
