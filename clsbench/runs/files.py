"""Writing files so that nobody ever reads half of one."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from clsbench.errors import RunError


def write_atomically(path: Path, content: bytes) -> None:
    """Write beside, force to disk, rename into place.

    Raises:
        RunError: it could not be written; `path` is as it was.
    """
    try:
        handle, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(beside, path)
        except BaseException:
            os.unlink(beside)
            raise
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> RunError:
    """The error to raise where a file or folder of a run cannot be written."""
    return RunError(f"{path} cannot be written: {(error.strerror or str(error)).lower()}; free it, or give --output")


def as_json(value: Any) -> str:
    """Strict JSON: NaN and infinities are a bug, never text."""
    return json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def as_json_line(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False) + "\n"
