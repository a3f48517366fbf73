"""Splits: disjoint, complete, stratified, and blind to test data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from clsbench.data.raw import RawData, as_raw
from clsbench.data.splits import Splits, joined, split
from clsbench.errors import DataError

PRECISIONS = [torch.float32, torch.float64]


def numbered(counts: list[int], seed: int = 0) -> RawData:
    """So many samples of each class in random order, whose only feature is their row."""
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    return as_raw(RawData(np.arange(len(labels), dtype=np.float64)[:, None], labels, num_classes=len(counts)))


def cut(raw: RawData, **options: Any) -> Splits:
    own_test = raw.test_labels is not None
    return split(raw, **{"test_fraction": None if own_test else 0.2, "normalize": "none", **options})


def rows(part: Any) -> list[int]:
    return [int(x) for x in part.x[:, 0]] if part else []


@given(
    counts=st.lists(st.integers(3, 40), min_size=2, max_size=6),
    val=st.sampled_from([0.0, 0.1, 0.2, 0.33]),
    test=st.sampled_from([0.1, 0.2, 0.33]),
    seed=st.integers(0, 2**32 - 1),
)
def test_splits_are_disjoint_complete_and_stratified(counts: list[int], val: float, test: float, seed: int) -> None:
    """Every sample is in exactly one split, with its own label; every class is in each.

    The classes have their shares to within one sample, but where a share is under one sample.
    """
    raw, total = numbered(counts), sum(counts)
    asked = {"val": round(val * total), "test": round(test * total)}
    assume(asked["test"] > 0 and (asked["val"] > 0 or val == 0))
    sizes = {name: max(size, len(counts)) if size else 0 for name, size in asked.items()}
    forced = any(0 < size * min(counts) < total for size in sizes.values())
    splits = cut(raw, val_fraction=val, test_fraction=test, split_seed=seed)
    parts = {"train": splits.train, "test": splits.test} | ({"val": splits.val} if splits.val else {})
    assert list(range(total)) == sorted(row for part in parts.values() for row in rows(part))
    assert (val == 0) == ("val" not in parts)
    for name, part in parts.items():
        size = sizes.get(name, total - sum(sizes.values()))
        share = size * np.array(counts) / total
        assert size == len(part)
        assert raw.labels[rows(part)].tolist() == part.y.tolist()
        members = np.bincount(part.y, minlength=len(counts))
        assert members.min() >= 1
        # Training gets what the other two leave, and they may both have rounded the same way.
        off = np.abs(members - share)
        assert forced or (off <= (2 if name == "train" else 1)).all()


@given(others=st.integers(0, 12), samples=st.integers(5, 300), val=st.sampled_from([0.0, 0.2]), seed=st.integers(0, 99))
def test_the_rarest_label_is_split_in_proportion(others: int, samples: int, val: float, seed: int) -> None:
    """Whatever labels samples have together; where it is too rare for that, they are split all the same."""
    rng = np.random.default_rng(seed)
    rare = rng.permutation(samples) < samples / 5
    targets = np.stack([rare, *(rare | (rng.random((others, samples)) < 0.3))], axis=1)
    raw = as_raw(RawData(np.arange(samples, dtype=float)[:, None], targets, others + 1, kind="multi_label"))
    splits = cut(raw, split_seed=seed, val_fraction=val)
    parts = [part for part in (splits.train, splits.val, splits.test) if part]
    assert list(range(samples)) == sorted(row for part in parts for row in rows(part))
    for part in parts:
        off = abs(float(part.y[:, 0].sum()) - rare.mean() * len(part))
        assert samples < 25 or off <= (2 if part is splits.train else 1)


def test_soft_labels_are_split_by_their_likeliest_class() -> None:
    """Each split has the classes that are likeliest in proportion; a class too rare for that stops nothing."""
    likeliest = np.repeat([0, 1, 2], [160, 39, 1])
    shares = np.random.default_rng(0).permutation(0.6 * np.eye(3)[likeliest] + 0.4 / 3)
    splits = cut(as_raw(RawData(np.arange(200.0)[:, None], shares, 3, kind="probability")))
    assert splits.val is not None
    for part in (splits.val, splits.test):
        assert abs(np.bincount(part.y.argmax(1), minlength=3) - [32, 8, 0]).max() <= 1


def test_split_is_a_function_of_the_seed() -> None:
    """One seed gives the same tensors twice, another seed gives others."""
    raw = numbered([30, 30])
    first, again, other = (cut(raw, split_seed=s, label_noise=0.2, limit=50) for s in (1, 1, 2))
    assert torch.equal(first.train.x, again.train.x)
    assert torch.equal(first.train.y, again.train.y)
    assert rows(first.test) != rows(other.test)


def test_choices_do_not_disturb_one_another() -> None:
    """Label noise leaves the split as it is, and the share for validation leaves the test set."""
    raw = numbered([50, 30, 20])
    plain = cut(raw)
    noisy, without_val = cut(raw, label_noise=0.5), cut(raw, val_fraction=0.0)
    assert rows(plain.train) == rows(noisy.train)
    assert rows(plain.test) == rows(noisy.test) == rows(without_val.test)


def test_validation_leaves_the_test_set_as_it_is() -> None:
    """Also of a small class, of which the test set would have all but one sample: one is left for validation."""
    raw = numbered([4, 40])
    tested = [rows(cut(raw, val_fraction=val, test_fraction=0.7).test) for val in (0.0, 0.1, 0.2)]
    assert [tested[0]] * 3 == tested
    assert 2 == raw.labels[tested[0]].tolist().count(0)


@given(seed=st.integers(0, 1000), normalize=st.sampled_from(["standard", "unit"]))
def test_normalisation_is_fitted_on_training_rows_alone(seed: int, normalize: str) -> None:
    """Whatever test and validation rows hold, the training tensors stay bit for bit the same."""
    raw = as_raw((np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2))
    where = cut(replace(raw, features=np.arange(40.0)[:, None]), split_seed=seed)
    changed = raw.features.copy()
    changed[rows(where.test) + rows(where.val)] *= 1e6
    before = cut(raw, split_seed=seed, normalize=normalize)
    after = cut(replace(raw, features=changed), split_seed=seed, normalize=normalize)
    assert torch.equal(before.train.x, after.train.x)
    assert not torch.equal(before.test.x, after.test.x)


@pytest.mark.parametrize(("normalize", "scaler"), [("standard", StandardScaler), ("unit", MinMaxScaler)])
def test_features_are_normalised_as_scikit_learn_does(normalize: str, scaler: Any) -> None:
    """Each feature by its own figures of the training split; constant ones become 0."""
    rng = np.random.default_rng(0)
    features = rng.normal([0, 1e6, 3], [1, 5, 1e-3], size=(200, 3))
    raw = as_raw((np.concatenate([features, np.full((200, 1), 0.1)], axis=1), np.arange(200) % 4))
    plain, scaled = cut(raw, dtype=torch.float64), cut(raw, normalize=normalize, dtype=torch.float64)
    reference = scaler().fit(plain.train.x.numpy())
    assert scaled.val is not None
    assert plain.val is not None
    for ours, theirs in ((scaled.train, plain.train), (scaled.val, plain.val), (scaled.test, plain.test)):
        np.testing.assert_allclose(ours.x.numpy(), reference.transform(theirs.x.numpy()), rtol=1e-7, atol=1e-9)
    assert (scaled.train.x[:, 3] == 0).all()


def images(num: int = 60, channels: int = 3) -> RawData:
    """Random bytes that are not alike from channel to channel, with a test set of their own."""
    rng = np.random.default_rng(0)
    top = np.array([256, 128, 32])[:channels, None, None]
    train, test = ((rng.random((n, channels, 4, 5)) * top).astype(np.uint8) for n in (num, 20))
    labels = np.arange(num) % 3
    return as_raw(RawData(train, labels, 3, full_scale=255.0, test_features=test, test_labels=labels[:20]))


def test_images_have_one_mean_and_deviation_for_each_channel() -> None:
    """The training images have mean 0 and deviation 1 in every channel; the test images get the same map."""
    raw = images()
    splits = cut(raw, normalize="standard")
    np.testing.assert_allclose(splits.train.x.mean(dim=(0, 2, 3)), 0, atol=1e-6)
    np.testing.assert_allclose(splits.train.x.std(dim=(0, 2, 3), correction=0), 1, rtol=1e-6)
    plain = cut(raw)
    mean = plain.train.x.mean(dim=(0, 2, 3), keepdim=True)
    deviation = plain.train.x.std(dim=(0, 2, 3), correction=0, keepdim=True)
    torch.testing.assert_close(splits.test.x, (plain.test.x - mean) / deviation)


def test_unit_divides_images_by_their_full_scale() -> None:
    """A pixel of 255 becomes 1 even where no image is that bright."""
    raw = images()
    expected = torch.from_numpy(raw.test_features) / 255
    torch.testing.assert_close(cut(raw, normalize="unit").test.x, expected)


def test_own_test_set_is_kept_whole() -> None:
    """Where the dataset brings its own test set, limit, noise and fractions are of the training part."""
    raw = images()
    splits = cut(raw, val_fraction=0.25, limit=40, label_noise=1.0)
    assert splits.val is not None
    assert (30, 10, 20) == (len(splits.train), len(splits.val), len(splits.test))
    assert raw.test_labels is not None
    assert raw.test_labels.tolist() == splits.test.y.tolist()
    assert (3, 4, 5) == splits.shape


@pytest.mark.parametrize(("dtype", "kept"), [(torch.float32, torch.float32), (torch.bfloat16, torch.bfloat16)])
def test_tensors_have_the_dtype_asked_for(dtype: torch.dtype, kept: torch.dtype) -> None:
    """Features come in the given precision, labels as int64."""
    splits = cut(images(), dtype=dtype)
    assert (kept, torch.int64) == (splits.train.x.dtype, splits.train.y.dtype)


@pytest.mark.parametrize("limit", [13, 33, 60, 10**6])
def test_limit_keeps_the_classes_in_proportion(limit: int) -> None:
    """At most `limit` samples are kept, each class in proportion to within one sample."""
    counts = np.array([60, 30, 30])
    splits = cut(numbered(counts.tolist()), val_fraction=0.2, limit=limit)
    assert splits.val is not None
    kept = torch.cat([splits.train.y, splits.val.y, splits.test.y])
    assert min(limit, 120) == len(kept)
    assert (np.abs(np.bincount(kept) - len(kept) * counts / 120) < 1).all()


def test_label_noise_replaces_training_labels_by_others() -> None:
    """The share of training labels is exact, each replaced by one of the other classes alike; the rest is untouched."""
    raw = numbered([1000, 1000, 1000, 1000])
    noisy = cut(raw, label_noise=0.3)
    true = raw.labels[rows(noisy.train)]
    wrong = noisy.train.y.numpy() != true
    assert round(0.3 * len(true)) == wrong.sum()
    steps = np.bincount((noisy.train.y.numpy() - true)[wrong] % 4, minlength=4)
    np.testing.assert_allclose(steps[1:], wrong.sum() / 3, rtol=0.15)
    for part in (noisy.val, noisy.test):
        assert part is not None
        assert raw.labels[rows(part)].tolist() == part.y.tolist()
    assert raw.labels.tolist() == numbered([1000, 1000, 1000, 1000]).labels.tolist()


def test_pairwise_label_noise_is_for_classes() -> None:
    """A label that is there or not has no next one, whenever the problem becomes known."""
    raw = as_raw(RawData(np.arange(40.0)[:, None], np.eye(2)[np.arange(40) % 2], 2, kind="multi_label"))
    with pytest.raises(DataError, match="pairwise label noise is for samples of one class each, and this is multi_l"):
        cut(raw, label_noise=0.1, label_noise_kind="pairwise")


def test_pairwise_label_noise_takes_the_next_class() -> None:
    """The same training labels are wrong as under symmetric noise, each one class further, the last as the first."""
    raw = numbered([50, 50, 50])
    pairwise, symmetric = (cut(raw, label_noise=0.4, label_noise_kind=kind).train for kind in ("pairwise", "symmetric"))
    true = raw.labels[rows(pairwise)]
    wrong = pairwise.y.numpy() != true
    assert (symmetric.y.numpy() != true).tolist() == wrong.tolist()
    assert ((true[wrong] + 1) % 3).tolist() == pairwise.y.numpy()[wrong].tolist()


@pytest.mark.parametrize(
    ("counts", "options", "message"),
    [
        ([20, 2], {}, "class '1' has 2 of the 22 samples, too few for 3 splits; every class needs 3"),
        ([200, 30], {"limit": 10}, "class '1' has 1 of the 10 samples"),
        ([1, 20], {"val_fraction": 0.0}, "class '0' has 1 of the 21 samples, too few for 2 splits"),
        ([4, 4], {"val_fraction": 0.01}, "val_fraction 0.01 of 8 samples is 0 samples"),
        ([4, 4], {"test_fraction": 0.0}, "test_fraction 0 of 8 samples is 0 samples"),
        ([4, 4], {"val_fraction": 0.5, "test_fraction": 0.5}, "leave too little to train on"),
        ([4, 4], {"test_fraction": None}, "has no test set; give a test_fraction"),
    ],
)
def test_split_that_cannot_be_is_refused(counts: list[int], options: dict[str, Any], message: str) -> None:
    """An empty split or a class too small for the splits is named."""
    with pytest.raises(DataError, match=message):
        cut(numbered(counts), **options)


def test_test_fraction_beside_an_own_test_set_is_refused() -> None:
    """A dataset that brings its test set takes no other."""
    with pytest.raises(DataError, match="brings its own test set; leave test_fraction out"):
        cut(images(), test_fraction=0.2)


def test_class_without_samples_is_allowed() -> None:
    """Classes that the data knows but does not hold need no members in any split."""
    raw = as_raw((np.arange(40.0)[:, None], np.arange(40) % 2 * 2))
    assert (3, {0, 2}) == (raw.num_classes, set(cut(raw).train.y.tolist()))


def _columns(*columns: list[float]) -> RawData:
    """A table of named columns, their values spread over 40 samples of two classes."""
    features = np.array([[column[row % len(column)] for column in columns] for row in range(40)])
    names = ("good", "big")[: len(columns)]
    return as_raw(RawData(features, np.arange(40) // 2 % 2, num_classes=2, columns=names))


@pytest.mark.parametrize("normalize", ["standard", "unit", "none"])
def test_values_that_float32_cannot_hold_are_refused(normalize: str) -> None:
    """Finite as they came, infinite without normalisation: the column is named, the row, and what it becomes."""
    raw = _columns([0.0, 1.0], [0.0, -1e39])
    if normalize != "none":
        assert torch.isfinite(cut(raw, normalize=normalize).train.x).all()
        return
    with pytest.raises(
        DataError, match=r"column 'big' has -1e\+39 in row \d+, which is -inf once normalised, in float32"
    ):
        cut(raw, normalize=normalize)


@pytest.mark.parametrize("normalize", ["standard", "unit"])
@pytest.mark.parametrize("values", [[1.7e308, -1.7e308], [0.0, 1e-320]], ids=["wide", "narrow"])
def test_scales_that_double_precision_cannot_hold_are_refused(normalize: str, values: list[float]) -> None:
    """A range that overflows, or a deviation that is no normal number: a column of zeros or noise is not made of it."""
    with pytest.raises(DataError, match=r"column 'big' cannot be normalised: its training values, from"):
        cut(_columns([0.0, 1.0], values), normalize=normalize)


def test_test_value_far_outside_the_training_range_is_refused() -> None:
    """What training never saw may overflow on training's scale."""
    features = np.tile([[0.0], [1.0]], (20, 1))
    raw = as_raw(RawData(features, np.arange(40) // 2 % 2, num_classes=2, columns=("wild",)))
    features[rows_tested(raw)[0]] = 1e200
    with pytest.raises(DataError, match=r"column 'wild' has 1e\+200 in row \d+, which is inf once normalised"):
        cut(raw, normalize="standard")


@pytest.mark.parametrize("values", [[1e200, -1e200], [0.0, 1e-320]], ids=["wide", "narrow"])
def test_values_that_double_precision_cannot_standardise_are_refused(values: list[float]) -> None:
    """Targets are as features are: what cannot be divided by is no scale."""
    with pytest.raises(DataError, match="value 'far' cannot be standardised: its training values, from"):
        cut(_valued([0.0, 1.0], values))


@pytest.mark.parametrize("value", [0.1, 1e200, 1e-320])
def test_a_value_that_never_varies_is_trained_as_zero(value: float) -> None:
    """Whatever rounding leaves of the mean of equal values."""
    splits = cut(_valued([0.0, 1.0], [value]))
    assert [0.0] * len(splits.train) == splits.train.y[:, 1].tolist()
    assert value == splits.problem.decoded(splits.test.y)[0, 1]


def test_test_target_far_outside_the_training_range_is_refused() -> None:
    """The value is named, the row, and what it becomes on training's scale."""
    raw = _valued([0.0, 1.0], [2.0, 3.0])
    raw.labels[rows_tested(raw)[0], 1] = -1e200
    with pytest.raises(
        DataError, match=r"value 'far' is -1e\+200 in row \d+, which is -inf once standardised, in float32"
    ):
        cut(raw)


def _valued(*columns: list[float]) -> RawData:
    """40 samples with two values to predict."""
    values = np.array([[column[row % len(column)] for column in columns] for row in range(40)])
    return as_raw(RawData(np.arange(40.0)[:, None], values, 2, ("near", "far"), kind="regression"))


def rows_tested(raw: RawData) -> list[int]:
    numbered_rows = replace(raw, features=np.arange(len(raw.labels), dtype=np.float64)[:, None])
    return rows(cut(numbered_rows).test)


def test_channel_of_an_image_is_named() -> None:
    """Images are normalised by channel, so it is the channel that overflows."""
    images = np.ones((40, 3, 2, 2))
    images[7, 2, 1, 0] = 1e300
    raw = as_raw(RawData(images, np.arange(40) % 2, num_classes=2))
    with pytest.raises(DataError, match=r"channel 2 has 1e\+300 in row 7"):
        cut(raw)


@given(
    seed=st.integers(0, 2**32 - 1), normalize=st.sampled_from(["standard", "unit"]), dtype=st.sampled_from(PRECISIONS)
)
def test_samples_that_are_not_kept_are_prepared_alike(seed: int, normalize: Any, dtype: torch.dtype) -> None:
    """Prepared whenever they are asked for, samples are to the bit those that are kept, and their hashes too."""
    options = {"split_seed": seed, "normalize": normalize, "dtype": dtype}
    kept, passing = cut(numbered([9, 12], seed), **options), cut(numbered([9, 12], seed), **options, resident=False)
    for _ in range(2):
        assert torch.equal(kept.train.x, passing.train.x)
        assert torch.equal(kept.test.x, passing.test.x)
    assert kept.hashes == passing.hashes


def test_splits_are_joined_with_their_targets() -> None:
    """A leading axis holds the splits in order; one alone stays as it is, and none is none."""
    raw = numbered([9, 12])
    splits = [cut(raw, split_seed=seed, resident=resident) for seed, resident in ((1, False), (2, True))]
    both = joined([each.val for each in splits])
    assert both is not None
    assert [rows(each.val) for each in splits] == both.x[..., 0].int().tolist()
    assert [each.val.y.tolist() for each in splits if each.val] == both.y.tolist()
    assert splits[0].val is joined([splits[0].val])
    assert joined([None, None]) is None
