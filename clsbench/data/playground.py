"""Generated classes in the plane that a network has to bend for, or whose true probabilities are known.

With `circles` they are the four of the TensorFlow Playground (playground.tensorflow.org).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clsbench.data.raw import RawData
from clsbench.data.toy import Classes, Features, Noise, Samples, Spread, balanced, in_the_plane, of_classes, on_a_circle
from clsbench.problems import Posed
from clsbench.registry import dataset

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

TURNS = 1.75
SIGNS = ("equal signs", "opposite signs")


def _spirals(*, samples: int, classes: int, **_: Any) -> Posed:
    return of_classes(samples=samples, classes=classes, features=2)


@dataset("spiral", poses=_spirals)
def spiral(seed: int, *, samples: Samples = 1000, classes: Classes = 2, noise: Noise = 0.05) -> RawData:
    """Interleaved spirals in the plane, an arm for each class, which goes round 1.75 times up to radius 1.

    `noise` is the standard deviation of each coordinate.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    labels = balanced(samples, classes, rng)
    radius = rng.random(samples)
    angle = 2 * np.pi * (TURNS * radius + labels / classes)
    arms = radius[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    return RawData(arms + noise * rng.standard_normal((samples, 2)), labels, num_classes=classes)


@dataset("xor", poses=lambda **_: in_the_plane(SIGNS))
def xor(seed: int, *, samples: Samples = 1000, noise: Noise = 0.1) -> RawData:
    """Exclusive or: points of a square, whose class is whether their two coordinates have opposite signs.

    The coordinates are uniform from -1 to 1; `noise` is the standard deviation of what is added to each afterwards, so
    that the classes overlap along the axes. No coordinate alone says anything, and no straight line separates them.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    labels = balanced(samples, 2, rng)
    size, sign = 1 - rng.random((samples, 2)), rng.choice([-1.0, 1.0], samples)  # never 0
    corners = np.stack([sign, np.where(labels == 1, -sign, sign)], axis=1)
    points = corners * size + noise * rng.standard_normal((samples, 2))
    return RawData(points, labels, num_classes=2, class_names=SIGNS)


@dataset("gaussians", poses=of_classes)
def gaussians(
    seed: int,
    *,
    samples: Samples = 1000,
    classes: Classes = 2,
    features: Features = 2,
    noise: Spread = 1.0,
) -> RawData:
    """Round normal clouds that overlap; the true probability of each class is known everywhere.

    The centres are on a circle of the first two features, neighbours 2 apart, the same at every seed; all other
    features are noise. `noise` is the standard deviation s of a cloud: at 1, no classifier can tell two classes apart
    better than 84 times of 100. By Bayes' rule p(c | x) is the softmax over c of log(share of c) - |x - m_c|^2 / 2s^2,
    m_c being the centre, which a linear model can reach. The metric `posterior_rmse` is the distance from it.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    angles = 2 * np.pi * np.arange(classes) / classes
    centres = np.zeros((classes, features))
    centres[:, :2] = on_a_circle(angles, apart=2)
    labels = balanced(samples, classes, rng)
    points = centres[labels] + noise * rng.standard_normal((samples, features))
    shares = np.bincount(labels, minlength=classes) / samples

    def posterior(x: Floats) -> Floats:
        logits = np.log(shares) + (x @ centres.T - (centres**2).sum(1) / 2) / noise**2
        odds = np.exp(logits - logits.max(1, keepdims=True))
        probabilities: Floats = odds / odds.sum(1, keepdims=True)
        return probabilities

    return RawData(points, labels, num_classes=classes, posterior=posterior)
