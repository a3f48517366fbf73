"""The data of scikit-learn: against scikit-learn itself, closed forms, and the point that each has to make."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.datasets
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.preprocessing import StandardScaler

from clsbench.data import bundled, playground, toy
from clsbench.data.raw import RawData, as_raw
from clsbench.errors import DataError
from clsbench.problems import posed_by
from clsbench.registry import catalogue

ROOT = Path(__file__).resolve().parents[2]
TOYS = [c for c in catalogue.all("dataset") if inspect.getmodule(c.factory) in (toy, playground)]
GENERATED = [c for c in TOYS if "samples" in c.options]


def defaults(component: Any) -> dict[str, Any]:
    return {name: option.default for name, option in component.options.items()}


def test_importing_the_room_loads_no_library() -> None:
    """`check` and `list` answer at once, because datasets import what they need when they are called."""
    heavy = "{'torch', 'numpy', 'sklearn', 'scipy', 'torchvision', 'PIL', 'filelock'}"
    code = f"import sys, clsbench.data; print(*({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "\n" == result.stdout


@pytest.mark.parametrize("component", TOYS, ids=lambda c: c.name)
def test_dataset_poses_what_it_gives(component: Any) -> None:
    """The problem told without opening the data is that of the data."""
    known = posed_by(component.name, defaults(component))
    raw = as_raw(component.factory(0))
    assert (raw.features.shape[1:], raw.num_classes) == (known.shape, known.problem.num_classes)
    assert known.problem.class_names in ((), raw.class_names)
    assert raw.problem.ordered == known.problem.ordered
    assert not known.own_test
    assert raw.test_features is None
    assert set(range(raw.num_classes)) == set(raw.labels)


@pytest.mark.parametrize("component", GENERATED, ids=lambda c: c.name)
def test_generated_data_comes_from_the_seed(component: Any) -> None:
    """One seed gives the same data twice, another gives others, and there are as many samples as asked for."""
    first, again, other = (as_raw(component.factory(seed, samples=60)) for seed in (0, 0, 1))
    assert 60 == len(first.labels)
    np.testing.assert_array_equal(first.features, again.features)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert not np.array_equal(first.features, other.features)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (
            lambda: toy.moons(3, samples=51, noise=0.2),
            lambda: sklearn.datasets.make_moons(51, noise=0.2, random_state=3),
        ),
        (
            lambda: toy.circles(3, samples=51, noise=0.1, factor=0.3),
            lambda: sklearn.datasets.make_circles(51, noise=0.1, factor=0.3, random_state=3),
        ),
        (
            lambda: toy.gaussian_quantiles(3, samples=50, classes=4, features=5),
            lambda: sklearn.datasets.make_gaussian_quantiles(n_samples=50, n_classes=4, n_features=5, random_state=3),
        ),
        (lambda: toy.iris(3), lambda: sklearn.datasets.load_iris(return_X_y=True)),
        (lambda: toy.wine(3), lambda: sklearn.datasets.load_wine(return_X_y=True)),
        (lambda: toy.breast_cancer(3), lambda: sklearn.datasets.load_breast_cancer(return_X_y=True)),
    ],
    ids=["moons", "circles", "gaussian_quantiles", "iris", "wine", "breast_cancer"],
)
def test_arrays_are_those_of_scikit_learn(
    ours: Callable[[], RawData], theirs: Callable[[], Any], request: pytest.FixtureRequest
) -> None:
    """What scikit-learn makes or ships arrives untouched."""
    raw, (features, labels) = ours(), theirs()
    np.testing.assert_array_equal(features, raw.features)
    np.testing.assert_array_equal(labels, raw.labels)
    names = getattr(sklearn.datasets, f"load_{request.node.callspec.id}", None)
    if names is not None:
        assert tuple(names().target_names) == raw.class_names


def test_missing_file_of_scikit_learn_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken installation is missing data, with what to do."""
    monkeypatch.setattr(bundled, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"data file iris\.csv is missing; reinstall scikit-learn"):
        toy.iris(0)


def test_digits_are_images_of_sixteen_steps() -> None:
    """The digits come as one-channel images, whose full scale is 16."""
    raw = toy.digits(0)
    assert (1797, 1, 8, 8) == raw.features.shape
    assert (16.0, 16) == (raw.full_scale, raw.features.max())
    np.testing.assert_array_equal(sklearn.datasets.load_digits().data, raw.features.reshape(-1, 64))


@pytest.mark.parametrize(("classes", "features"), [(2, 2), (3, 2), (6, 2), (7, 5)])
def test_neighbouring_blobs_lie_four_apart(classes: int, features: int) -> None:
    """With hardly any noise every blob has two neighbours (one, of two) at distance 4 and none nearer."""
    raw = toy.blobs(5, samples=20 * classes, classes=classes, features=features, noise=1e-9)
    centres = np.stack([raw.features[raw.labels == c].mean(axis=0) for c in range(classes)])
    distances = np.linalg.norm(centres[:, None] - centres, axis=-1) + np.diag([np.inf] * classes)
    np.testing.assert_allclose(distances.min(axis=1), 4)
    assert (np.isclose(distances, 4).sum(axis=1) == min(2, classes - 1)).all()


@pytest.mark.parametrize(
    "component", [catalogue.get("dataset", name) for name in ("blobs", "grades", "spiral", "xor", "gaussians")]
)
def test_classes_are_balanced(component: Any) -> None:
    """No class has more than one sample more than another."""
    counts = np.bincount(component.factory(0, samples=100).labels)
    assert counts.max() - counts.min() <= 1


def accuracies(raw: RawData, *, mlp: bool) -> tuple[float, float]:
    """Test accuracy of softmax with cross-entropy, and of regression on the class number."""
    train = len(raw.labels) * 7 // 10
    x = StandardScaler().fit(raw.features[:train]).transform(raw.features)
    y = raw.labels
    if mlp:
        shape = {"hidden_layer_sizes": (32, 32), "max_iter": 60, "random_state": 0}
        classifier, regressor = MLPClassifier(**shape), MLPRegressor(**shape)
    else:
        classifier, regressor = LogisticRegression(max_iter=1000), LinearRegression()
    classifier.fit(x[:train], y[:train])
    numbers = regressor.fit(x[:train], y[:train].astype(float)).predict(x[train:])
    nearest = np.clip(np.rint(numbers), 0, raw.num_classes - 1)
    return classifier.score(x[train:], y[train:]), float((nearest == y[train:]).mean())


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("mlp", [False, True], ids=["linear", "mlp"])
def test_class_number_serves_for_grades(mlp: bool) -> None:
    """School years have an order that height and weight follow: regression ends within three points of softmax."""
    scores = np.array([accuracies(toy.grades(seed), mlp=mlp) for seed in range(3)])
    one_hot, number = scores.mean(axis=0)
    assert one_hot > 0.85
    assert abs(one_hot - number) <= 0.03


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@pytest.mark.parametrize("mlp", [False, True], ids=["linear", "mlp"])
def test_class_number_fails_for_blobs(mlp: bool) -> None:
    """The numbers of blobs have no order: at every seed regression is at least ten points worse than softmax."""
    scores = np.array([accuracies(toy.blobs(seed, classes=6), mlp=mlp) for seed in range(3)])
    one_hot, number = scores.T
    assert (one_hot > 0.9).all()
    assert (one_hot - number >= 0.1).all()


def test_grades_are_children_of_their_age() -> None:
    """The means rise by about 6 cm and 3 kg a year from first-graders of 118 cm and 22 kg."""
    raw = toy.grades(0, samples=6000)
    means = np.stack([raw.features[raw.labels == year].mean(axis=0) for year in range(6)])
    np.testing.assert_allclose(means[0], [118, 22], atol=1)
    np.testing.assert_allclose((means[-1] - means[0]) / 5, [6, 3], atol=0.5)
    assert ("year 1", "year 6") == (raw.class_names[0], raw.class_names[-1])


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("classification", {"samples": 99, "classes": 5, "features": 2}, "5 classes need 3 features or more, not 2"),
        ("classification", {"samples": 3, "classes": 4, "features": 2}, "4 classes need 4 samples or more, not 3"),
        ("blobs", {"samples": 3, "classes": 4, "features": 2}, "4 classes need 4 samples or more, not 3"),
    ],
)
def test_options_that_do_not_fit_one_another_are_refused(name: str, options: dict[str, int], reason: str) -> None:
    """What no data can be made of is known before any is made."""
    with pytest.raises(ValueError, match=reason):
        catalogue.get("dataset", name).poses(**options)


@pytest.mark.parametrize(("classes", "features"), [(2, 2), (4, 2), (8, 3), (10, 20), (16, 4)])
def test_classification_takes_whatever_it_poses(classes: int, features: int) -> None:
    """Every pair of classes and features that is not refused can be made."""
    raw = toy.classification(0, samples=200, classes=classes, features=features)
    assert ((200, features), classes) == (raw.features.shape, len(set(raw.labels)))
