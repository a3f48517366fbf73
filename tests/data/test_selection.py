"""What an experiment leaves out: classes, and training samples down to a long tail."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import clsbench
from clsbench.config.reader import read_mapping
from clsbench.data.playground import gaussians
from clsbench.data.raw import RawData, as_raw
from clsbench.data.selection import only
from clsbench.data.splits import split
from clsbench.errors import ConfigError, DataError

NAMES = ("a", "b", "c", "d")


def labelled(labels: list[int], **parts: Any) -> RawData:
    """Samples of these classes of four, whose only feature is their row."""
    rows = np.arange(len(labels), dtype=np.float64)[:, None]
    return as_raw(RawData(rows, np.array(labels), num_classes=4, class_names=NAMES, **parts))


def test_chosen_classes_keep_their_samples_and_their_order() -> None:
    """Whatever order they are named in; groups and the test set of one's own follow."""
    parts = {"groups": np.arange(6), "test_features": np.array([[9.0], [8.0]]), "test_labels": np.array([3, 0])}
    kept = only(labelled([0, 1, 2, 3, 3, 0], **parts), ["d", "a"])
    assert (("a", "d"), 2) == (kept.class_names, kept.num_classes)
    assert ([0, 3, 4, 5], [0, 1, 1, 0]) == (kept.features[:, 0].tolist(), kept.labels.tolist())
    assert kept.groups is not None
    assert [0, 3, 4, 5] == kept.groups.tolist()
    assert kept.test_labels is not None
    assert [1, 0] == kept.test_labels.tolist()


def test_posterior_of_chosen_classes_is_that_among_them() -> None:
    """Where all classes but two are left out, their probabilities are renormalised."""
    raw = as_raw(gaussians(0, classes=4))
    kept = only(raw, ["1", "3"])
    assert raw.posterior is not None
    assert kept.posterior is not None
    among = raw.posterior(kept.features)[:, [1, 3]]
    np.testing.assert_allclose(among / among.sum(1, keepdims=True), kept.posterior(kept.features))


@pytest.mark.parametrize(
    ("labels", "parts", "names", "message"),
    [
        ([0, 1, 2, 3], {}, ["a", "e"], "only_classes: no class is called 'e'"),
        ([0, 1, 1, 1], {}, ["a", "c"], "only_classes: class 'c' has no sample"),
        (
            [0, 1, 2, 3],
            {"test_features": np.array([[9.0]]), "test_labels": np.array([3])},
            ["a", "b"],
            "only_classes: the test set has no sample of these classes",
        ),
    ],
)
def test_classes_that_are_not_there_are_refused(
    labels: list[int], parts: dict[str, Any], names: list[str], message: str
) -> None:
    """With the name that is wrong."""
    with pytest.raises(DataError, match=message):
        only(labelled(labels, **parts), names)


@given(
    counts=st.lists(st.integers(300, 900), min_size=2, max_size=7),
    ratio=st.floats(1, 50),
    seed=st.integers(0, 2**32 - 1),
)
def test_long_tail_falls_exponentially(counts: list[int], ratio: float, seed: int) -> None:
    """Class c has ratio^(-c / (C - 1)) of the first class's training samples to within one, and one keeps all it has.

    Validation and test data are those of the balanced split, and no sample is in two splits or new.
    """
    labels = np.repeat(np.arange(len(counts)), counts)
    raw = as_raw(RawData(np.arange(len(labels), dtype=np.float64)[:, None], labels, num_classes=len(counts)))
    whole, thin = (
        split(raw, test_fraction=0.2, split_seed=seed, normalize="none", imbalance=asked) for asked in (None, ratio)
    )
    before, after = (np.bincount(part.train.y, minlength=len(counts)) for part in (whole, thin))
    shares = ratio ** (-np.arange(len(counts)) / (len(counts) - 1))
    np.testing.assert_allclose(after, (before / shares).min() * shares, atol=0.5)
    assert (after == before).any()
    assert set(thin.train.x[:, 0].tolist()) <= set(whole.train.x[:, 0].tolist())
    assert thin.val is not None
    assert whole.val is not None
    assert (whole.hashes["val"], whole.hashes["test"]) == (thin.hashes["val"], thin.hashes["test"])


def test_tail_without_samples_is_refused() -> None:
    """The class is named."""
    with pytest.raises(DataError, match="imbalance 100 leaves class 'd' without training samples"):
        split(labelled([0, 1, 2, 3] * 50), test_fraction=0.2, imbalance=100)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ({"name": "digits", "only_classes": ["3", "11"]}, "only_classes: no class is called '11'"),
        ({"name": "moons", "only_classes": ["upper mon", "lower moon"]}, "did you mean 'upper moon'"),
        ({"name": "iris", "only_classes": ["a", "b", "c", "d"]}, "there are 3 classes, and 4 are named"),
        ({"name": "digits", "only_classes": ["3"]}, "only_classes: must be two or more different classes"),
        ({"name": "digits", "only_classes": ["3", "3"]}, "only_classes: must be two or more different classes"),
        (
            {"name": "multilabel", "label_noise": 0.1, "label_noise_kind": "pairwise"},
            "label_noise_kind: pairwise is for samples of one class each, and this is multi_label; leave it out",
        ),
        ({"name": "digits", "imbalance": 0.5}, "imbalance: must be a number at least 1 or null, got 0.5"),
        ({"name": "digits", "label_noise_kind": "pair"}, "label_noise_kind"),
    ],
)
def test_check_refuses_what_cannot_be(dataset: dict[str, Any], message: str) -> None:
    """Before any data are opened."""
    with pytest.raises(ConfigError, match=message):
        read_mapping({"dataset": dataset})


def test_check_knows_how_many_classes_are_left() -> None:
    """A loss for two classes fits two of ten digits, and one for three does not."""
    two, three = ({"name": "digits", "only_classes": names} for names in (["3", "8"], ["3", "5", "8"]))
    loss = {"name": "bce", "outputs": 1}
    assert ["bce"] == [each.name for each in read_mapping({"dataset": two, "loss": loss}).loss]
    with pytest.raises(ConfigError, match="outputs: 1 is for two classes, and there are 3"):
        read_mapping({"dataset": three, "loss": loss})


def test_a_run_trains_on_what_is_left(tmp_path: Path) -> None:
    """Names may be written as numbers; the summary counts the classes of each split."""
    config = tmp_path / "tail.yaml"
    config.write_text(
        "dataset: {name: digits, only_classes: [8, 3], imbalance: 10}\nmodel: linear\nloss: [{name: bce, outputs: 1}]\n"
        "train: {epochs: 1, seeds: 1, device: cpu}\nreport: off\n"
    )
    result = clsbench.run(config, output=tmp_path / "runs")
    (data,) = json.loads((result.directory / "summary.json").read_text())["data"].values()
    three, eight = data["classes"]
    assert ("3", "8") == (three["name"], eight["name"])
    assert round(three["train"] / 10) == eight["train"]
    assert abs(three["test"] - eight["test"]) <= 3
