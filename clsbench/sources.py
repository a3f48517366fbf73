"""Files that users name: only regular files are read, up to a maximum size."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


class NotRegular(OSError):
    """A FIFO, a device or a socket: reading it may never begin or never end."""


def require_regular(path: Path) -> None:
    """Refuse whatever cannot be read from start to end.

    Raises:
        NotRegular: it is a FIFO, a device or a socket.
        OSError: it cannot be looked at.
    """
    _require_regular(os.stat(path))


def read_bounded(path: Path, most: int) -> bytes:
    """The content of a regular file of at most `most` bytes.

    Raises:
        NotRegular: it is a FIFO, a device or a socket.
        OSError: it cannot be read, or is longer.
    """
    require_regular(path)  # merely to open a device may act on it
    with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb") as file:
        _require_regular(os.fstat(file.fileno()))
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"longer than {most:,} bytes")
    return content


def _require_regular(found: os.stat_result) -> None:
    kinds = {stat.S_IFIFO: "a FIFO", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}
    kind = stat.S_IFMT(found.st_mode)
    if kind == stat.S_IFDIR:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if kind != stat.S_IFREG:
        raise NotRegular(errno.EINVAL, f"it is {kinds.get(kind, 'not a regular file')}")
