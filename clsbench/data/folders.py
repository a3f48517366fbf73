"""Folders of images: a folder for each class, or `train`, `val` and `test` with the same classes inside."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Interval

from clsbench.data.raw import RawData
from clsbench.errors import DataError
from clsbench.problems import Posed
from clsbench.registry import PathOption, dataset
from clsbench.text import in_utf8, listed

SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
# What systems and programs leave beside people's files, apart from names that begin with a dot.
NOT_PEOPLES = frozenset({"__macosx", "@eadir", "$recycle.bin", "lost+found", "system volume information"})
MAX_NAMED = 10
MAX_KINDS = 6
LONGEST_SUFFIX = 10
MOST_LISTED = 1000  # of what is in a folder, before it is opened

Identity = tuple[int, int]


@dataclass
class _Found:
    """What is in a folder of images.

    Attributes:
        images: the paths of the image files, by split and class.
        left_out: how many files and folders are left out, by kind.
        seen: the path of each file found so far, and its class.
        above: the folder of images and all around it, which a link inside it may lead to.
    """

    above: frozenset[Identity]
    images: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    seen: dict[Identity, tuple[str, str]] = field(default_factory=dict)


def _poses(*, path: str, **_: Any) -> Posed:
    return Posed(own_test=_has_own_test(path))


def _has_own_test(path: str) -> bool | None:
    """Whether the folders in a folder are splits, with one to test on; None if that is not told by their names."""
    try:
        with os.scandir(os.path.expanduser(path)) as entries:
            names = {entry.name.casefold() for entry in islice(entries, MOST_LISTED) if entry.is_dir()}
    except (OSError, ValueError):
        return None
    splits = {SPLITS.get(name) for name in names - NOT_PEOPLES if not name.startswith(".")}
    if "test" not in splits:
        return False if splits else None
    return True if "train" in splits and None not in splits else None


@dataset("image_folder", poses=_poses, drawn=False, aliases=("ImageFolder",))
def image_folder(seed: int, *, path: PathOption, image_size: Annotated[int, Interval(ge=1, le=10_000)] = 64) -> RawData:
    """A folder of images for each class: `path/cat/1.png`, `path/dog/2.jpg`, as torchvision's ImageFolder has it.

    If the folders are named train, val and test, and each holds a folder for each class, they are the splits. Every
    image becomes a square of `image_size` pixels, whatever its proportions: of one channel if all images are grey,
    else RGB. Files that are not images are left out, with a warning.
    """
    import numpy as np

    from clsbench.data.decoding import decoded

    found = _scanned(path)
    names = sorted(found.images["train"])
    listed = [
        (split, number, file)
        for split, classes in found.images.items()
        for number, name in enumerate(names)
        for file in classes.get(name, ())
    ]
    pixels, faults = decoded([file for _, _, file in listed], image_size, path)
    if faults:
        raise damaged(path, [file for _, _, file in listed], faults)
    pixels = pixels.transpose(0, 3, 1, 2)
    labels = np.array([number for _, number, _ in listed], np.int64)
    own: dict[str, Any] = {}
    for split in found.images.keys() - {"train"}:
        rows = np.array([each == split for each, _, _ in listed])
        own |= {f"{split}_features": pixels[rows], f"{split}_labels": labels[rows]}
    training = np.array([split == "train" for split, _, _ in listed])
    return RawData(
        pixels[training] if own else pixels,
        labels[training],
        len(names),
        # A file name may hold bytes that are not UTF-8.
        tuple(in_utf8(name).decode() for name in names),
        full_scale=255.0,
        source=path,
        warnings=tuple(_warnings(found.left_out)),
        **own,
    )


def images_under(path: str) -> list[str]:
    """The image files in a folder at any depth, sorted, or the one file.

    Raises:
        DataError: there is none, or the folder cannot be listed.
    """
    root = Path(path).expanduser()
    if not root.is_dir():
        return [str(root)]
    files = _images("", str(root), _Found(frozenset()))
    if not files:
        raise DataError(f"{path}: there is no image in it")
    return files


def _scanned(path: str) -> _Found:
    """The images under a folder, by split and class; a folder without splits is all "train".

    Raises:
        DataError: its folders are neither classes nor splits with the same classes, or cannot be listed.
    """
    root = Path(path).expanduser()
    if not os.path.isdir(root):  # unlike Path's, never raises
        what = "this is not a folder" if os.path.exists(root) else "there is no such folder"
        raise DataError(f"{path}: {what}; give a folder that holds a folder of images for each class")
    real = root.resolve()
    found = _Found(frozenset(_identity(each.stat()) for each in (real, *real.parents)))
    folders = _folders(str(root), found)
    splits = _splits(path, folders)
    for split, folder in splits.items() if splits else [("train", str(root))]:
        classes = _folders(folder, found) if splits else folders
        if not classes:
            raise DataError(
                f"{folder}: there is no folder in it; give a folder that holds a folder of images for each class"
            )
        found.images[split] = {name: _images(name, each, found) for name, each in classes.items()}
    _check_classes(path, found, splits)
    return found


def _folders(folder: str, found: _Found) -> dict[str, str]:
    """The folders in a folder, by name; files beside them are left out."""
    folders = {}
    for entry in _entries(folder, found):
        info = _stat(entry)
        if info is None or not stat.S_ISDIR(info.st_mode):
            found.left_out[f"{_kind(entry.name)} beside the folders"] += 1
        elif _identity(info) in found.above:
            found.left_out["links that lead back"] += 1
        else:
            folders[entry.name] = entry.path
    return folders


def _splits(path: str, folders: Mapping[str, str]) -> dict[str, str]:
    """The folders that are splits, in the order train, val, test; empty if the folders are classes."""
    named: dict[str, str] = {}
    for name, folder in folders.items():
        split = SPLITS.get(name.casefold())
        if split in named:
            both = f"{Path(named[split]).name!r} and {name!r}"
            raise DataError(f"{path}: {both} are names of the same split; put their classes together")
        if split is not None:
            named[split] = folder
    if len(named) < 2:
        return {}
    shown = " and ".join(repr(Path(folder).name) for folder in named.values())
    others = [name for name, folder in folders.items() if folder not in named.values()]
    if others:
        inside = [set(_folders(folder, _Found(frozenset()))) for folder in named.values()]
        if not set.intersection(*inside):
            return {}
        raise DataError(
            f"{path}: {shown} hold the same classes, as splits do, and {others[0]!r} is beside them; move it"
        )
    if "train" not in named:
        raise DataError(
            f"{path}: {shown} are splits, and there is no 'train'; add it, or rename them if they are classes"
        )
    return {split: named[split] for split in ("train", "val", "test") if split in named}


def _images(name: str, folder: str, found: _Found) -> list[str]:
    """The image files of class `name` at any depth of `folder`, sorted, each file once."""
    from clsbench.data.images import formats_of, is_image

    files, open_folders, entered = [], [folder], {*found.above, _identity(os.stat(folder))}
    while open_folders:
        for entry in _entries(open_folders.pop(), found):
            info = _stat(entry)
            if info is not None and stat.S_ISDIR(info.st_mode):
                if (identity := _identity(info)) in entered:
                    found.left_out["links that lead back"] += 1
                else:
                    entered.add(identity)
                    open_folders.append(entry.path)
            elif not (is_image(entry.path) if _is_file(info) else formats_of(Path(entry.name).suffix)):
                found.left_out[_kind(entry.name)] += 1
            elif info is None or _is_new(entry.path, name, info, found):
                files.append(entry.path)
    return sorted(files)


def _is_new(path: str, name: str, info: os.stat_result, found: _Found) -> bool:
    """Whether a file has not been found before under another name."""
    first, its_class = found.seen.setdefault(_identity(info), (path, name))
    if its_class != name:
        raise DataError(f"{first} and {path} are the same file; a sample has one class")
    if first != path:
        found.left_out["second names of an image"] += 1
    return first == path


def _check_classes(path: str, found: _Found, splits: Mapping[str, str]) -> None:
    shown: dict[str, str] = {}
    for split, classes in found.images.items():
        for name, files in list(classes.items()):
            where = os.path.join(splits.get(split, path), name)
            if not files and (split == "train" or name not in found.images["train"]):
                raise DataError(f"{where}: there is no image in it; fill it or remove it, since each folder is a class")
            if name not in found.images["train"]:
                raise DataError(f"{where}: {splits['train']} has no such class, so it cannot be learned; add it there")
            alike = unicodedata.normalize("NFKC", name).casefold()
            if shown.setdefault(alike, name) != name:
                raise DataError(f"{path}: the classes {shown[alike]!r} and {name!r} look the same; rename one")
        if not any(classes.values()):
            raise DataError(f"{splits.get(split, path)}: there is no image in it; fill it or remove it")
    if len(found.images["train"]) == 1:
        (name,) = found.images["train"]
        raise DataError(
            f"{path}: it holds one folder, {name!r}; give a folder that holds one for each of two classes or more"
        )


def _entries(folder: str, found: _Found) -> Iterator[os.DirEntry[str]]:
    """What is in a folder, sorted by name, without what is hidden or not people's own."""
    try:
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror}); make it readable, or remove it") from error
    for entry in listed:
        if entry.name.startswith(".") or entry.name.casefold() in NOT_PEOPLES:
            found.left_out["hidden"] += 1
        else:
            yield entry


def _stat(entry: os.DirEntry[str]) -> os.stat_result | None:
    """What a link leads to, or the entry itself; None if it leads nowhere."""
    try:
        return os.stat(entry.path)  # on Windows, that of an entry lacks the identity
    except OSError:
        return None


def _identity(info: os.stat_result) -> Identity:
    return info.st_dev, info.st_ino


def _is_file(info: os.stat_result | None) -> bool:
    return info is not None and stat.S_ISREG(info.st_mode)


def _kind(name: str) -> str:
    suffix = Path(name).suffix.lower()
    return suffix if 1 < len(suffix) <= LONGEST_SUFFIX else "without a suffix"


def _warnings(left_out: Counter[str]) -> Iterator[tuple[str, str]]:
    if left_out:
        kinds = [f"{number} {kind}" for kind, number in left_out.most_common()]
        total = left_out.total()
        yield (
            "left-out-files",
            f"{total} {'files or folders are' if total > 1 else 'file or folder is'} left out: "
            f"{listed(kinds, MAX_KINDS, 'more kinds')}",
        )


def damaged(path: str, files: Sequence[str], faults: Mapping[int, str]) -> DataError:
    """The error for images that cannot be read, by number among the files, each with its fault."""
    root = Path(path).expanduser()
    named = [f"{os.path.relpath(files[number], root)} ({faults[number]})" for number in sorted(faults)]
    return DataError(
        f"{path}: {len(faults)} of the {len(files)} images cannot be read: {listed(named, MAX_NAMED)}; "
        "repair or remove them"
    )
