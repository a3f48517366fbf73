"""torchvision's data: read as it is, checked, and fetched without ever touching a real network."""

from __future__ import annotations

import gzip
import hashlib
import json
import pickle
import shutil
import socket
import subprocess
import sys
import tarfile
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision.datasets
from torchvision.datasets import utils

from clsbench.data import downloads, vision
from clsbench.data.raw import as_raw
from clsbench.errors import ConfigError, DataError
from clsbench.problems import posed_by
from clsbench.registry import catalogue

FILES = vision.SOURCES["mnist"].files
IMAGES, LABELS = FILES[0], FILES[1]


@pytest.fixture(autouse=True)
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No test reaches a network; each attempt is noted, and fails as it does offline."""
    attempts: list[str] = []

    def refuse(request: Any, *_: Any, **__: Any) -> Any:
        attempts.append(getattr(request, "full_url", str(request)))
        raise URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return attempts


def idx(array: np.ndarray[Any, Any]) -> bytes:
    axes = b"".join(n.to_bytes(4, "big") for n in array.shape)
    return b"\0\0\x08" + bytes([array.ndim]) + axes + array.astype(np.uint8).tobytes()


def tiny(seed: int = 0, classes: int = 10) -> dict[str, bytes]:
    """The four files of an MNIST of 20 and 10 images."""
    rng = np.random.default_rng(seed)
    files = {}
    for (images, labels), n in zip((FILES[:2], FILES[2:]), (20, 10), strict=True):
        files[images] = idx(rng.integers(0, 256, (n, 28, 28)))
        files[labels] = idx(np.arange(n) % classes)
    return files


def lay(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    lay(tmp_path / "MNIST" / "raw", tiny())
    return tmp_path


class Mirrors:
    """Stands in for the network: what each address serves, bytes or an exception; every request is noted."""

    def __init__(self) -> None:
        self.served: dict[str, bytes | Exception] = {}
        self.asked: list[str] = []

    def retrieve(self, url: str, filename: str, chunk_size: int = 0) -> None:
        assert socket.getdefaulttimeout() == downloads.SECONDS_OF_SILENCE
        self.asked.append(url)
        sys.stdout.write("torchvision talks\n")
        body = self.served.get(url, URLError("HTTP Error 404: Not Found"))
        if isinstance(body, Exception):
            raise body
        Path(filename).write_bytes(body)


ARCHIVES = {f"{name}.gz": gzip.compress(data, mtime=0) for name, data in tiny().items()}


@pytest.fixture
def mirrors(monkeypatch: pytest.MonkeyPatch) -> Mirrors:
    """Two mirrors of a tiny MNIST, the first of which serves everything."""
    network = Mirrors()
    network.served = {f"http://one/{name}": data for name, data in ARCHIVES.items()}
    monkeypatch.setattr(utils, "_urlretrieve", network.retrieve)
    monkeypatch.setattr(utils, "_get_redirect_url", lambda url, max_hops=3: url)
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", ["http://one/", "http://two/"])
    hashes = [(name, hashlib.md5(data).hexdigest()) for name, data in ARCHIVES.items()]
    monkeypatch.setattr(torchvision.datasets.MNIST, "resources", hashes)
    return network


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


@pytest.fixture
def cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A CIFAR-10 of two images a batch, whose hashes torchvision is told."""
    folder = tmp_path / "cifar-10-batches-py"
    rng = np.random.default_rng(0)
    files = {}
    for i, name in enumerate(vision.SOURCES["cifar10"].files[:-1]):
        data = rng.integers(0, 256, (2, 3072), np.uint8)
        files[name] = pickle.dumps({"data": data, "labels": [i, i + 1]})
    files["batches.meta"] = pickle.dumps({"label_names": [*"abcdefghij"]})
    lay(folder, files)
    md5 = {name: hashlib.md5(data).hexdigest() for name, data in files.items()}
    cls = torchvision.datasets.CIFAR10
    for attribute in ("train_list", "test_list"):
        monkeypatch.setattr(cls, attribute, [[name, md5[name]] for name, _ in getattr(cls, attribute)])
    monkeypatch.setattr(cls, "meta", {**cls.meta, "md5": md5["batches.meta"]})
    return tmp_path


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


def test_missing_files_offline_are_named_with_their_folder(tmp_path: Path, calls: list[str]) -> None:
    """Without network the message says which files to put where, and nothing but the lock is left behind."""
    with pytest.raises(DataError) as caught:
        vision.mnist(0, data_dir=str(tmp_path / "data"))
    message = str(caught.value)
    assert f"{', '.join(FILES)} missing in {tmp_path / 'data' / 'MNIST' / 'raw'}" in message
    assert "no network" in message
    assert calls
    assert {".MNIST.lock"} >= {path.name for path in (tmp_path / "data").iterdir()}
    assert socket.getdefaulttimeout() is None


def test_download_fills_an_empty_folder_and_keeps_stdout_clean(
    tmp_path: Path, mirrors: Mirrors, capfd: pytest.CaptureFixture[str]
) -> None:
    """The files are fetched once, unpacked, listed with their hashes, and found the next time."""
    folder = vision.fetch("MNIST", str(tmp_path))
    assert tmp_path / "MNIST" / "raw" == folder
    assert sorted([*FILES, downloads.MANIFEST]) == sorted(path.name for path in folder.iterdir())
    assert {name: (folder / name).read_bytes() for name in FILES} == tiny()
    assert ("", "") == tuple(capfd.readouterr())
    asked = len(mirrors.asked)
    assert folder == vision.fetch("mnist", str(tmp_path))
    assert 4 == asked == len(mirrors.asked)
    assert not (tmp_path / ".MNIST.download").exists()


def test_progress_goes_to_stderr(tmp_path: Path, mirrors: Mirrors, capfd: pytest.CaptureFixture[str]) -> None:
    """Where progress is asked for, all that torchvision has to say goes to stderr."""
    vision.fetch("mnist", str(tmp_path), progress=True)
    out, err = capfd.readouterr()
    assert "" == out
    assert "torchvision talks" in err


@pytest.mark.parametrize(
    "first",
    [b"another file", b"<html>", ARCHIVES[f"{IMAGES}.gz"][:99], URLError("HTTP Error 503"), TimeoutError("timed out")],
    ids=["wrong hash", "html", "short body", "refused", "stalled"],
)
def test_next_mirror_is_used_where_the_first_fails(tmp_path: Path, mirrors: Mirrors, first: Any) -> None:
    """A mirror that serves the wrong thing, less than all of it or nothing is passed over."""
    mirrors.served[f"http://one/{IMAGES}.gz"] = first
    mirrors.served[f"http://two/{IMAGES}.gz"] = ARCHIVES[f"{IMAGES}.gz"]
    folder = vision.fetch("mnist", str(tmp_path))
    assert tiny()[IMAGES] == (folder / IMAGES).read_bytes()


def test_mirrors_that_serve_nothing_leave_nothing(tmp_path: Path, mirrors: Mirrors) -> None:
    """Where no mirror has the files, no half of the data is left to be taken for the whole."""
    del mirrors.served[f"http://one/{LABELS}.gz"]
    with pytest.raises(DataError, match="404"):
        vision.fetch("mnist", str(tmp_path))
    assert {".MNIST.lock"} >= {path.name for path in tmp_path.iterdir()}


def test_damaged_file_is_fetched_again(cached: Path, mirrors: Mirrors) -> None:
    """With a network a file cut short is repaired."""
    path = cached / "MNIST" / "raw" / IMAGES
    path.write_bytes(path.read_bytes()[:1000])
    assert 20 == len(vision.mnist(0, data_dir=str(cached)).labels)
    assert tiny()[IMAGES] == path.read_bytes()


def test_flipped_bit_of_a_download_is_noticed(tmp_path: Path, mirrors: Mirrors) -> None:
    """A downloaded file is known by its hash: one flipped pixel is fetched again, or refused offline."""
    path = vision.fetch("mnist", str(tmp_path)) / IMAGES
    good = path.read_bytes()
    flipped = good[:-1] + bytes([good[-1] ^ 1])
    path.write_bytes(flipped)
    vision.fetch("mnist", str(tmp_path))
    assert good == path.read_bytes()
    path.write_bytes(flipped)
    mirrors.served.clear()
    with pytest.raises(DataError, match=f"{IMAGES} differs from the downloaded file"):
        vision.mnist(0, data_dir=str(tmp_path))


def test_download_that_was_killed_is_repaired(tmp_path: Path, mirrors: Mirrors) -> None:
    """What a process killed while unpacking left is never taken for data."""
    half = {name: data[:100] for name, data in tiny().items()}
    lay(tmp_path / ".MNIST.download" / "MNIST" / "raw", half)
    folder = vision.fetch("mnist", str(tmp_path))
    assert tiny()[IMAGES] == (folder / IMAGES).read_bytes()


def test_archives_laid_by_hand_need_no_network(tmp_path: Path, mirrors: Mirrors) -> None:
    """The original archives in the folder serve as well as the unpacked files."""
    mirrors.served.clear()
    lay(tmp_path / "MNIST" / "raw", ARCHIVES)
    assert 20 == len(vision.mnist(0, data_dir=str(tmp_path)).labels)
    assert [] == mirrors.asked


def test_html_laid_by_hand_as_an_archive_is_named(tmp_path: Path, mirrors: Mirrors) -> None:
    """An error page saved under the archive's name is not unpacked, and stays as it is."""
    mirrors.served.clear()
    page = {f"{IMAGES}.gz": b"<html>403</html>"}
    lay(tmp_path / "MNIST" / "raw", {**ARCHIVES, **page})
    with pytest.raises(DataError, match=rf"{IMAGES}\.gz is not the original archive"):
        vision.mnist(0, data_dir=str(tmp_path))
    assert page[f"{IMAGES}.gz"] == (tmp_path / "MNIST" / "raw" / f"{IMAGES}.gz").read_bytes()


def test_cifar_archive_is_unpacked(cifar: Path, mirrors: Mirrors, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tar file is fetched from its one address, and unpacked into place."""
    cls = torchvision.datasets.CIFAR10
    archive = cifar / "made.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(cifar / cls.base_folder, cls.base_folder)
    mirrors.served[cls.url] = archive.read_bytes()
    monkeypatch.setattr(cls, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    shutil.rmtree(cifar / cls.base_folder)
    assert 10 == len(vision.cifar10(0, data_dir=str(cifar)).labels)


@pytest.mark.parametrize("filtered", [True, False], ids=["with a filter", "before 3.11.4"])
def test_archive_is_unpacked_inside_its_folder(
    filtered: bool, cifar: Path, mirrors: Mirrors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An archive that would write outside is refused, whether or not this Python filters archives."""
    if not filtered:
        monkeypatch.delattr(tarfile, "data_filter", raising=False)
    cls = torchvision.datasets.CIFAR10
    archive = cifar / "made.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(cifar / cls.base_folder / "test_batch", "../../outside")
    mirrors.served[cls.url] = archive.read_bytes()
    monkeypatch.setattr(cls, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    shutil.rmtree(cifar / cls.base_folder)
    before = tarfile.TarFile.extractall, getattr(tarfile.TarFile, "extraction_filter", None)
    with pytest.raises(DataError, match=r"'\.\./\.\./outside' would be (written|extracted) .*outside"):
        vision.cifar10(0, data_dir=str(cifar))
    assert not [*cifar.parent.rglob("outside")]
    assert before == (tarfile.TarFile.extractall, getattr(tarfile.TarFile, "extraction_filter", None))


def test_many_at_once_download_once(tmp_path: Path, mirrors: Mirrors) -> None:
    """Eight that start with an empty folder all succeed on one download."""
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(lambda _: vision.fetch("mnist", str(tmp_path)), range(8)))
    assert {tmp_path / "MNIST" / "raw"} == set(folders)
    assert 4 == len(mirrors.asked)


def test_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A file where the data directory should be is an error of the data, not of the program."""
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"Not a directory|File exists"):
        vision.fetch("mnist", str(tmp_path / "file"))


@pytest.fixture
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / name))
    return tmp_path / "clsbench"


def test_default_folder_is_the_users_cache(cache_home: Path) -> None:
    """Without `data_dir` the files are looked for in the user's cache directory."""
    lay(cache_home / "data" / "MNIST" / "raw", tiny())
    assert 20 == len(vision.mnist(0).labels)


@pytest.mark.parametrize(
    ("name", "message"),
    [("moons", "'moons' needs no download; those that do are mnist"), ("mnits", "(?i)did you mean 'mnist'")],
)
def test_only_downloads_are_fetched(name: str, message: str) -> None:
    """A dataset made on the spot, or unknown, cannot be downloaded: the command line was wrong."""
    with pytest.raises(ConfigError, match=message):
        vision.fetch(name)
