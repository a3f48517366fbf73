"""The configs that clsbench brings: found by name, in a checkout and in an installed package."""

from __future__ import annotations

import os.path
from pathlib import Path

from clsbench.registry import nearest

SUFFIX = ".yaml"


def shipped() -> dict[str, Path]:
    """The files of the shipped configs by name: `moons`, `papers/nielsen`."""
    package = Path(__file__).parents[1]
    places = [package / "configs"]  # a wheel has them inside
    if (package.parent / "pyproject.toml").is_file():
        places.append(package.parent / "configs")
    folder = next((place for place in places if place.is_dir()), None)
    files = [] if folder is None else sorted(folder.rglob(f"*{SUFFIX}"), key=lambda path: (len(path.parts), path))
    return {path.relative_to(folder or path).with_suffix("").as_posix(): path for path in files}


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
    return text.replace(f"clsbench run configs/{name}{SUFFIX}", f"clsbench run {file}")
