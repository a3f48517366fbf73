"""Paths in a config: relative to the folder of its file; in overrides, relative to the working directory.

The experiment holds absolute paths, so that its run can be resumed and its config run again from anywhere.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path as FilePath
from typing import Any, TypeVar

from clsbench.config.entries import Entry
from clsbench.config.values import Several
from clsbench.config.wording import Mistake
from clsbench.config.yaml_text import Path, is_text, shown
from clsbench.registry import Spec

FolderOf = Callable[[Path], FilePath]
AnyEntry = TypeVar("AnyEntry", bound=Entry)


def working_directory(path: Path) -> FilePath:
    """The folder for paths that come from no file."""
    return FilePath()


def with_full_paths(entry: AnyEntry, spec: Spec, at: Path, folder_of: FolderOf, mistakes: list[Mistake]) -> AnyEntry:
    """The entry with its relative paths joined to their folder, and `~` replaced by the home folder."""
    full: dict[str, Any] = {}
    for option in _path_options(spec):
        value, where = getattr(entry, option), (*at, option)
        if isinstance(value, str):
            full[option] = _in_full(value, where, folder_of, mistakes)
        elif isinstance(value, Several):
            full[option] = Several(_in_full(each, where, folder_of, mistakes) for each in value)
    return entry.model_copy(update=full) if full else entry


def _in_full(value: Any, where: Path, folder_of: FolderOf, mistakes: list[Mistake]) -> Any:
    if not isinstance(value, str):
        return value
    try:
        full = str((folder_of(where) / os.path.expanduser(value)).absolute())
    except OSError:
        mistakes.append((where, f"{shown(value)} is relative to a working directory that is gone; give it in full"))
        return value
    if not is_text(full):
        mistakes.append((where, f"{shown(full)} is not UTF-8, so no config can hold it; rename the folder"))
    return full


@functools.cache
def _path_options(spec: Spec) -> tuple[str, ...]:
    return tuple(option.name for option in spec.options.values() if option.is_path)
