"""torchvision's files on disk: checked, and downloaded if they are missing or damaged.

If the files are valid, nothing is written, locked or connected to, so a read-only folder and a machine without
network work. A download goes to a temporary folder and is moved into place once it is complete: a process killed
before that leaves nothing that a later one could mistake for data.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import socket
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import partialmethod
from pathlib import Path, PurePosixPath
from typing import Any

from clsbench.data.idx import idx_fault, idx_shape
from clsbench.data.sources import opened
from clsbench.errors import DataError
from clsbench.system import replace

MANIFEST = "clsbench.sha256"
ARCHIVES = (".gz", ".zip")
SECONDS_OF_SILENCE = 5.0


@dataclass(frozen=True)
class Source:
    """A dataset class of torchvision, and the files under the root that it reads.

    Attributes:
        dataset: the name of the class in `torchvision.datasets`.
        folder: where the files lie, relative to the root.
        files: their names; IDX files are listed in pairs, images before labels.
        options: arguments of the class besides `root`, `train` and `download`.
        classes: names of the classes, where the files do not hold them: of IDX files.
    """

    dataset: str
    folder: str
    files: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    classes: tuple[str, ...] = ()

    @property
    def is_idx(self) -> bool:
        """Whether the files are IDX files, MNIST's; the others are CIFAR's pickles."""
        return self.files[0].endswith("-ubyte")

    def load(self) -> Any:
        """The class; imported here because importing torchvision takes over a second."""
        import torchvision.datasets

        return getattr(torchvision.datasets, self.dataset)


def default_root() -> Path:
    """The default of `data_dir`: a folder in the user's cache directory.

    Raises:
        DataError: the user has no home directory, as in some containers.
    """
    import platformdirs

    try:
        return Path(platformdirs.user_cache_dir("clsbench")) / "data"
    except RuntimeError as error:
        raise DataError(f"no cache directory is known: {error}; or give data_dir") from error


def ensure(source: Source, root: Path, *, progress: bool = False) -> None:
    """Make sure that every file of `source` is under `root`, downloading it if necessary.

    If several processes call this, one downloads and the others wait for it. With `progress`, torchvision draws
    its progress bar on stderr; nothing is written to stdout.

    Raises:
        DataError: files are missing or damaged and cannot be downloaded; the message names them and their folder.
    """
    if not _faults(source, root):
        return
    from filelock import FileLock

    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / f".{source.dataset}.lock"):
            faults = _faults(source, root)
            failure = _download(source, root, progress) if faults else None
            if failure is None:
                return
    except OSError as error:
        faults, failure = _faults(source, root), str(error)
    raise DataError(
        f"{source.dataset}: {_described(faults)} in {root / source.folder}, and downloading failed ({failure}); "
        "put good copies there, unpacked or as the original archives"
    )


def _download(source: Source, root: Path, progress: bool) -> str | None:
    """Download all files of `source`; None, or the reasons why that failed."""
    staging = root / f".{source.dataset}.download"
    # A killed process may leave truncated files, which torchvision would not check.
    shutil.rmtree(staging, ignore_errors=True)
    try:
        reasons = _copy_archives(source.load(), root, staging)
        for dataset in _by_first_mirror(source.load()):
            try:
                with _silence_bounded(), _quiet(progress), _unpacked_inside():
                    dataset(root=staging, download=True, **source.options)
            # A server can fail in many ways: HTTP, TLS, gzip, tar, a short read.
            except Exception as error:
                reasons.append(" ".join(str(error).split()) or type(error).__name__)
                # torchvision names its mirrors if it has tried all: not after a timeout, nor in 0.25 after a bad file.
                if all(mirror in reasons[-1] for mirror in getattr(dataset, "mirrors", ())):
                    break
            else:
                if faults := _faults(source, staging):
                    return _described(faults)
                _publish(staging / source.folder, root / source.folder)
                return None
        return ", ".join(reasons)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _by_first_mirror(dataset: Any) -> list[Any]:
    """The class once for each of its mirrors, which it tries first."""
    if hasattr(dataset, "url"):
        return [dataset]
    turns = [dataset.mirrors[i:] + dataset.mirrors[:i] for i in range(len(dataset.mirrors))]
    # torchvision names the folder after the class.
    return [type(dataset.__name__, (dataset,), {"mirrors": mirrors}) for mirrors in turns]


def _copy_archives(dataset: Any, root: Path, staging: Path) -> list[str]:
    """Copy archives that a user placed under `root` for torchvision; returns the faults of those that are damaged."""
    from torchvision.datasets.utils import check_integrity

    wrong = []
    for path, md5 in _archives(dataset):
        if check_integrity(root / path, md5):
            (staging / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / path, staging / path)
        elif (root / path).exists():
            wrong.append(f"{path} is not the original archive: its MD5 is not {md5}")
    return wrong


def _archives(dataset: Any) -> list[tuple[str, str]]:
    """Path under the root and MD5 of each archive."""
    name = dataset.__name__
    if hasattr(dataset, "tgz_md5"):
        return [(dataset.filename, dataset.tgz_md5)]
    if hasattr(dataset, "url"):
        return [(f"{name}/raw/{dataset.url.rpartition('/')[2]}", dataset.md5)]
    return [(f"{name}/raw/{file}", md5) for file, md5 in dataset.resources]


def _publish(fetched: Path, folder: Path) -> None:
    """Move downloaded files into place, each atomically, and write a list of their hashes."""
    folder.mkdir(parents=True, exist_ok=True)
    files = sorted(path for path in fetched.iterdir() if path.is_file() and path.suffix not in ARCHIVES)
    (fetched / MANIFEST).write_text("".join(f"{_sha256(path)}  {path.name}\n" for path in files))
    for path in (*files, fetched / MANIFEST):
        replace(path, folder / path.name)


def _faults(source: Source, root: Path) -> dict[str, str]:
    """The fault of each damaged file of `source`, by its name; empty if all are valid."""
    folder = root / source.folder
    hashes = _manifest(folder)
    faults = {}
    for name in source.files:
        try:
            path = folder / name
            with opened(path):
                pass  # a FIFO or a device is refused here
            fault = idx_fault(path) or _sha256_fault(path, hashes) if source.is_idx else _md5_fault(source, path)
            if fault:
                faults[name] = fault
        except FileNotFoundError:
            faults[name] = "missing"
        except OSError as error:
            faults[name] = f"cannot be read ({error.strerror})"
    if source.is_idx and not faults:
        for images, labels in zip(source.files[::2], source.files[1::2], strict=True):
            num_images, num_labels = idx_shape(folder / images)[0], idx_shape(folder / labels)[0]
            if num_images != num_labels:
                faults[labels] = f"holds {num_labels} labels for {num_images} images"
    return faults


def _sha256_fault(path: Path, hashes: Mapping[str, str]) -> str | None:
    if path.name in hashes and hashes[path.name] != _sha256(path):
        return f"differs from the downloaded file, according to {MANIFEST}"
    return None


def _md5_fault(source: Source, path: Path) -> str | None:
    from torchvision.datasets.utils import check_md5

    dataset = source.load()
    known = dict(dataset.train_list + dataset.test_list) | {dataset.meta["filename"]: dataset.meta["md5"]}
    return None if check_md5(path, known[path.name]) else "damaged (its MD5 is not torchvision's)"


def _manifest(folder: Path) -> dict[str, str]:
    try:
        with opened(folder / MANIFEST) as file:
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return {}
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _described(faults: Mapping[str, str]) -> str:
    names_of = {fault: [name for name in faults if faults[name] == fault] for fault in faults.values()}
    return ", ".join(f"{', '.join(names)} {fault}" for fault, names in names_of.items())


@contextmanager
def _silence_bounded() -> Iterator[None]:
    # torchvision sets no timeout: without this a server that stalls would block the run forever.
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SECONDS_OF_SILENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


@contextmanager
def _unpacked_inside() -> Iterator[None]:
    # torchvision passes no filter, and before Python 3.14 an archive can then write outside its folder.
    inside: Any
    if hasattr(tarfile, "data_filter"):
        name, inside = "extraction_filter", staticmethod(tarfile.data_filter)
    else:  # Python before 3.11.4
        name, inside = "extractall", partialmethod(_extracted_inside, tarfile.TarFile.extractall)
    before = vars(tarfile.TarFile)[name]
    setattr(tarfile.TarFile, name, inside)
    try:
        yield
    finally:
        setattr(tarfile.TarFile, name, before)


def _extracted_inside(archive: tarfile.TarFile, extract: Callable[..., None], *where: Any, **how: Any) -> None:
    for member in archive:
        name = PurePosixPath(member.name)
        if name.is_absolute() or ".." in name.parts or not (member.isfile() or member.isdir()):
            raise tarfile.ExtractError(f"{member.name!r} would be written outside, or is a link")
    extract(archive, *where, **how)


@contextmanager
def _quiet(progress: bool) -> Iterator[None]:
    # torchvision draws some bars on stdout, which is for results.
    bar = sys.stderr if progress else io.StringIO()
    with redirect_stdout(bar), redirect_stderr(bar):
        yield
