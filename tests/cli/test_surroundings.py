"""Surroundings that lack what a command needs: one line, and the right exit code."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clsbench.report.surroundings import lack

Fails = Callable[..., str]


@pytest.mark.parametrize("verb", ["check", "run", "list"])
def test_working_directory_that_is_gone(verb: str, here: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every verb refuses it with 2: no relative path leads anywhere."""
    (here / "gone").mkdir()
    monkeypatch.chdir(here / "gone")
    (here / "gone").rmdir()
    arguments = [] if verb == "list" else [here / "tiny.yaml"]
    line = "the working directory cannot be used: no such file or directory; change to one that exists"
    assert line == fails(2, verb, *arguments)


def test_too_few_file_descriptors(here: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the midst of a run this is 6 and tells the remedy; it is no bug."""

    def exhausted(*_: Any) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr("clsbench.execution.execute.execute", exhausted)
    line = fails(6, "run", "tiny.yaml", "--quiet")
    assert line.startswith("too many open files; raise the limit, as by `ulimit -n 1024`; the trace is in runs/moons/")


def test_no_folder_for_temporary_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told as such, however a library wraps it; other errors are not."""
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/proc/none"])
    wrapped = OSError("needs a cache")
    with pytest.raises(FileNotFoundError) as found:
        tempfile.mkdtemp()
    wrapped.__cause__ = found.value
    assert "no folder for temporary files can be written; set TMPDIR to one" == lack(wrapped)
    assert lack(FileNotFoundError(errno.ENOENT, "No such file or directory")) is None


def test_user_without_a_home(here: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system knows no home, a data set from the cache is 4, and names what to set."""
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)
    line = fails(4, "run", "tiny.yaml", "dataset=mnist", "model=linear")
    assert "no cache directory is known: " in line
    assert line.endswith("or give data_dir")


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate output buffer."),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
        ImportError("libtorch_cpu.so: failed to map segment from shared object"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_missing_memory_is_no_bug(error: Exception) -> None:
    """An array, a process or a library that finds no memory is told as that, with what to do."""
    assert "there is not enough memory" in str(lack(error))
    assert lack(ImportError("cannot import name 'x'")) is None
