"""What a command needs of its surroundings: a working directory, file descriptors, a place for temporary files."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from clsbench.errors import ConfigError


def require_working_directory() -> None:
    """Refuse to work in a folder that was deleted: no relative path leads anywhere, and PyTorch ends the process.

    Raises:
        ConfigError: it is gone.
    """
    try:
        os.getcwd()
    except OSError as error:
        what = (error.strerror or str(error)).lower()
        raise ConfigError(f"the working directory cannot be used: {what}; change to one that exists") from None


def silence_libraries() -> None:
    """Keep the remarks of libraries on their caches off stderr: they do not concern users of clsbench."""
    import logging

    logging.getLogger("matplotlib").setLevel(logging.ERROR)


def lack(error: BaseException) -> str | None:
    """What the environment lacks, if that caused the error; else None."""
    for each in _chain(error):
        if isinstance(each, OSError) and each.errno in (errno.EMFILE, errno.ENFILE):
            return f"{(each.strerror or str(each)).lower()}; raise the limit, as by `ulimit -n 1024`"
        if isinstance(each, FileNotFoundError) and "No usable temporary directory" in str(each):
            return "no folder for temporary files can be written; set TMPDIR to one"
        if _is_of_memory(each):
            return "there is not enough memory; close other programs, or raise the limit, as by `ulimit -v unlimited`"
    return None


def _is_of_memory(error: BaseException) -> bool:
    """Whether memory is missing: for an array, for a new process, or for a library that is to be loaded."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, MemoryError) or (isinstance(error, ImportError) and "failed to map segment" in str(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
