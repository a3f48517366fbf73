"""Config files: their encoding, and those that cannot be read."""

from __future__ import annotations

from pathlib import Path

import pytest

import clsbench.experiment  # noqa: F401 - registers all that there is
from clsbench.config.reader import read_file
from clsbench.errors import ConfigError


def test_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    """A UTF-8 BOM is no part of the first key."""
    path = tmp_path / "a.yaml"
    path.write_bytes("\ufeffname: bom\n".encode())
    assert "bom" == read_file(path, ()).name


def test_file_that_is_no_utf8_is_refused_in_place(tmp_path: Path) -> None:
    """Latin-1 is told with the line and the column of its first foreign byte, counted in characters."""
    path = tmp_path / "a.yaml"
    path.write_bytes("name: a\nloss: {name: focal, label: é".encode() + b"\xe9}\n")
    with pytest.raises(ConfigError, match=r"a\.yaml:2:29: not UTF-8 text; save it as UTF-8"):
        read_file(path, ())


def test_missing_file_gets_the_nearest_name(tmp_path: Path) -> None:
    """A misspelt file is answered with the one beside it, a lost one with how to get one."""
    with pytest.raises(ConfigError, match="no such file; `clsbench init` writes one to start from"):
        read_file(tmp_path / "zzzzzzzz.yaml", ())
    with pytest.raises(ConfigError, match="no such file; clsbench brings one called 'moons'"):
        read_file(tmp_path / "moons.yaml", ())
    (tmp_path / "moons.yaml").touch()
    with pytest.raises(ConfigError, match=r"mons\.yaml: no such file; did you mean '.*/moons\.yaml'\?"):
        read_file(tmp_path / "mons.yaml", ())


def test_file_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory, a name with NUL and a file without permission are refused, each with the reason."""
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_file(tmp_path, ())
    with pytest.raises(ConfigError, match="cannot be read: embedded null byte"):
        read_file(tmp_path / "a\0b", ())

    def denied(path: Path, most: int) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("clsbench.config.reader.read_bounded", denied)
    with pytest.raises(ConfigError, match="cannot be read: Permission denied; give a YAML file"):
        read_file(tmp_path / "a.yaml", ())
