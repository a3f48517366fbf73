"""Downloads: found, fetched, repaired and unpacked, without ever touching a real network."""

from __future__ import annotations

import hashlib
import shutil
import socket
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torchvision.datasets

from clsbench.data import downloads, vision
from clsbench.errors import ConfigError, DataError
from tests.data.served import ARCHIVES, FILES, IMAGES, LABELS, Mirrors, lay, tiny

pytestmark = pytest.mark.usefixtures("calls")


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
