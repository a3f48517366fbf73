"""Where compiled graphs are kept: with the user alone, by version."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import platformdirs
import pytest
import torch

import clsbench
from clsbench.training.compiled import cache_folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The user's cache directory."""
    monkeypatch.setattr(platformdirs, "user_cache_dir", lambda name: str(tmp_path / name))
    cache_folder.cache_clear()
    yield tmp_path / "clsbench"
    cache_folder.cache_clear()


def mode(folder: Path) -> int:
    return stat.S_IMODE(folder.stat().st_mode)


def test_graphs_are_kept_by_version_for_the_user_alone(home: Path) -> None:
    """Another PyTorch or clsbench has another folder, and nobody else may read or write it."""
    folder = cache_folder()
    assert (True, 0o700) == (folder.is_relative_to(home), mode(folder))
    assert f"torch-{torch.__version__}_clsbench-{clsbench.__version__}" == folder.name


@pytest.mark.parametrize("others", [0o770, 0o702])
def test_a_folder_that_others_write_to_is_not_used(others: int, home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """What is compiled is code that runs: a private folder takes its place, and the log says so."""
    folder = cache_folder()
    folder.chmod(others)
    cache_folder.cache_clear()
    other = cache_folder()
    assert (False, 0o700) == (other.is_relative_to(home), mode(other))
    assert f"{folder} may be written by others" in caplog.text


def test_without_a_cache_directory_graphs_are_not_kept(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As where a file is in its place."""
    home.write_text("")
    assert not cache_folder().is_relative_to(home)
    assert "compiled graphs are not kept" in caplog.text
