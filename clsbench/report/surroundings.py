"""What a command needs of its surroundings: a working directory, file descriptors, a place for temporary files."""

from __future__ import annotations

import errno
import logging
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
    logging.getLogger("matplotlib").setLevel(logging.ERROR)


def lack(error: BaseException) -> str | None:
    """What the environment lacks, if that caused the error; else None."""
    for each in _chain(error):
        if isinstance(each, OSError) and each.errno in (errno.EMFILE, errno.ENFILE):
            return f"{(each.strerror or str(each)).lower()}; raise the limit, as by `ulimit -n 1024`"
        if isinstance(each, FileNotFoundError) and "No usable temporary directory" in str(each):
            return "no folder for temporary files can be written; set TMPDIR to one"
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
