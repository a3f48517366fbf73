"""Image files to arrays: decoded side by side, and kept in the user's cache directory.

What is kept is found by the content of each file, so a changed, moved or renamed file is never taken for another. Files
appear by rename, carry sums, and are left out when damaged; the oldest go when there are more than `KEPT_BYTES`.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from clsbench.data import images
from clsbench.data.images import Pixels
from clsbench.data.progress import told
from clsbench.data.sources import opened
from clsbench.system import cores, replace

KEPT_BYTES = 2 << 30
DIGEST = 32
# Files that a thread takes at once: few, so that progress is seen, but more than one, for small files.
AT_ONCE = 16

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Decoded:
    """Images as arrays.

    Attributes:
        digests: `[N, DIGEST]`, the hash of each file's content.
        coloured: `[N]`, whether each file has colours.
        deep: `[N]`, whether each file has more than 8 bits for a value.
        pixels: `[N, size, size, C]`, from 0 to 255. C is 1 if no file has colours, else 3; uint8 if none is deep, else
            float32.
    """

    digests: Bytes
    coloured: npt.NDArray[np.bool_]
    deep: npt.NDArray[np.bool_]
    pixels: Pixels

    def row(self, number: int) -> Pixels:
        """One image as `images.square` gave it."""
        pixels = self.pixels[number] if self.coloured[number] else self.pixels[number, :, :, 0]
        return pixels.astype(np.float32 if self.deep[number] else np.uint8, copy=False)


def decoded(paths: Sequence[str], size: int, folder: str) -> tuple[Pixels, dict[int, str]]:
    """The images of these files, `[N, size, size, C]` as in `Decoded`, and why some cannot be read, by number.

    If some cannot be read, the array is empty. `folder`, where they are from, names what is kept of them.
    """
    place = _place(folder, size)
    kept = None if place is None else _kept(place, size)
    known = {} if kept is None else {digest.tobytes(): row for row, digest in enumerate(kept.digests)}
    digests, rows, faults = _read(paths, size, known)
    if faults:
        return np.empty((0, size, size, 1), np.uint8), faults
    if kept is not None and b"".join(digests) == kept.digests.tobytes():
        return kept.pixels, {}
    found = _together(
        digests, [kept.row(each) if kept is not None and isinstance(each, int) else each for each in rows]
    )
    if place is not None:
        _keep(place, found)
    return found.pixels, {}


def _read(
    paths: Sequence[str], size: int, known: dict[bytes, int]
) -> tuple[list[bytes], list[Pixels | int], dict[int, str]]:
    """The hash of each file, its pixels or the row that they are `known` by, and the faults by number."""
    digests: list[bytes] = []
    rows: list[Pixels | int] = []
    faults: dict[int, str] = {}
    for digest, row in _each(paths, size, known):
        if isinstance(row, str):
            faults[len(rows)] = row
            row = -1
        digests.append(digest)
        rows.append(row)
        told(f"reading {len(rows)} of {len(paths)} images")
    return digests, rows, faults


def _each(paths: Sequence[str], size: int, known: dict[bytes, int]) -> Iterator[tuple[bytes, Pixels | int | str]]:
    chunks = [paths[start : start + AT_ONCE] for start in range(0, len(paths), AT_ONCE)]
    # Pillow and hashlib release the interpreter's lock, so that processes gain nothing over threads.
    pool = ThreadPoolExecutor(cores())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow, about odd metadata
        try:
            for done in pool.map(partial(_chunk, size=size, known=known), chunks):
                yield from done
        finally:
            pool.shutdown(cancel_futures=True)


def _chunk(paths: Sequence[str], size: int, known: dict[bytes, int]) -> list[tuple[bytes, Pixels | int | str]]:
    return [_one(path, size, known) for path in paths]


def _one(path: str, size: int, known: dict[bytes, int]) -> tuple[bytes, Pixels | int | str]:
    try:
        content = images.content_of(path)
        digest = hashlib.blake2b(content, digest_size=DIGEST).digest()
        row = known.get(digest)
        return digest, images.square(content, Path(path).suffix, size) if row is None else row
    except ValueError as error:
        return b"", str(error)


def _together(digests: Sequence[bytes], rows: Sequence[Any]) -> Decoded:
    coloured = np.array([row.ndim == 3 for row in rows])
    deep = np.array([row.dtype == np.float32 for row in rows])
    size = len(rows[0])
    pixels = np.empty((len(rows), size, size, 3 if coloured.any() else 1), np.float32 if deep.any() else np.uint8)
    for place, row in zip(pixels, rows, strict=True):
        place[...] = row if row.ndim == 3 else row[:, :, None]
    return Decoded(np.frombuffer(b"".join(digests), np.uint8).reshape(-1, DIGEST), coloured, deep, pixels)


def _place(folder: str, size: int) -> Path | None:
    """The file that keeps the images of a folder; None if the user has no cache directory."""
    import platformdirs

    name = f"{images.decoder()} {size} {os.path.realpath(folder)}"
    try:
        cache = Path(platformdirs.user_cache_dir("clsbench")) / "images"
    except RuntimeError:
        return None
    return cache / f"{hashlib.sha256(os.fsencode(name)).hexdigest()}.npz"


def _kept(place: Path, size: int) -> Decoded | None:
    """What is kept in a file; None if there is none, or it is damaged."""
    try:
        with opened(place) as file, np.load(file, allow_pickle=False) as parts:
            kept = Decoded(**{name: parts[name] for name in ("digests", "coloured", "deep", "pixels")})
        os.utime(place)
    # Damage shows in many ways: in the sums of the archive, its names, its sizes.
    except Exception:
        return None
    number, *shape = kept.pixels.shape
    fits = kept.digests.shape == (number, DIGEST) and shape in ([size, size, 1], [size, size, 3])
    return kept if fits and len(kept.coloured) == len(kept.deep) == number else None


def _keep(place: Path, found: Decoded) -> None:
    """Keep what was decoded, if there is room for it."""
    if found.pixels.nbytes > KEPT_BYTES:
        return
    written = None
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, written = tempfile.mkstemp(dir=place.parent)
        with open(handle, "wb") as file:
            np.savez(file, digests=found.digests, coloured=found.coloured, deep=found.deep, pixels=found.pixels)
        replace(Path(written), place)
        written = None
        _bound(place.parent)
    except OSError:
        pass  # a full disk, or a folder that must not be written: the next run decodes again
    finally:
        if written is not None:
            with suppress(OSError):
                os.unlink(written)


def _bound(cache: Path) -> None:
    """Remove what was not used for longest, until `KEPT_BYTES` are left at most."""
    files = sorted(((each.stat().st_mtime, each) for each in cache.iterdir()), reverse=True)
    left = KEPT_BYTES
    for _, each in files:
        left -= each.stat().st_size
        if left < 0:
            each.unlink(missing_ok=True)
