"""What differs between operating systems, each difference simulated on this one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clsbench import system
from clsbench.config.reader import read_mapping
from clsbench.errors import ConfigError
from clsbench.runs.files import write_atomically

ROOT = Path(__file__).resolve().parent.parent


class MacOS:
    """The part of its `fcntl` that is asked for; `fails` where a file system lacks it."""

    def __init__(self, fails: bool) -> None:
        self.fails = fails
        self.forced: list[int] = []

    def fcntl(self, handle: int, command: int) -> None:
        if self.fails:
            raise OSError("Operation not supported")
        self.forced.append(command)


@pytest.mark.parametrize("fails", [False, True])
def test_drive_is_forced_on_macos(fails: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data and name are forced out of the drive's cache; where the file system cannot, fsync has to do."""
    macos, synced = MacOS(fails), []
    monkeypatch.setattr(system, "fcntl", macos)
    monkeypatch.setattr(system, "FULL_FSYNC", 51)
    monkeypatch.setattr(os, "fsync", synced.append)
    write_atomically(tmp_path / "file", b"content")
    assert ([] if fails else [51, 51], 2 if fails else 0) == (macos.forced, len(synced))


@pytest.mark.parametrize(("refusals", "works"), [(0, True), (3, True), (system.REPLACE_ATTEMPTS, False)])
def test_replace_waits_for_a_reader_on_windows(
    refusals: int, works: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the file is open elsewhere it is tried again, longer each time, and not for ever."""
    (tmp_path / "new").write_text("new")
    real, waited, left = os.replace, list[float](), refusals

    def refused(source: Path, target: Path) -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            raise PermissionError(13, "Access is denied")
        real(source, target)

    monkeypatch.setattr(system, "WINDOWS", True)
    monkeypatch.setattr(os, "replace", refused)
    monkeypatch.setattr("time.sleep", waited.append)
    if works:
        system.replace(tmp_path / "new", tmp_path / "old")
        assert "new" == (tmp_path / "old").read_text()
    else:
        with pytest.raises(PermissionError):
            system.replace(tmp_path / "new", tmp_path / "old")
    assert [system.REPLACE_SECONDS * 2**n for n in range(min(refusals, system.REPLACE_ATTEMPTS - 1))] == waited


def test_refused_replace_is_not_retried_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a reader is in nobody's way, a refusal is final."""

    def refused(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", refused)
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("it waited"))
    with pytest.raises(PermissionError):
        system.replace(tmp_path / "new", tmp_path / "old")


@pytest.mark.parametrize("name", ["con", "nul", "aux.1", "com1", "lpt9.moons", "prn.a.b", "moons."])
def test_run_name_that_is_no_folder_on_windows_is_refused(name: str) -> None:
    """Devices' names, with any suffix, and a dot at the end are refused wherever the config is checked."""
    with pytest.raises(ConfigError, match=r"name: .*Windows"):
        read_mapping({"name": name})


@pytest.mark.parametrize("name", ["conv", "null", "com", "com10", "moons.1", "a-con", "1"])
def test_run_name_that_every_system_takes_is_taken(name: str) -> None:
    """What only resembles such a name is as good as any."""
    assert name == read_mapping({"name": name}).name


def test_signals_pass_where_there_is_no_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `pthread_sigmask` processes start all the same."""
    monkeypatch.delattr(signal, "pthread_sigmask")
    before = signal.getsignal(signal.SIGTERM)
    try:
        with system.ending_signals_blocked():
            system.obey_termination()
        assert signal.SIG_DFL == signal.getsignal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


# A process with what Windows lacks taken away, and with its refusals: of fsync by a handle that only reads, of opening
# folders, of replacing a file at the first attempt. Libraries that chose their ways by the real system come first.
WINDOWS = """
import errno, multiprocessing, os, signal, sys, types
import filelock, numpy, pydantic, scipy.stats, sklearn.datasets, torch

import fcntl
def access(handle):
    return real_fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE
flock, real_fcntl, fsync, opened, replace = fcntl.flock, fcntl.fcntl, os.fsync, os.open, os.replace
refused = set()

def windows_fsync(handle):
    if access(handle) == os.O_RDONLY:
        raise OSError(errno.EBADF, "Bad file descriptor")
    fsync(handle)

def windows_open(path, flags, mode=0o777, *, dir_fd=None):
    if dir_fd is not None:
        raise NotImplementedError("dir_fd unavailable on this platform")
    if os.path.isdir(path):
        raise PermissionError(errno.EACCES, "Permission denied", path)
    return opened(path, flags, mode)

def windows_replace(source, target):
    if target not in refused:
        refused.add(target)
        raise PermissionError(errno.EACCES, "Access is denied", str(target))
    replace(source, target)

os.fsync, os.open, os.replace = windows_fsync, windows_open, windows_replace
for able in (os.supports_dir_fd, os.supports_follow_symlinks):
    able.clear()
for owner, names in (
    (os, "fork O_NOFOLLOW O_DIRECTORY sched_getaffinity killpg mkfifo"),
    (signal, "pthread_sigmask SIGHUP"),
):
    for name in names.split():
        delattr(owner, name)
nonblocking = fcntl.LOCK_EX | fcntl.LOCK_NB
sys.modules["msvcrt"] = types.SimpleNamespace(LK_NBLCK=nonblocking, locking=lambda handle, how, _: flock(handle, how))
sys.modules["fcntl"] = sys.modules["pwd"] = sys.modules["resource"] = None

from clsbench import system
system.WINDOWS, system.LINUX = True, False
from clsbench.cli import app
app(sys.argv[1:])
"""


def test_run_and_resume_as_on_windows(tmp_path: Path) -> None:
    """A run trains, is kept and goes on without forks, signal masks, flags for links, folders to open."""
    config = tmp_path / "config.yaml"
    config.write_text(
        "name: w\ndataset: {name: moons, samples: 60}\nmodel: linear\nloss: [bce, hinge]\n"
        "train: {epochs: 2, seeds: 2, device: cpu, compile: off}\n"
    )

    def windows(*arguments: object) -> None:
        command = [sys.executable, "-c", WINDOWS, "run", *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert 0 == answer.returncode, answer.stderr

    windows("-q", "--output", tmp_path / "runs", config)
    (run,) = (tmp_path / "runs").glob("w/*")
    whole = (run / "metrics.jsonl").read_bytes()
    (run / "summary.json").unlink()
    windows("-q", "--resume", run)
    assert whole == (run / "metrics.jsonl").read_bytes()
