"""Where compiled graphs are kept: with the user alone, by version, within bounds, and whole."""

from __future__ import annotations

import _ctypes
import errno
import os
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import platformdirs
import pytest
import torch
from torch._inductor.runtime.cache_dir_utils import cache_dir

import clsbench
from clsbench.training import graph_cache
from clsbench.training.graph_cache import CACHE, cache_folder, kept_in_cache, kept_library


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The user's cache directory."""
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
    monkeypatch.delenv(CACHE, raising=False)
    cache_folder.cache_clear()
    yield tmp_path / "clsbench"
    cache_folder.cache_clear()


def mode(folder: Path) -> int:
    return stat.S_IMODE(folder.stat().st_mode)


def test_graphs_are_kept_by_version_for_the_user_alone(home: Path) -> None:
    """Another PyTorch or clsbench has another folder, and nobody else may read or write it."""
    folder = cache_folder()
    assert folder is not None
    assert (True, 0o700) == (folder.is_relative_to(home), mode(folder))
    assert f"torch-{torch.__version__}_clsbench-{clsbench.__version__}" == folder.name


def test_pytorch_keeps_its_graphs_there(home: Path) -> None:
    """Importing the compiler names a folder of its own, which all may write to: that is no wish of the user's."""
    import torch._dynamo  # noqa: F401

    before = os.environ.get(CACHE)
    with kept_in_cache():
        assert cache_folder() == Path(cache_dir())
    assert before == os.environ.get(CACHE)


def test_a_folder_that_the_user_named_is_used(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is made elsewhere."""
    monkeypatch.setenv(CACHE, str(tmp_path / "named"))
    with kept_in_cache():
        assert str(tmp_path / "named") == cache_dir()
    assert not home.exists()


@pytest.mark.parametrize("others", [0o770, 0o702])
def test_a_folder_that_others_write_to_is_not_used(others: int, home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is compiled is code that runs: a private folder takes its place for a while, and the log says so."""
    folder = cache_folder()
    assert folder is not None
    folder.chmod(others)
    cache_folder.cache_clear()
    assert_passing(home)
    assert f"{folder} may be written by others" in caplog.text


def test_without_a_cache_directory_graphs_are_not_kept(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As where a file is in its place."""
    home.write_text("")
    assert_passing(home)
    assert "compiled graphs are not kept" in caplog.text


def test_a_cache_that_cannot_be_written_is_not_used(
    home: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a read-only file system, whose folder is there: it is found before anything is compiled."""
    folder = cache_folder()
    cache_folder.cache_clear()
    mkdir = os.mkdir

    def refuse(path: str, *more: int) -> None:
        if Path(path).parent == folder:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        mkdir(path, *more)

    monkeypatch.setattr(os, "mkdir", refuse)
    assert_passing(home)
    assert "compiled graphs are not kept" in caplog.text


def assert_passing(home: Path) -> None:
    """Graphs go to a private folder, which is removed."""
    with kept_in_cache():
        folder = Path(cache_dir())
        assert (False, 0o700) == (folder.is_relative_to(home), mode(folder))
    assert not folder.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="libraries have another form")
def test_a_library_is_compiled_once(home: Path) -> None:
    """And found by its name; one that was cut off is compiled again. Nobody else may write there."""
    whole = Path(_ctypes.__file__).read_bytes()
    compiled: list[str] = []

    def compile(path: Path) -> None:
        compiled.append(path.name)
        path.write_bytes(whole)

    for name in ("one", "other", "one"):
        with kept_library(name, compile) as path:
            assert (whole, 0o700) == (path.read_bytes(), mode(path.parent))
    assert ["one.so", "other.so"] == compiled
    path.write_bytes(whole[:-1])
    with kept_library("one", compile) as path:
        assert whole == path.read_bytes()
    assert ["one.so", "other.so", "one.so"] == compiled
    assert path.is_relative_to(home)


@pytest.mark.skipif(sys.platform != "linux", reason="libraries have another form")
def test_a_library_in_a_folder_that_others_write_to_is_not_loaded(home: Path) -> None:
    """It is compiled again, in a private folder that is removed."""
    whole = Path(_ctypes.__file__).read_bytes()
    compiled: list[Path] = []

    def compile(path: Path) -> None:
        compiled.append(path)
        path.write_bytes(whole)

    with kept_library("one", compile) as path:
        path.parent.chmod(0o770)
    with kept_library("one", compile) as path:
        assert (compiled[1], 0o700) == (path, mode(path.parent))
    assert [True, False] == [each.exists() for each in compiled]


def kept(folder: Path) -> set[str]:
    """The names of the files below a folder."""
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_graphs_of_other_versions_go_when_nobody_uses_them(home: Path) -> None:
    """After a month; those of a version that is still used stay."""
    for name, days in (("torch-1_clsbench-1", 31), ("torch-2_clsbench-1", 29)):
        (home / "graphs" / name).mkdir(parents=True)
        os.utime(home / "graphs" / name, (time.time() - days * 86_400,) * 2)
    folder = cache_folder()
    assert folder is not None
    assert {folder.name, "torch-2_clsbench-1"} == {path.name for path in (home / "graphs").iterdir()}


@pytest.mark.parametrize(("most", "left"), [(400, {"a", "b", "c", "d"}), (399, {"d"})])
def test_a_cache_that_has_grown_too_large_loses_its_oldest(
    most: int, left: set[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the bound, down to half of it."""
    folder = cache_folder()
    assert folder is not None
    (folder / "sub").mkdir()
    for age, name in enumerate("dcba"):
        path = folder / "sub" / name
        path.write_bytes(bytes(100))
        os.utime(path, (time.time() - age,) * 2)
    cache_folder.cache_clear()
    monkeypatch.setattr(graph_cache, "MOST_BYTES", most)
    cache_folder()
    assert left == kept(folder)


@pytest.mark.skipif(sys.platform != "linux", reason="libraries have another form")
def test_libraries_that_were_cut_off_are_removed(home: Path) -> None:
    """Those that a killed compiler left: what is whole stays, and what another process compiles at the moment."""
    import fcntl

    folder, whole = cache_folder(), Path(_ctypes.__file__).read_bytes()
    assert folder is not None
    (folder / "ab").mkdir()
    (folder / "locks").mkdir()
    torn = {
        "chalf.main.so": whole[: len(whole) // 2],
        "clast.so": whole[:-1],
        "cempty.main.so": b"",
        "cbegun.main.so": b"",
    }
    others = {"libmine.so": b"not the compiler's"}
    for name, content in {**torn, **others, "cwhole.main.so": whole}.items():
        (folder / "ab" / name).write_bytes(content)
    with (folder / "locks" / "cbegun.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        cache_folder.cache_clear()
        cache_folder()
        assert {"cwhole.main.so", "cbegun.main.so", *others} == kept(folder / "ab")
