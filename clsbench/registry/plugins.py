"""Code of the user's own: files that register, and installed entry points."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
import traceback
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType

from clsbench.containment import contained
from clsbench.errors import ConfigError, RegistrationError
from clsbench.registry.catalogue import catalogue
from clsbench.signatures import described
from clsbench.sources import require_regular


def load_plugin(path: Path, content: bytes | None = None) -> None:
    """Run a Python file of the user's, so that what it decorates is registered.

    Args:
        content: what the file held in the process that read it, which may have been another machine's.

    Raises:
        ConfigError: the file does not exist, or it fails.
    """
    if content is None:
        _require_readable(path)
    name = f"clsbench_plugin_{path.stem}"
    loader = _LoadedOnce(name, str(path), content)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look it up there
    try:
        with contained():
            loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise _broken(path, error) from error
    catalogue.plugins[str(path.resolve())] = loader.get_data(loader.path)


def _require_readable(path: Path) -> None:
    try:
        require_regular(path)
    except FileNotFoundError:
        raise ConfigError(f"plugin {path}: no such file; give a Python file") from None
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or error
        raise ConfigError(f"plugin {path}: cannot be read: {what}; give a Python file") from None


class _LoadedOnce(SourceFileLoader):
    """Reads a file once: it may change meanwhile, and no cached bytecode counts."""

    def __init__(self, name: str, path: str, content: bytes | None) -> None:
        super().__init__(name, path)
        self._content = content

    def get_data(self, path: str) -> bytes:
        if self._content is None:
            self._content = super().get_data(path)
        return self._content

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _broken(path: Path, error: BaseException) -> ConfigError:
    what = str(error) if isinstance(error, RegistrationError) else f"{described(error)}; correct the file"
    return ConfigError(f"plugin {path}{_line_in(path, error)}: {what}")


def _line_in(path: Path, error: BaseException) -> str:
    """`:LINE` of the file that an error came by, where that is known."""
    if isinstance(error, SyntaxError):
        return f":{error.lineno}" if error.filename == str(path) else ""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f":{lines[-1]}" if lines else ""


def load_installed_plugins() -> None:
    """Load every plugin that installed packages declare as an entry point of the group `clsbench`.

    Raises:
        ConfigError: one of them fails.
    """
    for entry_point in importlib.metadata.entry_points(group="clsbench"):
        try:
            with contained():
                entry_point.load()
        except (Exception, SystemExit) as error:
            raise ConfigError(f"plugin {entry_point.name!r}: {described(error)}; correct or uninstall it") from error
