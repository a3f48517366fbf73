"""Image datasets of torchvision: its files, hashes and mirrors, read at once into arrays of bytes."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from string import ascii_lowercase, ascii_uppercase, digits
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Interval

from clsbench.data import downloads
from clsbench.data.downloads import Source
from clsbench.data.idx import read_idx
from clsbench.data.raw import RawData
from clsbench.data.toy import Classes, Samples
from clsbench.errors import ConfigError, DataError
from clsbench.problems import Posed, SingleLabel
from clsbench.registry import PathOption, UnknownName, catalogue, dataset

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

EmnistSplit = Literal["balanced", "byclass", "bymerge", "letters", "digits", "mnist"]
EMNIST_CLASSES = {"balanced": 47, "byclass": 62, "bymerge": 47, "letters": 26, "digits": 10, "mnist": 10}
CHARACTERS = digits + ascii_uppercase + ascii_lowercase
MERGED = "cijklmopsuvwxyz"  # letters that EMNIST counts as their capitals
CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
KANA = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


def _idx_source(name: str, classes: Iterable[str], train: str = "train", test: str = "t10k", **options: str) -> Source:
    files = (f"{part}-{kind}-ubyte" for part in (train, test) for kind in ("images-idx3", "labels-idx1"))
    return Source(name, f"{name}/raw", tuple(files), options, tuple(classes))


def _emnist_source(split: EmnistSplit) -> Source:
    classes = {"letters": ascii_lowercase, "byclass": CHARACTERS, "digits": digits, "mnist": digits}
    merged = [each for each in CHARACTERS if each not in MERGED]
    return _idx_source(
        "EMNIST", classes.get(split, merged), f"emnist-{split}-train", f"emnist-{split}-test", split=split
    )


SOURCES = {
    "mnist": _idx_source("MNIST", digits),
    "fashion_mnist": _idx_source("FashionMNIST", CLOTHES),
    "kmnist": _idx_source("KMNIST", KANA),
    "emnist": _emnist_source("balanced"),
    "cifar10": Source(
        "CIFAR10", "cifar-10-batches-py", (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch", "batches.meta")
    ),
    "cifar100": Source("CIFAR100", "cifar-100-python", ("train", "test", "meta")),
}


def fetch(name: str, data_dir: str | None = None, *, progress: bool = False) -> Path:
    """Download a dataset unless its files are present; returns their folder.

    Raises:
        ConfigError: the dataset is unknown, or is not one that is downloaded.
        DataError: it cannot be downloaded.
    """
    try:
        canonical = catalogue.get("dataset", name).name
    except UnknownName as error:
        raise ConfigError(str(error)) from error
    if canonical not in SOURCES:
        raise ConfigError(f"dataset {name!r} needs no download; those that do are {', '.join(SOURCES)}")
    source, root = SOURCES[canonical], _root(data_dir)
    downloads.ensure(source, root, progress=progress)
    return root / source.folder


def _poses_grey(**_: Any) -> Posed:
    return Posed((1, 28, 28), SingleLabel(10), own_test=True, samples=60_000, test_samples=10_000)


@dataset("mnist", poses=_poses_grey, drawn=False, aliases=("MNIST",))
def mnist(seed: int, *, data_dir: PathOption | None = None) -> RawData:
    """Handwritten digits, 60,000 and 10,000 grey images of 28 by 28 pixels (LeCun 1998).

    `data_dir` is torchvision's root: the files lie in `data_dir/MNIST/raw`.
    """
    return _load(SOURCES["mnist"], data_dir)


@dataset("fashion_mnist", poses=_poses_grey, drawn=False, aliases=("FashionMNIST",))
def fashion_mnist(seed: int, *, data_dir: PathOption | None = None) -> RawData:
    """Clothes of ten kinds, in the format of MNIST (Xiao 2017).

    `data_dir` is torchvision's root: the files lie in `data_dir/FashionMNIST/raw`.
    """
    return _load(SOURCES["fashion_mnist"], data_dir)


@dataset("kmnist", poses=_poses_grey, drawn=False, aliases=("KMNIST",))
def kmnist(seed: int, *, data_dir: PathOption | None = None) -> RawData:
    """Cursive Japanese characters of ten kinds, in the format of MNIST (Clanuwat 2018).

    `data_dir` is torchvision's root: the files lie in `data_dir/KMNIST/raw`.
    """
    return _load(SOURCES["kmnist"], data_dir)


def _poses_emnist(*, split: EmnistSplit, **_: Any) -> Posed:
    return Posed((1, 28, 28), SingleLabel(EMNIST_CLASSES[split]), own_test=True)


@dataset("emnist", poses=_poses_emnist, drawn=False, aliases=("EMNIST",))
def emnist(seed: int, *, split: EmnistSplit = "balanced", data_dir: PathOption | None = None) -> RawData:
    """Handwritten digits and letters in the format of MNIST, turned upright (Cohen 2017).

    `split` is one of the published selections: `byclass` has 62 classes, `bymerge` and `balanced` 47,
    `letters` 26, `digits` and `mnist` 10. `data_dir` is torchvision's root: the files lie in
    `data_dir/EMNIST/raw`.
    """
    # The files number the letters from 1 and hold every image transposed.
    return _load(_emnist_source(split), data_dir, first=1 if split == "letters" else 0, transposed=True)


def _coloured(num_classes: int) -> Posed:
    return Posed((3, 32, 32), SingleLabel(num_classes), own_test=True, samples=50_000, test_samples=10_000)


@dataset("cifar10", poses=lambda **_: _coloured(10), drawn=False, aliases=("CIFAR10", "cifar_10"))
def cifar10(seed: int, *, data_dir: PathOption | None = None) -> RawData:
    """Colour photographs of ten kinds of things, 50,000 and 10,000 of 32 by 32 pixels (Krizhevsky 2009).

    `data_dir` is torchvision's root: the files lie in `data_dir/cifar-10-batches-py`.
    """
    return _load(SOURCES["cifar10"], data_dir)


@dataset("cifar100", poses=lambda **_: _coloured(100), drawn=False, aliases=("CIFAR100", "cifar_100"))
def cifar100(seed: int, *, data_dir: PathOption | None = None) -> RawData:
    """Colour photographs of a hundred kinds of things, in the format of CIFAR-10 (Krizhevsky 2009).

    `data_dir` is torchvision's root: the files lie in `data_dir/cifar-100-python`.
    """
    return _load(SOURCES["cifar100"], data_dir)


def _poses_fake(*, classes: int, channels: int, image_size: int, **_: Any) -> Posed:
    return Posed((channels, image_size, image_size), SingleLabel(classes))


@dataset("fake_data", poses=_poses_fake, aliases=("FakeData",))
def fake_data(
    seed: int,
    *,
    samples: Samples = 1000,
    classes: Classes = 10,
    channels: Literal[1, 3] = 3,
    image_size: Annotated[int, Interval(ge=1, le=10_000)] = 32,
) -> RawData:
    """Random pixels with random labels (torchvision's FakeData), to try out a setup; there is nothing to learn."""
    import numpy as np
    import torchvision.datasets

    # FakeData seeds image i with offset + i: neighbouring seeds would share all images but one.
    offset = seed * samples
    fake = torchvision.datasets.FakeData(samples, (channels, image_size, image_size), classes, random_offset=offset)
    images = np.empty((samples, image_size, image_size, channels), np.uint8)
    labels = np.empty(samples, np.int64)
    for i in range(samples):
        image, labels[i] = fake[i]
        images[i] = np.asarray(image).reshape(images.shape[1:])
    return RawData(images.transpose(0, 3, 1, 2), labels, num_classes=classes, full_scale=255.0)


def _root(data_dir: str | None) -> Path:
    return Path(data_dir).expanduser() if data_dir else downloads.default_root()


def _load(source: Source, data_dir: str | None, *, first: int = 0, transposed: bool = False) -> RawData:
    root = _root(data_dir)
    downloads.ensure(source, root)
    try:
        names, images, labels, test_images, test_labels = (_of_idx if source.is_idx else _of_torchvision)(source, root)
    except (OSError, RuntimeError, ValueError) as error:
        raise DataError(f"{root / source.folder} cannot be read ({error}); remove it to download it again") from error
    return RawData(
        features=_channels_first(images, transposed),
        labels=_labels(labels, first),
        num_classes=len(names),
        class_names=names,
        full_scale=255.0,
        test_features=_channels_first(test_images, transposed),
        test_labels=_labels(test_labels, first),
    )


def _of_idx(source: Source, root: Path) -> tuple[Any, ...]:
    """Names of the classes, then images and labels to train on and to test on."""
    return source.classes, *(read_idx(root / source.folder / name) for name in source.files)


def _of_torchvision(source: Source, root: Path) -> tuple[Any, ...]:
    """The same of files that torchvision alone can read; importing it takes longer than reading."""
    train_set, test_set = (source.load()(root=root, train=train, **source.options) for train in (True, False))
    names = tuple(str(name) for name in train_set.classes)
    return names, train_set.data, train_set.targets, test_set.data, test_set.targets


def _channels_first(images: Any, transposed: bool) -> npt.NDArray[np.uint8]:
    """[N, C, H, W] of grey images [N, H, W] or coloured ones [N, H, W, C]."""
    import numpy as np

    array = np.asarray(images)
    if array.ndim == 4:
        return array.transpose(0, 3, 1, 2)
    return (array.transpose(0, 2, 1) if transposed else array)[:, None]


def _labels(targets: Any, first: int) -> npt.NDArray[np.int64]:
    import numpy as np

    return np.asarray(targets, dtype=np.int64) - first
