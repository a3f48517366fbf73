"""Small datasets, generated or shipped with scikit-learn, on which a loss trains within seconds."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Interval

from clsbench.config.values import MAX_COUNT
from clsbench.data.bundled import digit_images, table
from clsbench.data.raw import RawData
from clsbench.problems import Posed, SingleLabel
from clsbench.registry import dataset

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Floats = npt.NDArray[np.float64]

MAX_NAMED = 10_000  # classes, labels or values, each of which is named while a config is read
Samples = Annotated[int, Interval(ge=2, le=MAX_COUNT)]
Classes = Annotated[int, Interval(ge=2, le=MAX_NAMED)]
Features = Annotated[int, Interval(ge=2, le=MAX_COUNT)]
Noise = Annotated[float, Ge(0)]
Spread = Annotated[float, Gt(0)]

MOONS = ("upper moon", "lower moon")
CIRCLES = ("outer circle", "inner circle")
YEARS = tuple(f"year {n}" for n in range(1, 7))


def in_the_plane(names: tuple[str, ...], *, ordered: bool = False) -> Posed:
    """Classes of these names, of points."""
    return Posed((2,), SingleLabel(len(names), names, ordered))


def of_classes(*, samples: int, classes: int, features: int, **_: Any) -> Posed:
    """Classes that are called by their numbers.

    Raises:
        ValueError: there are fewer samples than classes.
    """
    if samples < classes:
        raise ValueError(f"{classes} classes need {classes} samples or more, not {samples}")
    return Posed((features,), numbered(classes))


def numbered(classes: int, *, ordered: bool = False) -> SingleLabel:
    return SingleLabel(classes, tuple(map(str, range(classes))), ordered)


@dataset("moons", poses=lambda **_: in_the_plane(MOONS))
def moons(seed: int, *, samples: Samples = 1000, noise: Noise = 0.2) -> RawData:
    """Two interleaved half moons in the plane; no straight line separates them.

    `noise` is the standard deviation of each coordinate; the moons have radius 1.
    """
    import numpy as np

    upper, lower = (np.linspace(0, np.pi, size) for size in _halves(samples))
    moons = _outlines((np.cos(upper), np.sin(upper)), (1 - np.cos(lower), 1 - np.sin(lower) - 0.5))
    points, labels = _scattered(moons, noise, seed)
    return RawData(points, labels, num_classes=2, class_names=MOONS)


@dataset("circles", poses=lambda **_: in_the_plane(CIRCLES))
def circles(
    seed: int,
    *,
    samples: Samples = 1000,
    noise: Noise = 0.1,
    factor: Annotated[float, Interval(ge=0, lt=1)] = 0.5,
) -> RawData:
    """A circle inside a circle, in the plane.

    `noise` is the standard deviation of each coordinate, `factor` the inner radius; the outer one is 1.
    """
    import numpy as np

    outer, inner = (np.linspace(0, 2 * np.pi, size, endpoint=False) for size in _halves(samples))
    circles = _outlines((np.cos(outer), np.sin(outer)), (np.cos(inner) * factor, np.sin(inner) * factor))
    points, labels = _scattered(circles, noise, seed)
    return RawData(points, labels, num_classes=2, class_names=CIRCLES)


@dataset("blobs", poses=of_classes)
def blobs(
    seed: int,
    *,
    samples: Samples = 1000,
    classes: Classes = 3,
    features: Features = 2,
    noise: Spread = 1.0,
) -> RawData:
    """Round clouds on a circle, their class numbers assigned at random: the classes have no order.

    Neighbouring centres are 4 apart, whatever their number, so that classes overlap equally at every seed; with more
    than two features the circle is in a random plane. `noise` is the standard deviation of a cloud. The counterpart
    of `grades`: here class numbers are not quantities for regression.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    angles = 2 * np.pi * (np.arange(classes) / classes + rng.random())
    circle = on_a_circle(angles, apart=4)
    plane, _ = np.linalg.qr(rng.standard_normal((features, 2)))
    centres = rng.permutation(circle @ plane.T)
    labels = balanced(samples, classes, rng)
    points = centres[labels] + noise * rng.standard_normal((samples, features))
    return RawData(points, labels, num_classes=classes)


@dataset("grades", poses=lambda **_: in_the_plane(YEARS, ordered=True))
def grades(seed: int, *, samples: Annotated[int, Interval(ge=6, le=MAX_COUNT)] = 1200, noise: Spread = 0.3) -> RawData:
    """Height (cm) and weight (kg) of pupils, the class being their school year: classes with an order.

    The means are near the medians of the WHO growth reference 2007 (weight past ten years: CDC 2000) for children of
    6.5 to 11.5 years, boys and girls together: about 6 cm and 3 kg a year. `noise` multiplies the standard deviation
    of real children of one age, taken as 5.6 cm and 15 % of the weight (correlated by 0.7). At 1, the real spread,
    the years overlap so much that hardly half of the pupils can be classified correctly; at the default nine of ten
    can. There the nearest class number is as accurate as softmax, to within three points, because height and weight
    grow evenly with the year. The counterpart of `blobs`.
    """
    import numpy as np

    height = np.array([118.4, 124.1, 129.8, 135.4, 141.1, 147.1])
    weight = np.array([21.6, 24.0, 26.8, 30.0, 33.6, 37.6])
    rng = np.random.default_rng(seed)
    year = balanced(samples, len(height), rng)
    tall, stout = rng.standard_normal((2, samples))
    heavy = 0.7 * tall + math.sqrt(1 - 0.7**2) * stout
    pupils = np.stack([height[year] + noise * 5.6 * tall, weight[year] * (1 + noise * 0.15 * heavy)], axis=1)
    return RawData(pupils, year, num_classes=6, class_names=YEARS, ordered=True)


def _on_a_cube(*, classes: int, features: int, **others: Any) -> Posed:
    needed = (classes - 1).bit_length()
    if needed > features:
        raise ValueError(f"{classes} classes need {needed} features or more, not {features}")
    return of_classes(classes=classes, features=features, **others)


@dataset("classification", poses=_on_a_cube)
def classification(
    seed: int,
    *,
    samples: Samples = 1000,
    classes: Classes = 2,
    features: Features = 20,
    noise: Annotated[float, Interval(ge=0, le=1)] = 0.01,
) -> RawData:
    """Clouds at the corners of a cube, among features that are mixtures or noise (Guyon 2003).

    A quarter of the features, or as many as the classes need, are informative; as many again are mixtures of those;
    the rest is noise. `noise` is the fraction of labels drawn at random.
    """
    from sklearn.datasets import make_classification

    informative = min(features, max(2, features // 4, math.ceil(math.log2(classes))))
    points, labels = make_classification(
        n_samples=samples,
        n_features=features,
        n_informative=informative,
        n_redundant=min(informative, features - informative),
        n_classes=classes,
        n_clusters_per_class=1,
        flip_y=noise,
        random_state=seed,
    )
    return RawData(points, labels, num_classes=classes)


def _shells(*, classes: int, **others: Any) -> Posed:
    return replace(of_classes(classes=classes, **others), problem=numbered(classes, ordered=True))


@dataset("gaussian_quantiles", poses=_shells)
def gaussian_quantiles(
    seed: int,
    *,
    samples: Samples = 1000,
    classes: Classes = 3,
    features: Annotated[int, Interval(ge=1, le=MAX_COUNT)] = 2,
) -> RawData:
    """One Gaussian cloud cut into nested shells of equal size: the class is the distance from the middle."""
    from sklearn.datasets import make_gaussian_quantiles

    points, labels = make_gaussian_quantiles(
        n_samples=samples, n_features=features, n_classes=classes, random_state=seed
    )
    return RawData(points, labels, num_classes=classes, ordered=True)


@dataset("digits", poses=lambda **_: Posed((1, 8, 8), numbered(10), samples=1797), drawn=False)
def digits(seed: int) -> RawData:
    """1,797 handwritten digits as images of 8 by 8 pixels with 17 shades (UCI, shipped with scikit-learn)."""
    images, labels = digit_images()
    return RawData(images, labels, num_classes=10, full_scale=16.0)


@dataset("iris", poses=lambda **_: Posed((4,), SingleLabel(3), samples=150), drawn=False)
def iris(seed: int) -> RawData:
    """150 irises of three species, described by the size of their sepals and petals (Fisher 1936)."""
    return _bundled("iris")


@dataset("wine", poses=lambda **_: Posed((13,), SingleLabel(3), samples=178), drawn=False)
def wine(seed: int) -> RawData:
    """178 wines of three growers, described by 13 chemical measurements (UCI, shipped with scikit-learn)."""
    return _bundled("wine_data")


@dataset("breast_cancer", poses=lambda **_: Posed((30,), SingleLabel(2), samples=569), drawn=False)
def breast_cancer(seed: int) -> RawData:
    """569 tumours, malignant or benign: 30 measurements of cell nuclei (Wisconsin, shipped with scikit-learn)."""
    return _bundled("breast_cancer")


def _bundled(name: str) -> RawData:
    features, labels, names = table(name)
    return RawData(features, labels, num_classes=len(names), class_names=names)


def _halves(samples: int) -> tuple[int, int]:
    return samples // 2, samples - samples // 2


def _outlines(*curves: tuple[Floats, Floats]) -> tuple[Floats, npt.NDArray[np.int64]]:
    """The points `[N, 2]` of several curves, and the number of each point's curve."""
    import numpy as np

    points = np.concatenate([np.stack(curve, axis=1) for curve in curves])
    return points, np.repeat(np.arange(len(curves)), [len(x) for x, _ in curves])


def _scattered(
    outlines: tuple[Floats, npt.NDArray[np.int64]], noise: float, seed: int
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """The points in random order, with normal noise, bit for bit as scikit-learn's generators draw them."""
    import numpy as np

    points, labels = outlines
    rng = np.random.RandomState(seed)
    order = rng.permutation(len(points))
    return points[order] + rng.normal(scale=noise, size=points.shape), labels[order]


def on_a_circle(angles: Floats, apart: float) -> Floats:
    """`[classes, 2]`: points of a circle at evenly spaced angles, neighbours this far apart."""
    import numpy as np

    radius = apart / 2 / math.sin(math.pi / len(angles))
    return radius * np.stack([np.cos(angles), np.sin(angles)], axis=1)


def balanced(samples: int, classes: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """`[samples]`: class numbers in random order, each class as often as the others or once more."""
    import numpy as np

    return rng.permutation(np.arange(samples, dtype=np.int64) % classes)
