"""torchvision's data: read as they are, and checked."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.datasets

from clsbench.data import downloads, vision
from clsbench.data.raw import as_raw
from clsbench.errors import DataError
from clsbench.problems import posed_by
from clsbench.registry import catalogue
from tests.data.served import IMAGES, LABELS, idx, lay, tiny

pytestmark = pytest.mark.usefixtures("calls")


def test_cached_files_are_read_as_they_are(cached: Path, calls: list[str]) -> None:
    """Files laid down unpacked need no hash, no network and no writing: they come as [N, 1, 28, 28] bytes."""
    before = sorted(cached.rglob("*"))
    raw = as_raw(vision.mnist(0, data_dir=str(cached)))
    images = np.frombuffer(tiny()[IMAGES], np.uint8, offset=16).reshape(20, 1, 28, 28)
    np.testing.assert_array_equal(images, raw.features)
    assert (np.arange(20) % 10).tolist() == raw.labels.tolist()
    assert raw.test_features is not None
    assert raw.test_labels is not None
    assert ((10, 1, 28, 28), 10) == (raw.test_features.shape, len(raw.test_labels))
    assert (255.0, ("0", "9")) == (raw.full_scale, raw.class_names[::9])
    assert (before, []) == (sorted(cached.rglob("*")), calls)


@pytest.mark.parametrize("name", ["fashion_mnist", "kmnist"])
def test_sets_in_the_format_of_mnist_bring_their_names(tmp_path: Path, name: str) -> None:
    """They are read alike from folders of their own, and their classes have names."""
    source = vision.SOURCES[name]
    lay(tmp_path / source.folder, tiny())
    component = catalogue.get("dataset", source.dataset)
    raw = as_raw(component.factory(0, data_dir=str(tmp_path)))
    assert component.poses(data_dir=None).own_test
    assert (20, 10) == (len(raw.labels), len(raw.class_names))
    assert not raw.class_names[0].isdigit()


def test_real_mnist_is_the_one_that_everybody_knows(mnist_dir: Path, calls: list[str]) -> None:
    """60,000 and 10,000 digits, beginning with a 5 and a 7, of mean 0.1307 and deviation 0.3081, without a socket."""
    raw = as_raw(vision.mnist(0, data_dir=str(mnist_dir)))
    assert raw.test_features is not None
    assert raw.test_labels is not None
    assert ((60000, 1, 28, 28), (10000, 1, 28, 28)) == (raw.features.shape, raw.test_features.shape)
    assert (5, 7) == (raw.labels[0], raw.test_labels[0])
    np.testing.assert_allclose(raw.features.mean() / 255, 0.1307, atol=1e-4)
    np.testing.assert_allclose(raw.features.std() / 255, 0.3081, atol=1e-4)
    assert [] == calls


@pytest.mark.parametrize(
    "source", [each for each in vision.SOURCES.values() if each.is_idx], ids=lambda one: one.dataset
)
def test_names_of_classes_are_torchvisions(source: downloads.Source) -> None:
    """The files hold none: EMNIST's 47 classes, too, are in its order."""
    known = source.load()
    names = known.classes if source.dataset != "EMNIST" else known.classes_split_dict["balanced"]
    assert source.classes == tuple(name.partition(" - ")[0] for name in names)


@pytest.mark.parametrize("split", vision.EMNIST_CLASSES)
def test_names_of_emnist_are_torchvisions(split: Any) -> None:
    """Of its letters without the one for the labels from 0, of which there are none."""
    known = torchvision.datasets.EMNIST.classes_split_dict[split]
    assert vision._emnist_source(split).classes == tuple(name for name in known if name != "N/A")


def test_files_like_mnists_are_read_without_torchvision(cached: Path) -> None:
    """Importing it takes longer than a small training; its tensors hold the same."""
    code = f"""
import json, sys
from clsbench.data.vision import mnist
raw = mnist(0, data_dir={str(cached)!r})
print(json.dumps([raw.test_features.tolist(), raw.test_labels.tolist(), "torchvision" in sys.modules]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    theirs = torchvision.datasets.MNIST(cached, train=False)
    expected = [theirs.data[:, None].tolist(), theirs.targets.tolist(), False]
    assert expected == json.loads(done.stdout)


@pytest.mark.parametrize(("split", "first", "classes"), [("letters", 1, 26), ("digits", 0, 10), ("balanced", 0, 47)])
def test_emnist_stands_upright_and_counts_from_zero(tmp_path: Path, split: Any, first: int, classes: int) -> None:
    """The transposed images are turned, and letters, which the file numbers from 1, begin at 0."""
    images = np.zeros((classes, 28, 28), np.uint8)
    images[:, 3, 20] = 255
    pair = (idx(images), idx(np.arange(classes) + first))
    names = vision._emnist_source(split).files
    lay(tmp_path / "EMNIST" / "raw", dict(zip(names, pair * 2, strict=True)))
    raw = as_raw(vision.emnist(0, split=split, data_dir=str(tmp_path)))
    known = posed_by("emnist", {"split": split, "data_dir": None})
    assert list(range(classes)) == raw.labels.tolist()
    assert (raw.features[:, 0, 20, 3] == 255).all()
    assert classes == len(known.problem.names) == len(raw.class_names)


def test_cifar_comes_channels_first(cifar: Path, calls: list[str]) -> None:
    """The pickled rows become [N, 3, 32, 32] with the names of their classes."""
    raw = as_raw(vision.cifar10(0, data_dir=str(cifar)))
    first = pickle.loads((cifar / "cifar-10-batches-py" / "data_batch_1").read_bytes())["data"]
    np.testing.assert_array_equal(first.reshape(-1, 3, 32, 32), raw.features[:2])
    assert ([0, 1, 1, 2], tuple("abcdefghij")) == (raw.labels[:4].tolist(), raw.class_names)
    assert [] == calls


def test_changed_pickle_is_never_opened(cifar: Path) -> None:
    """A CIFAR file is code to whoever unpickles it: one with another hash is refused."""

    class Payload:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (cifar / "executed",))

    (cifar / "cifar-10-batches-py" / "data_batch_2").write_bytes(pickle.dumps(Payload()))
    with pytest.raises(DataError, match="data_batch_2 damaged"):
        vision.cifar10(0, data_dir=str(cifar))
    assert not (cifar / "executed").exists()


def test_fake_data_is_that_of_torchvision_under_every_seed_another() -> None:
    """Images and labels are FakeData's; two seeds share none; the global generator is left alone."""
    state = torch.get_rng_state()
    options: dict[str, Any] = {"samples": 6, "classes": 3, "image_size": 5}
    raw, other = (as_raw(vision.fake_data(seed, **options)) for seed in (2, 3))
    theirs = torchvision.datasets.FakeData(6, (3, 5, 5), 3, random_offset=12)
    np.testing.assert_array_equal([np.asarray(image) for image, _ in theirs], raw.features.transpose(0, 2, 3, 1))
    assert [label for _, label in theirs] == raw.labels.tolist()
    assert not {x.tobytes() for x in raw.features} & {x.tobytes() for x in other.features}
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("channels", [1, 3])
def test_fake_data_poses_what_it_gives(channels: Any) -> None:
    """Grey or colour, the images have the shape that was announced."""
    options = {"samples": 9, "classes": 2, "image_size": 4, "channels": channels}
    known = posed_by("FakeData", options)
    assert known.shape == as_raw(vision.fake_data(0, **options)).features.shape[1:]


CUT_SHORT = "holds 1000 bytes, and its header says 15696"


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        (IMAGES, lambda data: data[:1000], f"{IMAGES} {CUT_SHORT}"),
        (IMAGES, lambda data: data + b"\0", "holds 15697 bytes"),
        (IMAGES, lambda data: b"", f"{IMAGES} is not an IDX file"),
        (IMAGES, lambda data: b"<!doctype html>" + data, f"{IMAGES} is not an IDX file"),
        (IMAGES, lambda data: idx(np.zeros((5, 9, 9))), "holds images of 9 x 9 pixels, not 28 x 28"),
        (IMAGES, lambda data: b"\0\0\x08\x03" + b"\xff" * 12, "is not an IDX file|holds images of"),
        (LABELS, lambda data: tiny()[IMAGES], f"{LABELS} is not an IDX file"),
        (LABELS, lambda data: idx(np.arange(19) % 10), f"{LABELS} holds 19 labels for 20 images"),
        (LABELS, lambda data: idx(np.arange(20)), "label 10 in row 10 of the labels is out of range"),
        (LABELS, lambda data: idx(np.zeros(20)), "every sample is of class '0'"),
    ],
)
def test_damaged_file_is_named(cached: Path, name: str, damage: Callable[[bytes], bytes], message: str) -> None:
    """A file cut short, of another kind or with wrong counts is refused offline in one line that names it."""
    path = cached / "MNIST" / "raw" / name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=message) as caught:
        as_raw(vision.mnist(0, data_dir=str(cached)))
    assert "; " in str(caught.value)
    assert "\n" not in str(caught.value)
