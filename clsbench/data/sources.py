"""Opening data files: only regular files, read up to the length that they had when they were opened."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from clsbench.errors import DataError
from clsbench.sources import NotRegular, open_regular

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file, or a link to one, for reading; never blocks.

    Raises:
        OSError: as `open`, for a folder too.
        DataError: it is a FIFO, a device or a socket.
    """
    try:
        file = open_regular(path)
    except NotRegular as error:
        raise DataError(f"{path}: {error.strerror}, not a file; give a file") from None
    with file:
        yield file


@contextmanager
def steady(path: Path) -> Iterator[BinaryIO]:
    """As `opened`, to be read once from the start up to the length that the file had when it was opened.

    Raises:
        OSError, DataError: as `opened`; DataError also if the file changes before the end of the `with` block.
    """
    with opened(path) as file:
        before = os.fstat(file.fileno())
        yield io.BufferedReader(_Extent(file, before.st_size))
        after = os.fstat(file.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise DataError(f"{path}: the file changed while it was read; wait until it is complete")


class _Extent(io.RawIOBase):
    """The first `size` bytes of a file."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file = file
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        content = self._file.read(min(self._left, memoryview(buffer).nbytes))
        self._left -= len(content)
        memoryview(buffer).cast("B")[: len(content)] = content
        return len(content)
