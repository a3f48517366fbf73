"""The folder in which compiled graphs are kept between runs: private, bounded, without files that were cut off."""

from __future__ import annotations

import logging
import os
import shutil
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cache
from importlib import import_module
from pathlib import Path

import torch

from clsbench import system

log = logging.getLogger("clsbench")

CACHE = "TORCHINDUCTOR_CACHE_DIR"  # what PyTorch reads; its own default is a folder that others may write to
LIBRARIES = "steps"  # the folder in it of what is loaded without the compiler
# A graph takes one or two MiB. Beyond this size the oldest files go, down to half of it.
MOST_BYTES = 512 << 20
# Graphs of other versions go when they have not been used for so long.
SECONDS_UNUSED = 30 * 86_400


@contextmanager
def kept_in_cache() -> Iterator[Path]:
    """In this block PyTorch keeps graphs in clsbench's folder, unless the user named one; their own are elsewhere.

    Where there is no such folder, or it is not safe, it keeps them in a temporary one, removed after the block.
    """
    before = os.environ.get(CACHE)
    if before is not None and before != _default():
        _remove_torn(Path(before))
        yield Path(before)
        return
    kept = cache_folder()
    with nullcontext(kept) if kept else _passing_folder() as folder:
        os.environ[CACHE] = str(folder)
        try:
            yield Path(folder)
        finally:
            del os.environ[CACHE]
            if before is not None:
                os.environ[CACHE] = before


@contextmanager
def kept_library(name: str, compile: Callable[[Path], None]) -> Iterator[Path]:
    """The file of a library that PyTorch compiled, until the end of this block; `compile` writes it if there is none.

    One process compiles, and others that want the same library wait for it.
    """
    with kept_in_cache() as kept:
        folder = kept / LIBRARIES
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with nullcontext(folder) if system.only_owner_writes(folder) else _passing_folder() as safe:
            path = Path(safe) / f"{name}.so"
            with _locked(path.parent / "locks" / f"{name}.lock", waits=True):
                if path.exists() and _is_whole(path):
                    os.utime(path)
                else:
                    compile(path)
            yield path


def _default() -> str | None:
    """The folder that importing the compiler names as PyTorch's own; None as long as it is not imported."""
    compiler = sys.modules.get("torch._inductor.runtime.cache_dir_utils")
    return None if compiler is None else str(compiler.default_cache_dir())


def _passing_folder() -> AbstractContextManager[str]:
    return tempfile.TemporaryDirectory(prefix="clsbench-graphs-", ignore_cleanup_errors=True)


@cache
def cache_folder() -> Path | None:
    """The folder of compiled graphs, of this version of PyTorch and of clsbench: code, which only the user may write.

    It is in the user's cache directory; None where it cannot be written, or is not safe.
    """
    import platformdirs

    own = import_module("clsbench").__version__  # not an import of this room: the package names all rooms
    versions = f"torch-{torch.__version__}_clsbench-{own}"
    try:
        folder = Path(platformdirs.user_cache_dir("clsbench")) / "graphs" / versions
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not system.only_owner_writes(folder):
            log.warning("%s may be written by others: compiled graphs are not kept; chmod it to 700", folder)
            return None
        tempfile.TemporaryDirectory(dir=folder).cleanup()  # else compiling would be what finds that nothing can
    except (OSError, RuntimeError) as error:
        log.warning("compiled graphs are not kept: %s", error)
        return None
    for tidy in (_remove_unused, _remove_oldest, _remove_torn):
        with suppress(OSError):  # other processes make and remove files meanwhile
            tidy(folder)
    return folder


def _remove_unused(folder: Path) -> None:
    """Remove the folders of other versions that have not been used for long."""
    for other in folder.parent.iterdir():
        if other != folder and time.time() - other.stat().st_mtime > SECONDS_UNUSED:
            shutil.rmtree(other, ignore_errors=True)


def _remove_oldest(folder: Path) -> None:
    """Remove the oldest files of a folder that has grown too large; PyTorch makes what it misses again."""
    files = [(path.stat(), path) for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]
    total = sum(about.st_size for about, _ in files)
    if total <= MOST_BYTES:
        return
    for about, path in sorted(files, key=lambda each: each[0].st_mtime):
        path.unlink(missing_ok=True)
        total -= about.st_size
        if total <= MOST_BYTES // 2:
            return


def _remove_torn(folder: Path) -> None:
    """Remove libraries that a killed compiler left unfinished: loading one would end this process by SIGBUS."""
    if not system.LINUX:
        return
    for path in folder.glob("??/c*.so"):  # as the compiler names them
        with suppress(OSError):  # another process has removed it, or compiles it now
            if not _is_whole(path):
                with _locked(folder / "locks" / f"{path.name.partition('.')[0]}.lock"):
                    path.unlink()


def _is_whole(library: Path) -> bool:
    """Whether a library is as long as its header says: the table of its sections is its end."""
    with library.open("rb") as file:
        header = file.read(64)
    if len(header) < 64 or not header.startswith(b"\x7fELF"):
        return False
    start: int = struct.unpack_from("<Q", header, 40)[0]
    size, number = struct.unpack_from("<HH", header, 58)
    end: int = start + size * number
    return 0 < end <= library.stat().st_size


@contextmanager
def _locked(path: Path, *, waits: bool = False) -> Iterator[None]:
    """In this block no other process compiles what the lock is for.

    Raises:
        BlockingIOError: one does, and this one does not wait.
    """
    import fcntl

    path.parent.mkdir(exist_ok=True)
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | (0 if waits else fcntl.LOCK_NB))
        yield
