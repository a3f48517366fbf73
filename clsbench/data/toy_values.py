"""Small datasets of several labels or of values, generated or shipped with scikit-learn."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Interval

from clsbench.config.values import MAX_COUNT
from clsbench.data.bundled import diabetes_table
from clsbench.data.raw import RawData
from clsbench.data.toy import MAX_NAMED, Classes, Features, Noise, Samples
from clsbench.problems import MultiLabel, Posed, Regression
from clsbench.registry import dataset

DIABETES = ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")


def _of_values(values: int) -> tuple[str, ...]:
    return ("value",) if values == 1 else tuple(f"value {number}" for number in range(values))


def _of_labels(classes: int) -> tuple[str, ...]:
    return tuple(f"disc {number}" for number in range(classes))


@dataset("multilabel", poses=lambda *, classes, features, **_: Posed((features,), MultiLabel(_of_labels(classes))))
def multilabel(
    seed: int,
    *,
    samples: Samples = 1000,
    classes: Classes = 3,
    features: Features = 2,
    noise: Noise = 0.1,
) -> RawData:
    """Overlapping discs in the plane, a Venn diagram: a point has the label of every disc that it is in.

    The discs have radius 1.2 and their centres are on a circle of radius 0.8; points are drawn evenly from the square
    of side 4 around it, so that some have no label. With more than two features the plane is a random one. `noise` is
    the standard deviation of each coordinate, added once a point has its labels.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    angles = 2 * np.pi * (np.arange(classes) / classes + rng.random())
    centres = 0.8 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    points = rng.uniform(-2, 2, (samples, 2))
    inside = np.linalg.norm(points[:, None] - centres, axis=2) < 1.2
    plane, _ = np.linalg.qr(rng.standard_normal((features, 2)))
    placed = points if features == 2 else points @ plane.T
    names = _of_labels(classes)
    return RawData(placed + noise * rng.standard_normal(placed.shape), inside, classes, names, kind="multi_label")


@dataset("regression", poses=lambda *, features, values, **_: Posed((features,), Regression(_of_values(values))))
def regression(
    seed: int,
    *,
    samples: Samples = 1000,
    features: Annotated[int, Interval(ge=1, le=MAX_COUNT)] = 10,
    values: Annotated[int, Interval(ge=1, le=MAX_NAMED)] = 1,
    noise: Noise = 0.1,
    outliers: Annotated[float, Interval(ge=0, lt=1)] = 0.0,
) -> RawData:
    """A linear function of standard normal features, with mean 50 and standard deviation 10, and noise on it.

    `noise` is the standard deviation of the noise over that of the function, `outliers` the share of samples whose
    noise is a hundred times as large. `values` is the number of such functions.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    x = rng.standard_normal((samples, features))
    weights = rng.standard_normal((features, values))
    errors = noise * rng.standard_normal((samples, values))
    errors[rng.permutation(samples)[: round(outliers * samples)]] *= 100
    y = 50 + 10 * (x @ (weights / np.linalg.norm(weights, axis=0)) + errors)
    return RawData(x, y, values, _of_values(values), kind="regression")


@dataset("friedman", poses=lambda *, features, **_: Posed((features,), Regression(("value",))))
def friedman(
    seed: int,
    *,
    samples: Samples = 1000,
    features: Annotated[int, Interval(ge=5, le=MAX_COUNT)] = 10,
    noise: Noise = 1.0,
) -> RawData:
    """A smooth function of five of the features, which are even from 0 to 1: no linear one comes near it.

    10 sin(pi x1 x2) + 20 (x3 - 0.5)^2 + 10 x4 + 5 x5. `noise` is the standard deviation of what is added; the function
    has 4.9. Source: Friedman 1991, Multivariate Adaptive Regression Splines, section 4.3.
    """
    import numpy as np

    rng = np.random.RandomState(seed)  # as scikit-learn draws it, bit for bit
    x = rng.uniform(size=(samples, features))
    y = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
    return RawData(x, y + noise * rng.standard_normal(size=samples), 1, ("value",), kind="regression")


@dataset("diabetes", poses=lambda **_: Posed((10,), Regression(("progression",)), samples=442), drawn=False)
def diabetes(seed: int) -> RawData:
    """442 patients, ten measurements each: how far diabetes progressed in a year (shipped with scikit-learn).

    Source: Efron et al. 2004, Least Angle Regression, table 1.
    """
    features, progression = diabetes_table()
    return RawData(features, progression, 1, ("progression",), columns=DIABETES, kind="regression")
