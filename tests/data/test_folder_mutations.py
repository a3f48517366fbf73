"""Folders of images in any state: read as they were written, or refused by name; never read wrongly."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from clsbench.data.folders import image_folder
from clsbench.data.raw import RawData, as_raw
from clsbench.errors import DataError
from tests.data.orientation import mark, stored

# How each kind of file is written: its suffix, its mode, the error of a level that is allowed, and options.
KINDS = {
    "png": (".png", "RGB", 1, {}),
    "grey png": (".png", "L", 1, {}),
    "palette": (".png", "P", 1, {}),
    "deep": (".png", "I;16", 1, {}),
    "float": (".tif", "F", 1, {}),
    "cmyk": (".tif", "CMYK", 2, {}),
    "clear": (".png", "RGBA", 1, {}),
    "jpeg": (".jpg", "RGB", 12, {"quality": 95}),
    "cmyk jpeg": (".jpeg", "CMYK", 12, {"quality": 95}),
    "gif": (".GIF", "L", 1, {}),
    "bmp": (".bmp", "RGB", 1, {}),
    "webp": (".webp", "RGB", 1, {"lossless": True}),
}
NAMES = ("cat", "Dog", "a b", "été", "x.png", "\udcff\udcfe", "n\nl", "train", "-r")


@dataclass(frozen=True)
class File:
    """An image of four quarters, and what happened to it."""

    kind: str
    quarters: tuple[int, int, int, int]
    orientation: int
    fate: str
    cut: float


files = st.builds(
    File,
    st.sampled_from(sorted(KINDS)),
    st.tuples(*[st.integers(0, 255)] * 4),
    st.integers(1, 8),
    st.sampled_from(["", "", "", "", "", "cut", "renamed", "bare", "text", "hidden", "nested", "linked", "beside"]),
    st.floats(0, 0.999),
)
folders = st.dictionaries(st.sampled_from(NAMES), st.lists(files, max_size=4), min_size=1, max_size=3)


def write(file: File, path: Path) -> Path:
    """Write the image in its format; returns where."""
    suffix, mode, _, options = KINDS[file.kind]
    upright = Image.fromarray(np.kron(np.reshape(file.quarters, (2, 2)), np.ones((16, 16))).astype(np.uint8))
    turned = file.kind in ("png", "jpeg", "webp", "deep") and file.orientation > 1
    grey = stored(upright, file.orientation) if turned else upright
    path = path.with_name(path.name + suffix)
    if mode == "I;16":
        image = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    elif mode == "F":
        image = Image.fromarray(np.asarray(grey).astype(np.float32) / 255)
    elif mode == "CMYK":
        image = grey.convert("RGB").convert("CMYK")
    else:
        image = grey.convert(mode)
    if mode == "RGBA":
        image.putalpha(grey.point(lambda level: 0 if level > 128 else 255))
    image.save(path, **options, **({"exif": mark(file.orientation)} if turned else {}))
    return path


def expected_quarters(file: File) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    levels = np.reshape(file.quarters, (2, 2)).astype(float)
    return np.where(levels > 128, 255.0, levels) if file.kind == "clear" else levels


def suffer(file: File, path: Path, number: int) -> tuple[Path, File] | None:
    """Do to a file what happened to it; returns where it is, and what it must be read as, or None if it is no image."""
    match file.fate:
        case "cut":
            content = path.read_bytes()
            path.write_bytes(content[: int(len(content) * file.cut)])
        case "renamed":
            path = path.rename(path.with_suffix(".jpg" if path.suffix != ".jpg" else ".png"))
        case "bare":
            path = path.rename(path.with_suffix(""))
            if file.kind in ("float", "cmyk"):  # TIFF is known by its name alone
                return None
        case "text":
            path.write_text("not an image")
        case "hidden":
            path.rename(path.with_name(f".{path.name}"))
            return None
        case "nested":
            (path.parent / "deep" / str(number)).mkdir(parents=True)
            path = path.rename(path.parent / "deep" / str(number) / path.name)
        case "linked":
            path.with_name(f"z{path.name}").symlink_to(path)
            (path.parent / f"loop{number}").symlink_to(path.parent.parent)
        case "beside":
            path.with_name(f"{number}.txt").write_text("a note")
    return path, file


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache directory of the test's own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(folder / name))


def read(root: Path) -> tuple[RawData | None, str]:
    try:
        return as_raw(image_folder(0, path=str(root), image_size=8)), ""
    except DataError as error:
        return None, str(error)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(folders)
def test_any_folder_is_read_rightly_or_refused(tmp_path: Path, classes: dict[str, list[File]]) -> None:
    """Labels and pixels are those written; what cannot be read is refused with the folder and a damaged file's name."""
    root = tmp_path / "root"
    shutil.rmtree(root, ignore_errors=True)
    images: dict[str, dict[Path, File]] = {}
    for name, members in classes.items():
        (root / name).mkdir(parents=True)
        done = [suffer(file, write(file, root / name / str(number)), number) for number, file in enumerate(members)]
        images[name] = dict(sorted((each for each in done if each is not None), key=lambda each: each[0]))
    damaged = {path: file for each in images.values() for path, file in each.items() if file.fate in ("cut", "text")}
    raw, refusal = read(root)
    if raw is None:
        wanting = len(images) < 2 or not all(images.values())
        named = any(str(path.relative_to(root)) in refusal for path in damaged)
        assert (True, True) == (str(root) in refusal, wanting or named), refusal
        return
    listed = [(number, file) for number, name in enumerate(sorted(images)) for file in images[name].values()]
    assert [] == [path for path, file in damaged.items() if file.fate == "text"]
    assert [number for number, _ in listed] == raw.labels.tolist()
    for (_, file), pixels in zip(listed, raw.features, strict=True):
        for channel in pixels[:, ::7, ::7]:
            np.testing.assert_allclose(channel, expected_quarters(file), atol=KINDS[file.kind][2], err_msg=str(file))
