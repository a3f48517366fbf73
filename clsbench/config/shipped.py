"""The configs that clsbench brings: found by name, in a checkout and in an installed package."""

from __future__ import annotations

import os.path
import re
from pathlib import Path

from clsbench.registry import nearest

SUFFIX = ".yaml"
SCHEMA = "experiment.schema.json"  # beside the shipped configs: what `clsbench schema` prints
MODELINE = re.compile(r"(?<=^# yaml-language-server: \$schema=)\S+$", re.MULTILINE)  # read by editors


def folder() -> Path | None:
    """The folder of the shipped configs; None where a package came without."""
    package = Path(__file__).parents[1]
    places = [package / "configs"]  # a wheel has them inside
    if (package.parent / "pyproject.toml").is_file():
        places.append(package.parent / "configs")
    return next((place for place in places if place.is_dir()), None)


def shipped() -> dict[str, Path]:
    """The files of the shipped configs by name: `moons`, `papers/nielsen`."""
    top = folder()
    files = [] if top is None else sorted(top.rglob(f"*{SUFFIX}"), key=lambda path: (len(path.parts), path))
    return {path.relative_to(top or path).with_suffix("").as_posix(): path for path in files}


def located(config: Path) -> Path:
    """The file that a config's name stands for: a file of that name, with or without `.yaml`, before a shipped one."""
    # Unlike those of Path, these never raise for a name that no file can have.
    if os.path.exists(config) or config.suffix or config.is_absolute():
        return config
    own = config.with_name(f"{config.name}{SUFFIX}")
    return own if os.path.exists(own) else shipped().get(config.as_posix(), config)


def nearest_shipped(name: str) -> str | None:
    """The name of a shipped config that is close to one, with or without folder and suffix."""
    known = shipped()
    plain = Path(name).with_suffix("").name
    return plain if plain in known else nearest(plain, known)


def title_of(path: Path) -> str:
    """The first line of a config's heading."""
    return path.read_text(encoding="utf-8").partition("\n")[0].lstrip("# ")


def copy_of(name: str, path: Path, file: Path) -> str:
    """The text of a shipped config for a file of the user's; its heading runs that file."""
    text = path.read_text(encoding="utf-8")
    return _with_schema(text.replace(f"clsbench run configs/{name}{SUFFIX}", f"clsbench run {file}"))


def starter() -> str:
    """The text of a config to start from."""
    return _with_schema(Path(__file__).with_name("starter.yaml").read_text(encoding="utf-8"))


def _with_schema(text: str) -> str:
    """The text with the place of the schema in full, which an editor finds from any folder."""
    top = folder()
    return text if top is None else MODELINE.sub((top / SCHEMA).absolute().as_uri(), text)
