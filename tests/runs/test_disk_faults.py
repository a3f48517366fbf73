"""A disk that fails elsewhere than at records and checkpoints: the directory, the log, the environment."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import clsbench
from clsbench import experiment, shown
from clsbench.errors import RunError
from clsbench.execution.events import EpochDone
from clsbench.runs.checkpoints import Checkpoints
from clsbench.runs.directory import RunDirectory
from clsbench.runs.log import RunLog, logged
from clsbench.runs.records import RecordFile

Create = Callable[[Path, Any], RunDirectory]
TREE: dict[str, Any] = {
    "name": "tiny",
    "dataset": {"name": "moons", "samples": 60},
    "model": "linear",
    "train": {"epochs": 1, "seeds": 1, "device": "cpu"},
}


def full(*_: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_directory_whose_config_cannot_be_written_leaves_nothing(
    tmp_path: Path, create: Create, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hidden folder in which it was made is taken away, and the disk is blamed."""
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="disk full"):
        create(tmp_path, TREE)
    assert [] == os.listdir(tmp_path)


class Full:
    """A file on a full disk."""

    write = flush = close = full


@pytest.fixture
def log(tmp_path: Path) -> Any:
    """A logger that writes a run's log on a disk that is full by now."""
    handler = RunLog(tmp_path / "run.log")
    logger = logging.Logger("full")
    logger.addHandler(handler)
    handler.stream.close()
    handler.stream = Full()  # type: ignore[assignment]
    return logger


def test_log_that_cannot_be_written_is_told(log: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever logs gets a run's error, and the standard library prints no trace."""
    with pytest.raises(RunError, match=r"run\.log cannot be written: disk full"):
        log.info("training")
    log.handlers[0].close()
    assert ("", "") == tuple(capsys.readouterr())


def test_log_that_cannot_be_written_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ended the run is raised, not that its trace could not be kept."""
    real = logging.FileHandler.emit

    def emit(handler: Any, record: logging.LogRecord) -> None:
        if record.exc_info:
            handler.stream.close()
            handler.stream = Full()
        real(handler, record)

    monkeypatch.setattr(RunLog, "emit", emit)
    monkeypatch.setattr("clsbench.shown.figures", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        clsbench.run(TREE, output=tmp_path)


def test_log_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A folder in its place is a run's error."""
    (tmp_path / "run.log").mkdir()
    with pytest.raises(RunError, match=r"run\.log is a folder where a run has a file"), logged(tmp_path):
        pass


def test_run_that_was_stopped_before_all_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed when its directory had just been made, a run goes on by --resume as any other."""

    def stop(directory: RunDirectory) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "held", stop)
        with pytest.raises(KeyboardInterrupt):
            clsbench.run(TREE, output=tmp_path)
    (path,) = (tmp_path / "tiny").iterdir()
    files = ["checkpoints", "config.yaml", "environment.json", "metrics.jsonl"]
    assert files == sorted(os.listdir(path))
    result = clsbench.run(resume=path)
    assert "finished" == result.summary["status"]
    assert clsbench.run(TREE, output=tmp_path).arms.keys() == result.arms.keys()


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (RunDirectory, "held"),
        (experiment, "logged"),
        (RunDirectory, "write_summary"),
        (RecordFile, "keep"),
        (RecordFile, "order"),
        (Checkpoints, "save"),
        (Checkpoints, "tidy"),
        (Checkpoints, "ended"),
        (shown, "figures"),
        (RunDirectory, "summary"),
    ],
)
def test_directory_that_is_removed_at_any_moment(
    owner: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Just before it is locked, logged to, written, read back or shown, too: 6, and none is made anew."""
    real = getattr(owner, name)

    def without_directory(*args: Any, **how: Any) -> Any:
        # Figures are drawn in a process that ends with the run, perhaps in the middle of this: so it goes at once.
        with suppress(FileNotFoundError):
            (tmp_path / "runs" / "tiny").rename(tmp_path / "gone")
        shutil.rmtree(tmp_path / "gone", ignore_errors=True)
        return real(*args, **how)

    monkeypatch.setattr(owner, name, without_directory)
    with pytest.raises(RunError) as caught:
        clsbench.run(TREE, output=tmp_path / "runs")
    assert ("\n" in str(caught.value), []) == (False, os.listdir(tmp_path / "runs"))


@pytest.mark.parametrize("epochs", [1, 2])
def test_directory_that_is_removed_while_running(epochs: int, tmp_path: Path) -> None:
    """With its directory gone a run ends at the next epoch or save, in one line, and makes none anew."""
    told = 0

    def remove(plan: object, event: object) -> None:
        nonlocal told
        told += isinstance(event, EpochDone)
        if told == epochs and isinstance(event, EpochDone):  # another stack may start before the next epoch ends
            shutil.rmtree(tmp_path / "tiny")

    with pytest.raises(RunError, match="cannot be written: no such file or directory"):
        clsbench.run({**TREE, "train": {**TREE["train"], "epochs": 2}}, output=tmp_path, watch=remove)
    assert [] == os.listdir(tmp_path)
