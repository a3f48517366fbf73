"""A tiny MNIST, and a stand-in for the network that serves it."""

from __future__ import annotations

import gzip
import socket
import sys
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np

from clsbench.data import downloads, vision

FILES = vision.SOURCES["mnist"].files
IMAGES, LABELS = FILES[0], FILES[1]


def idx(array: np.ndarray[Any, Any]) -> bytes:
    axes = b"".join(n.to_bytes(4, "big") for n in array.shape)
    return b"\0\0\x08" + bytes([array.ndim]) + axes + array.astype(np.uint8).tobytes()


def tiny(seed: int = 0, classes: int = 10) -> dict[str, bytes]:
    """The four files of an MNIST of 20 and 10 images."""
    rng = np.random.default_rng(seed)
    files = {}
    for (images, labels), n in zip((FILES[:2], FILES[2:]), (20, 10), strict=True):
        files[images] = idx(rng.integers(0, 256, (n, 28, 28)))
        files[labels] = idx(np.arange(n) % classes)
    return files


def lay(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


class Mirrors:
    """Stands in for the network: what each address serves, bytes or an exception; every request is noted."""

    def __init__(self) -> None:
        self.served: dict[str, bytes | Exception] = {}
        self.asked: list[str] = []

    def retrieve(self, url: str, filename: str, chunk_size: int = 0) -> None:
        assert socket.getdefaulttimeout() == downloads.SECONDS_OF_SILENCE
        self.asked.append(url)
        sys.stdout.write("torchvision talks\n")
        body = self.served.get(url, URLError("HTTP Error 404: Not Found"))
        if isinstance(body, Exception):
            raise body
        Path(filename).write_bytes(body)


ARCHIVES = {f"{name}.gz": gzip.compress(data, mtime=0) for name, data in tiny().items()}
