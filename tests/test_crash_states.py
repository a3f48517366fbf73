"""The model of a disk after a crash, by which `scripts/faults.py crash` makes its states."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from clsbench.runs.files import write_atomically
from faulting.children import exit_code, forked
from faulting.recording import Recording, RecordingDisk, make

OLD, NEW = b"old content\n", b"another content, which is longer\n"
Work = Callable[[Path], None]


@pytest.fixture
def record(tmp_path: Path) -> Callable[[Work], Recording]:
    """`record(work)`: what `work` does to a folder `top` that holds `file`, with the content OLD."""
    start = {"top": None, "top/file": OLD}

    def record(work: Work) -> Recording:
        make(start, tmp_path)

        def work_recorded() -> None:
            disk = RecordingDisk(tmp_path / "top", tmp_path / "log")
            disk.install()
            work(tmp_path / "top")

        assert 0 == exit_code(forked(work_recorded))
        recording = Recording.read(tmp_path / "log", start)
        recording.require_whole(tmp_path / "top")
        return recording

    return record


def contents(recording: Recording, made: int | None = None) -> set[bytes | None]:
    """What `file` holds in many states, after so many calls or any; None where it is not there."""
    states = islice(recording.states(random.Random(0)), 400)
    return {tree.get("top/file") for calls, _, tree in states if made in (None, calls)}


def test_write_that_is_whole_is_whole_in_every_state(record: Callable[[Work], Recording]) -> None:
    """Written beside, forced, renamed, folder forced: a reader finds the old or the new, at the end the new alone."""
    recording = record(lambda top: write_atomically(top / "file", NEW))
    assert {OLD, NEW} == contents(recording)
    assert {NEW} == contents(recording, len(recording.operations))


def in_place(top: Path) -> None:
    (top / "file").write_bytes(NEW)


def without_fsync(top: Path) -> None:
    (top / "beside").write_bytes(NEW)
    os.replace(top / "beside", top / "file")


def by_descriptor(top: Path) -> None:
    folder = os.open(top, os.O_RDONLY)
    handle = os.open("beside", os.O_WRONLY | os.O_CREAT, dir_fd=folder)
    os.write(handle, NEW)
    os.rename("beside", "file", src_dir_fd=folder, dst_dir_fd=folder)


@pytest.mark.parametrize("work", [in_place, without_fsync, by_descriptor])
def test_what_is_not_forced_is_torn_in_some_state(work: Work, record: Callable[[Work], Recording]) -> None:
    """A file that is emptied and written, or renamed unforced, may hold a beginning, zeros or nothing."""
    found = contents(record(work))
    assert {OLD, NEW, b""} <= found
    assert any(content and content != NEW and NEW.startswith(content) for content in found)
    assert any(content and content.endswith(b"\0") for content in found)


@pytest.mark.parametrize("folder_forced", [False, True])
def test_name_is_durable_once_its_folder_is(folder_forced: bool, record: Callable[[Work], Recording]) -> None:
    """A file that was forced to disk may still be gone, until its folder was forced too."""

    def work(top: Path) -> None:
        os.unlink(top / "file")
        handle = os.open(top, os.O_RDONLY)
        os.fsync(handle)
        with open(top / "file", "xb") as file:
            file.write(NEW)
            file.flush()
            os.fsync(file.fileno())
        if folder_forced:
            os.fsync(handle)

    recording = record(work)
    assert ({NEW} if folder_forced else {NEW, None}) == contents(recording, len(recording.operations))


def test_later_write_without_an_earlier_one_follows_zeros(record: Callable[[Work], Recording]) -> None:
    """Of two records appended the second alone may be on the disk, at its place."""

    def work(top: Path) -> None:
        for line in (b"one\n", b"two\n"):
            with open(top / "file", "ab") as file:
                file.write(line)

    assert {OLD + b"one\ntwo\n", OLD + b"\0\0\0\0two\n", OLD + b"one\n", OLD} <= contents(record(work))


def test_missed_call_is_noticed(record: Callable[[Work], Recording]) -> None:
    """A change by a way that is not watched is no recording."""

    def work(top: Path) -> None:
        os.symlink("file", top / "link")

    with pytest.raises(AssertionError, match="link was not recorded"):
        record(work)
