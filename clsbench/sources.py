"""Files that users name: only regular files are read, up to a maximum size."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

# Opening a FIFO without a writer would block, and a terminal would become the controlling terminal.
_FLAGS = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_BINARY", "O_NONBLOCK", "O_NOCTTY"))
_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


class NotRegular(OSError):
    """A FIFO, a device or a socket: reading it may never begin or never end."""


def require_regular(path: Path) -> None:
    """Refuse whatever cannot be read from start to end.

    Raises:
        NotRegular: it is a FIFO, a device or a socket.
        OSError: it cannot be looked at.
    """
    _require_regular(os.stat(path))


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file, or a link to one, for reading; never blocks.

    Raises:
        NotRegular: it is a FIFO, a device or a socket.
        OSError: as `open`, for a folder too.
    """
    handle = os.open(path, _FLAGS)
    try:
        _require_regular(os.fstat(handle))
        return open(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_bounded(path: Path, most: int) -> bytes:
    """The content of a regular file of at most `most` bytes.

    Raises:
        NotRegular: it is a FIFO, a device or a socket.
        OSError: it cannot be read, or is longer.
    """
    require_regular(path)  # merely to open a device may act on it
    with open_regular(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"longer than {most:,} bytes")
    return content


def _require_regular(found: os.stat_result) -> None:
    kind = stat.S_IFMT(found.st_mode)
    if kind == stat.S_IFDIR:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if kind != stat.S_IFREG:
        raise NotRegular(errno.EINVAL, f"it is {_KINDS.get(kind, 'a special file')}")
