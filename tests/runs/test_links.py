"""What a run directory holds that is not the run's: nothing outside it is written, emptied or removed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import clsbench
from clsbench.errors import RunError
from clsbench.runs import files
from clsbench.runs.files import opened
from clsbench.runs.names import is_growing, is_half_written, is_own

TREE: dict[str, Any] = {
    "name": "tiny",
    "dataset": {"name": "moons", "samples": 60},
    "model": "linear",
    "train": {"epochs": 1, "seeds": 1, "device": "cpu", "threads": 1},
}
GROWING = ("run.log", "metrics.jsonl", "checkpoints/lock", "checkpoints/pid")
REPLACED = ("config.yaml", "environment.json", "summary.json", "curves.png", "checkpoints/manifest.json")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clsbench.run(TREE, output=tmp_path_factory.mktemp("runs")).directory


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A run that ended before its summary was written."""
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "summary.json").unlink()
    return tmp_path / "run"


def contents(folder: Path) -> dict[Path, bytes | str]:
    return {
        path: os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() or path.is_symlink()
    }


def symbolic(path: Path, mine: Path) -> None:
    path.symlink_to(mine)


def dangling(path: Path, mine: Path) -> None:
    path.symlink_to("nowhere")


def hard(path: Path, mine: Path) -> None:
    os.link(mine, path)


def folder(path: Path, mine: Path) -> None:
    path.mkdir()


def fifo(path: Path, mine: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("kind", [symbolic, dangling, hard, folder, fifo])
@pytest.mark.parametrize("name", [*GROWING, *REPLACED])
def test_what_is_no_file_of_the_run_is_refused(
    run: Path, tmp_path: Path, name: str, kind: Callable[[Path, Path], None]
) -> None:
    """A link, folder or FIFO in a file's place is 6 at once, naming it, and neither the run nor its target changes."""
    if kind is hard and name not in GROWING:
        pytest.skip("a file that is replaced may have other names: they keep what they have")
    if kind is fifo and not hasattr(os, "mkfifo"):
        pytest.skip("this system has no FIFOs")
    mine = tmp_path / "mine"
    mine.write_text("precious")
    (run / name).unlink(missing_ok=True)
    kind(run / name, mine)
    before = contents(tmp_path)
    with pytest.raises(RunError, match=rf"{name} (is|has) .*(where a run has a file|would change all of them)"):
        clsbench.run(resume=run)
    assert before == contents(tmp_path)


def test_checkpoints_elsewhere_are_not_the_runs(run: Path, tmp_path: Path) -> None:
    """A link in the place of `checkpoints` is 6, and what lies at its end stays."""
    models = tmp_path / "models"
    models.mkdir()
    for name in ("best.pt", ".a.0123456789abcdef", "metrics-00000-epoch-00001-01234567.pt"):
        (models / name).write_text("w")
    shutil.rmtree(run / "checkpoints")
    (run / "checkpoints").symlink_to(models)
    before = contents(tmp_path)
    with pytest.raises(RunError, match=r"checkpoints is a symbolic link where a run has a folder"):
        clsbench.run(resume=run)
    assert before == contents(tmp_path)


def test_run_itself_may_be_reached_by_a_link(run: Path, tmp_path: Path) -> None:
    """A link to the run's directory is followed."""
    (tmp_path / "link").symlink_to(run)
    assert "finished" == clsbench.run(resume=tmp_path / "link").summary["status"]


def test_files_that_are_not_the_runs_stay(run: Path) -> None:
    """Weights and hidden files that a user put into the run's folders are there when it has gone on."""
    names = ("best.pt", "checkpoints/best.pt", ".notes.0123456789abcdef", "checkpoints/.notes.0123456789abcdef")
    for name in names:
        (run / name).write_text("mine")
    clsbench.run(resume=run)
    assert dict.fromkeys(names, "mine") == {name: (run / name).read_text() for name in names}


def test_report_follows_no_link(run: Path, finished: Path) -> None:
    """Reading a run back follows none either."""
    (run / "summary.json").symlink_to(finished / "summary.json")
    with pytest.raises(RunError, match=r"summary\.json is a symbolic link where a run has a file"):
        clsbench.load(run)


def test_without_folder_handles_links_are_seen_by_looking_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system cannot open beneath a folder, as Windows, a link is refused all the same."""
    monkeypatch.setattr(os, "supports_dir_fd", set())
    monkeypatch.setattr(files, "NO_LINK", 0)
    (tmp_path / "mine").write_text("precious")
    (tmp_path / "run.log").symlink_to("mine")
    with pytest.raises(RunError, match=r"run\.log is a symbolic link"):
        opened(tmp_path / "run.log", "w")
    assert "precious" == (tmp_path / "mine").read_text()


def test_file_with_a_second_name_is_not_emptied(tmp_path: Path) -> None:
    """Opened to be written anew, a file is emptied only once it is known to be the run's own."""
    (tmp_path / "mine").write_text("precious")
    os.link(tmp_path / "mine", tmp_path / "pid")
    with pytest.raises(RunError, match=r"pid has 2 names"):
        opened(tmp_path / "pid", "w", sole=True)
    assert "precious" == (tmp_path / "mine").read_text()


def test_names_of_a_run(finished: Path) -> None:
    """Everything that a run writes has a name of its own; what is half written is told by it alone."""
    names = {path.relative_to(finished).as_posix() for path in finished.rglob("*") if path.is_file()}
    assert set() == {name for name in names if not is_own(name)}
    assert set(GROWING) <= {name for name in names if is_growing(name)}
    assert is_half_written(".summary.json.0123456789abcdef")
    assert is_half_written("checkpoints/.manifest.json.0123456789abcdef")
    for name in (".notes.0123456789abcdef", ".manifest.json.0123456789abcdef", ".summary.json.0123", "a/../run.log"):
        assert not is_half_written(name)
        assert not is_own(name)
