"""Faults of data, from the command line, with MNIST's mirrors on this machine: no network is reached."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import resource
import shutil
import signal
import socket
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torchvision.datasets

from clsbench.data import downloads, vision
from faulting.children import exit_code, forked
from faulting.mirrors import FILES, Answer, Mirror, archives, files, good, serving

Fails = Callable[..., str]
Invoke = Callable[..., Any]
DOWNLOAD = ("download", "mnist", "--data-dir", "data")
RAW = Path("data", "MNIST", "raw")
FIRST = f"{FILES[0]}.gz"


@pytest.fixture
def serve() -> Iterator[Callable[..., None]]:
    """`serve(one, two)`: from now on these are MNIST's mirrors."""
    with ExitStack() as stack:

        def open_all(*mirrors: Mirror) -> None:
            for mirror in mirrors:
                stack.enter_context(mirror.open())
            stack.enter_context(serving(*mirrors))

        yield open_all


def all_are(answer: Answer) -> Mirror:
    return Mirror(dict.fromkeys(archives(), answer))


def kept() -> dict[str, bytes]:
    return {name: (RAW / name).read_bytes() for name in FILES}


@pytest.mark.parametrize("status", [403, 404, 503])
def test_every_mirror_refuses(status: int, here: Path, fails: Fails, serve: Callable[..., None]) -> None:
    """4, with the status, the files and the folder to put them into by hand; nothing is left there."""
    serve(all_are(Answer(b"no", status)), all_are(Answer(b"no", status)))
    line = fails(4, *DOWNLOAD)
    for text in (*FILES, f"missing in {RAW}", f"HTTP Error {status}", "put good copies there, unpacked or as"):
        assert text in line
    assert {".MNIST.lock"} >= set(os.listdir("data"))


@pytest.mark.parametrize(
    "bad",
    [
        Answer(b"another file"),
        Answer(b"<!doctype html><title>403</title>"),
        Answer(archives()[FIRST][:99]),
        Answer(archives()[FIRST][:99], promised=len(archives()[FIRST])),
        Answer(archives()[FIRST], stall_after=99),
        Answer(archives()[FIRST], stall_after=0),
        Answer(b"", 503),
    ],
    ids=["wrong hash", "html", "short", "cut off", "stalled in the body", "stalled before it", "unavailable"],
)
def test_first_mirror_serves_it_badly(
    bad: Answer, here: Path, invoke: Invoke, serve: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second mirror is used."""
    monkeypatch.setattr(downloads, "SECONDS_OF_SILENCE", 2.0)
    one, two = good(), good()
    one.answers[FIRST] = bad
    serve(one, two)
    answer = invoke(*DOWNLOAD)
    assert (0, "") == (answer.exit_code, answer.stderr)
    assert files() == kept()
    assert f"/{FIRST}" in two.asked


@pytest.mark.parametrize("silent", [{"stall_after": 99}, {"stall_after": 0}, None], ids=["body", "headers", "nothing"])
def test_every_mirror_stalls(
    silent: dict[str, int] | None,
    here: Path,
    fails: Fails,
    serve: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where nobody goes on sending, or nobody begins to, it is 4 and no waiting without end."""
    monkeypatch.setattr(downloads, "SECONDS_OF_SILENCE", 0.2)
    mirrors = [all_are(Answer(archives()[FIRST], **(silent or {}))) for _ in range(2)]
    for mirror in mirrors:
        mirror.seconds_an_answer = 0.0 if silent else 60.0
    serve(*mirrors)
    assert "timed out" in fails(4, *DOWNLOAD)
    assert all(mirror.asked for mirror in mirrors)
    assert {".MNIST.lock"} >= set(os.listdir("data"))


def killed_at(number: int, work: Callable[[], object]) -> Callable[[], object]:
    """`work`, killed by -9 at the n-th file that is opened, moved, made or removed, or address connected to."""
    kinds = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "socket.connect", "socket.bind"}

    def counted() -> None:
        seen = 0

        def hook(event: str, arguments: Any) -> None:
            nonlocal seen
            if event in kinds:
                seen += 1
                if seen == number:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)
        work()

    return counted


def test_kill_9_in_a_download(here: Path, invoke: Invoke, serve: Callable[..., None]) -> None:
    """Killed at any moment of downloading, unpacking or moving into place, the next run repairs it."""
    serve(good())
    vision.fetch("mnist", "warm")  # what is imported on the way is imported before the forks
    killed = 0
    for number in range(1, 400, 9):
        shutil.rmtree("data", ignore_errors=True)
        code = exit_code(forked(killed_at(number, lambda: vision.fetch("mnist", "data"))))
        assert code in (0, -signal.SIGKILL)
        assert 0 == invoke(*DOWNLOAD).exit_code, number
        assert files() == kept(), number
        if code == 0:
            break
        killed += 1
    assert killed > 5


@pytest.mark.parametrize("damage", [lambda data: data[:500], lambda data: data[:-1] + bytes([data[-1] ^ 1])])
def test_damaged_cache(
    damage: Callable[[bytes], bytes], here: Path, invoke: Invoke, fails: Fails, serve: Callable[..., None]
) -> None:
    """A cached file that was cut or flipped is fetched again; with the mirrors gone a run is 4 and names it."""
    mirror = good()
    serve(mirror)
    assert 0 == invoke(*DOWNLOAD).exit_code
    for _ in range(2):
        (RAW / FILES[0]).write_bytes(damage((RAW / FILES[0]).read_bytes()))
        assert 0 == invoke(*DOWNLOAD).exit_code
        assert files() == kept()
    mirror.answers.clear()
    (RAW / FILES[0]).write_bytes(damage((RAW / FILES[0]).read_bytes()))
    line = fails(4, "run", "tiny.yaml", "dataset={name: mnist, data_dir: data}")
    assert f"MNIST: {FILES[0]} " in line
    assert f" in {RAW.absolute()}, and downloading failed" in line
    assert not Path("runs").exists()


@pytest.mark.parametrize("by_hand", [False, True], ids=["served", "laid by hand"])
def test_gzip_bomb(by_hand: bool, here: Path, capfd: pytest.CaptureFixture[str], serve: Callable[..., None]) -> None:
    """A gigabyte packed into a megabyte is not unpacked, from wherever it comes: 4, in bounded memory."""
    packed = gzip.compress(bytes(2**20)) * 1024  # its members are unpacked one after the other
    serve(all_are(Answer(packed)))
    if by_hand:
        RAW.mkdir(parents=True)
        for name in archives():
            (RAW / name).write_bytes(packed)

    def download() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**24, 2**24))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(downloads.DataError, match=r"corrupted|is not the original archive"):
            vision.fetch("mnist", "data")
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024  # kilobytes

    assert 0 == exit_code(forked(download)), capfd.readouterr().err


def _member(name: str, **facts: Any) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    for key, value in facts.items():
        setattr(member, key, value)
    return member


@pytest.mark.parametrize(
    "member",
    [
        _member("../../outside", size=4),
        _member("{here}/outside", size=4),
        _member("cifar-10-batches-py", type=tarfile.SYMTYPE, linkname="../../.."),
        _member("cifar-10-batches-py/data_batch_1", type=tarfile.SYMTYPE, linkname="{here}/secret"),
        _member("cifar-10-batches-py/data_batch_1", type=tarfile.LNKTYPE, linkname="../secret"),
    ],
    ids=["dots", "absolute", "folder a link", "file a link", "hard link"],
)
def test_archive_that_reaches_outside(
    member: tarfile.TarInfo, here: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even an archive with the right hash writes nothing outside its folder and leaves no link: 4."""
    Path("secret").write_text("mine")
    member.name, member.linkname = (text.format(here=here) for text in (member.name, member.linkname))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.addfile(member, io.BytesIO(b"evil") if member.size else None)
        archive.addfile(_member("cifar-10-batches-py/data_batch_2", size=4), io.BytesIO(b"evil"))
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "tgz_md5", hashlib.md5(packed.getvalue()).hexdigest())
    Path("data").mkdir()
    Path("data", torchvision.datasets.CIFAR10.filename).write_bytes(packed.getvalue())
    monkeypatch.setattr(socket.socket, "connect", _refuse)
    assert "CIFAR10: " in fails(4, "download", "cifar10", "--data-dir", "data")
    assert {"data", "secret", "tiny.yaml"} == set(os.listdir(here))
    assert {torchvision.datasets.CIFAR10.filename, ".CIFAR10.lock"} >= set(os.listdir("data"))
    assert "mine" == Path("secret").read_text()


def _refuse(*_: Any, **__: Any) -> Any:
    raise OSError("no network")


def test_offline_with_cached_data(
    here: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, serve: Callable[..., None]
) -> None:
    """With the files there a run is complete, and makes no socket at all."""
    serve(good())
    assert 0 == invoke(*DOWNLOAD).exit_code
    monkeypatch.setattr(socket, "socket", _refuse)
    answer = invoke("run", "tiny.yaml", "dataset={name: mnist, data_dir: data}", "train.epochs=1")
    assert 0 == answer.exit_code, answer.output


def test_fifo_among_the_files_of_a_dataset(here: Path, fails: Fails, serve: Callable[..., None]) -> None:
    """It is named at once, and neither read nor replaced."""
    serve(all_are(Answer(b"no", 404)))
    RAW.mkdir(parents=True)
    os.mkfifo(RAW / FILES[0])
    line = fails(4, "run", "tiny.yaml", "dataset={name: mnist, data_dir: data}")
    assert f"{RAW / FILES[0]}: it is a FIFO, not a file" in line
    assert (RAW / FILES[0]).is_fifo()


def test_data_that_overflow_are_told_with_dataset_and_column(here: Path, fails: Fails) -> None:
    """Finite in the file, infinite in training: 4, before any loss could be blamed for it."""
    Path("big.csv").write_text("\n".join(["x,big,kind", *(f"{n},{n % 3}e39,{'ab'[n % 2]}" for n in range(30))]))
    line = fails(4, "run", "tiny.yaml", "dataset={name: csv, label: mine, path: big.csv, normalize: none}")
    assert "dataset mine: column 'big' has " in line
