"""Folders of images: what was written is read, whatever its format, and every fault is told with its file."""

from __future__ import annotations

import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from clsbench.config.reader import read_mapping
from clsbench.data import decoding
from clsbench.data.folders import image_folder
from clsbench.data.progress import told_to
from clsbench.data.raw import RawData, as_raw
from clsbench.errors import DataError
from clsbench.problems import posed_by
from tests.data.orientation import mark, stored

COLOURS = {"cat": 60, "dog": 180}


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache directory of the test's own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(folder / name))
    return folder / "clsbench" / "images"


def picture(level: int, mode: str = "RGB") -> Image.Image:
    return Image.new("L", (12, 8), level).convert(mode)


def save(image: Image.Image, path: Path, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Two images of each of two classes."""
    for name, level in COLOURS.items():
        for number in range(2):
            save(picture(level + number), tmp_path / "pets" / name / f"{number}.png")
    return tmp_path / "pets"


def opened(folder: Path, size: int = 4) -> RawData:
    return as_raw(image_folder(0, path=str(folder), image_size=size))


def levels(raw: RawData) -> list[list[float]]:
    """The first pixel of each image, by channel."""
    return [[round(float(value), 3) for value in image[:, 0, 0]] for image in raw.features]


def left_out(raw: RawData) -> list[tuple[str, str]]:
    return list(raw.warnings)


def test_classes_are_the_folders_and_images_become_squares(pets: Path) -> None:
    """Folders in sorted order are the classes; colour images of any size become RGB squares; the source is the path."""
    raw = opened(pets)
    assert (4, 3, 4, 4) == raw.features.shape
    assert ("uint8", 255.0, str(pets)) == (str(raw.features.dtype), raw.full_scale, raw.source)
    assert ([0, 0, 1, 1], ("cat", "dog"), ()) == (raw.labels.tolist(), raw.class_names, raw.warnings)
    assert [[60] * 3, [61] * 3, [180] * 3, [181] * 3] == levels(raw)


def test_one_channel_is_kept_where_all_have_one(pets: Path) -> None:
    """Grey images stay grey; one with colours makes all RGB; before that no shape is known."""
    for file in pets.rglob("*.png"):
        Image.open(file).convert("L").save(file)
    assert [[60], [61], [180], [181]] == levels(opened(pets))
    save(picture(7), pets / "cat" / "0.png")
    assert [[7] * 3, [61] * 3, [180] * 3, [181] * 3] == levels(opened(pets))
    known = posed_by("image_folder", {"path": str(pets), "image_size": 4})
    assert (None, False) == (known.shape, known.own_test)


@pytest.mark.parametrize(
    ("folders", "own_test"),
    [
        (["train", "test"], True),
        (["Training", "val", "Testing", ".thumbs", "__MACOSX"], True),
        (["train", "val"], False),
        (["cat", "dog"], False),
        (["train", "test", "bus"], None),  # which may be classes
        ([], None),
    ],
)
def test_a_test_set_is_known_by_the_names_of_folders(folders: list[str], own_test: bool | None, tmp_path: Path) -> None:
    """Before any image is opened, so that the split of its own is not drawn; where names do not tell, it is open."""
    for name in folders:
        (tmp_path / "pets" / name).mkdir(parents=True)
    assert own_test is posed_by("image_folder", {"path": str(tmp_path / "pets"), "image_size": 4}).own_test
    read = read_mapping({"dataset": {"name": "image_folder", "path": str(tmp_path / "pets")}, "model": "linear"})
    assert (0 if own_test else "per_seed") == read.dataset[0].split_seed
    assert (None if own_test else 0.2) == read.dataset[0].test_fraction


def deep(mode: str, value: float) -> Image.Image:
    dtype = {"I;16": np.uint16, "I;16B": ">u2", "I": np.int32, "F": np.float32}[mode]
    return Image.fromarray(np.full((8, 12), value, dtype))


@pytest.mark.parametrize(
    ("image", "name", "expected"),
    [
        (Image.new("1", (9, 9), 1), "a.png", [255]),
        (Image.new("L", (9, 9), 77), "a.gif", [77]),
        (Image.new("LA", (9, 9), (100, 128)), "a.png", [177]),
        (Image.new("RGBA", (9, 9), (200, 100, 0, 0)), "a.png", [255, 255, 255]),
        (Image.new("RGBA", (9, 9), (200, 100, 0, 51)), "a.webp", [244, 224, 204]),
        (Image.new("CMYK", (9, 9), (55, 155, 255, 0)), "a.tif", [200, 100, 0]),
        (Image.new("RGB", (9, 9), (200, 100, 0)).convert("P", palette=Image.Palette.ADAPTIVE), "a.png", [200, 100, 0]),
        (Image.new("YCbCr", (9, 9), (90, 128, 128)), "a.jpg", [90, 90, 90]),
        (deep("I;16", 13107), "a.png", [51]),
        (deep("I;16", 13107), "a.tif", [51]),
        (deep("I", 2**31 - 1), "a.tif", [255]),
        (deep("F", 0.2), "a.tif", [51]),
    ],
    ids=lambda value: f"{value.mode}" if isinstance(value, Image.Image) else str(value),
)
def test_every_mode_has_its_full_range(image: Image.Image, name: str, expected: list[int], tmp_path: Path) -> None:
    """A level is read as its share of what its mode can hold; what is transparent is white as far as it is."""
    lossless = {"lossless": True, "exact": True} if name.endswith("webp") else {}
    for kind in COLOURS:
        save(image, tmp_path / kind / name, **lossless)
    assert [pytest.approx(expected, abs=0.51)] * 2 == levels(opened(tmp_path))


def test_sixteen_bits_keep_their_differences(tmp_path: Path) -> None:
    """Greys of 16 bits that differ by less than one of 256 levels differ still, in every format."""
    for number, name in enumerate(("a.png", "b.pgm", "c.tif")):
        save(deep("I;16", 40_000 + number), tmp_path / "cat" / name)
    save(deep("I;16B", 1), tmp_path / "dog" / "a.tif")
    expected = [(40_000 + number) / 257 for number in range(3)] + [1 / 257]
    np.testing.assert_allclose(opened(tmp_path).features[:, 0, 0, 0], expected, rtol=1e-6)


def test_grey_that_stands_for_transparent_is_white(tmp_path: Path) -> None:
    """A level of a 16-bit PNG, or a colour of a palette, that is marked as transparent is white."""
    save(deep("I;16", 500), tmp_path / "cat" / "a.png", transparency=500)
    save(picture(9, "P"), tmp_path / "cat" / "b.png", transparency=9)
    save(picture(9, "L"), tmp_path / "dog" / "a.png", transparency=9)
    assert [[255]] * 3 == levels(opened(tmp_path))


@pytest.mark.parametrize(("value", "shown"), [(200.0, "from 200 to 200"), (-0.5, "from -0.5"), (np.nan, "nan")])
def test_floats_without_a_known_range_are_refused(value: float, shown: str, pets: Path) -> None:
    """Floats are pixels within 0 and 1; others are refused with their range."""
    save(deep("F", value), pets / "dog" / "x.tif")
    with pytest.raises(DataError, match=rf"dog/x\.tif \(its values are .*{shown}.* from 0 to 1\)"):
        opened(pets)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
def test_images_are_turned_upright(orientation: int, name: str, tmp_path: Path) -> None:
    """Each of the eight orientation marks gives the image that was upright."""
    upright = Image.fromarray(np.kron([[10, 80], [160, 240]], np.ones((16, 16))).astype(np.uint8))
    for kind in COLOURS:
        save(stored(upright, orientation), tmp_path / kind / name, exif=mark(orientation))
    np.testing.assert_allclose(opened(tmp_path, 8).features[0, 0, ::7, ::7], [[10, 80], [160, 240]], atol=4)


def test_photographs_look_like_those_decoded_in_full(tmp_path: Path) -> None:
    """A large JPEG is decoded at a fraction of its size, and the result is that of decoding it in full."""
    y, x = np.mgrid[:600, :900]
    smooth = np.stack([127 + 120 * np.sin(x / 90), 127 + 120 * np.cos(y / 70), (x + y) / 6], -1).astype(np.uint8)
    for kind in COLOURS:
        save(Image.fromarray(smooth), tmp_path / kind / "a.jpg", quality=95)
    full = Image.open(tmp_path / "cat" / "a.jpg").resize((32, 32), Image.Resampling.BILINEAR)
    difference = np.abs(opened(tmp_path, 32).features[0].transpose(1, 2, 0).astype(int) - np.asarray(full))
    assert (True, True) == (difference.mean() < 2, difference.max() < 16)


def test_animation_is_its_first_frame(pets: Path) -> None:
    """Of several frames or pages the first counts."""
    for name in ("a.gif", "b.tif", "c.png", "d.webp"):
        save(picture(20), pets / "cat" / name, save_all=True, append_images=[picture(220), picture(250)])
    assert [[60] * 3, [61] * 3, *[pytest.approx([20] * 3, abs=3)] * 4] == levels(opened(pets))[:6]


def test_what_is_no_image_is_left_out_and_counted(pets: Path) -> None:
    """Hidden files and folders, what systems leave behind, and other files are counted by kind; images are not."""
    for name in (".ipynb_checkpoints", "__MACOSX", "cat/.cache"):
        save(picture(1), pets / name / "1.png")
    for name in (".DS_Store", "README.md", "cat/Thumbs.db", "cat/1.xml", "cat/2.XML", "dog/notes", "dog/._1.png"):
        (pets / name).write_bytes(b"\0\5text")
    save(picture(9), pets / "dog" / "deep" / "er" / "9.gif")
    save(picture(8), pets / "dog" / "without_suffix", format="JPEG")
    raw = opened(pets)
    assert [60, 61, 180, 181, 9, 8] == [level[0] for level in levels(raw)]
    (code, text), *more = raw.warnings
    assert ("left-out-files", []) == (code, more)
    assert (
        "10 files or folders are left out: 5 hidden, 2 .xml, 1 .md beside the folders, 1 .db and 1 without a suffix"
        == text
    )


def test_each_file_is_read_once(pets: Path, tmp_path: Path) -> None:
    """Links are followed, but not in circles, and a file that is found again is left out and counted."""
    save(picture(30), tmp_path / "elsewhere" / "x.png")
    (pets / "cat" / "linked").symlink_to(tmp_path / "elsewhere")
    (pets / "cat" / "2.png").symlink_to(tmp_path / "elsewhere" / "x.png")
    (pets / "cat" / "again").symlink_to(tmp_path / "elsewhere")
    (pets / "cat" / "3.png").hardlink_to(pets / "cat" / "1.png")
    for name in ("up", "cat/up", "cat/linked/up"):
        (pets / name).symlink_to(pets)
    (pets / "dog" / "self").symlink_to(pets / "dog")
    raw = opened(pets)
    assert [0] * 3 + [1] * 2 == raw.labels.tolist()
    assert [30, 60, 61, 180, 181] == sorted(level[0] for level in levels(raw))
    assert "second names of an image" in raw.warnings[0][1]
    assert "links that lead back" in raw.warnings[0][1]


def test_file_in_two_classes_is_refused(pets: Path) -> None:
    """A file that two classes hold has no single label."""
    (pets / "dog" / "x.png").symlink_to(pets / "cat" / "1.png")
    with pytest.raises(DataError, match=r"cat/1\.png and .*dog/x\.png are the same file; a sample has one class"):
        opened(pets)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda content: b"", "empty"),
        (lambda content: b"<html>404</html>", "not an image"),
        (lambda content: content[:45], ""),
        (lambda content: bomb(60_000, 50_000), "more than 178,956,970 pixels"),
        (lambda content: bomb(15_000, 12_000), "more than 178,956,970 pixels"),
    ],
    ids=["empty", "html", "cut short", "bomb", "bomb that Pillow warns of"],
)
def test_damaged_image_is_named(damage: Callable[[bytes], bytes], why: str, pets: Path) -> None:
    """A file that is no whole image, or too large, is named with the reason."""
    file = pets / "dog" / "1.png"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(
        DataError, match=rf"pets: 1 of the 4 images cannot be read: dog/1\.png \(.*{why}.*\); repair or"
    ):
        opened(pets)


def bomb(width: int, height: int) -> bytes:
    """The start of a PNG file that says it is this large."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    data = zlib.compress(bytes(100))
    blocks = [(b"IHDR", header), (b"IDAT", data), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in blocks
    ]
    assert chunk in b"".join(chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_all_damaged_images_are_named_at_once(pets: Path) -> None:
    """The first ten are named, and all are counted."""
    for number in range(13):
        (pets / "dog" / f"b{number:02}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(40))
    os.mkfifo(pets / "cat" / "a.png")
    (pets / "cat" / "b.png").symlink_to("nowhere")
    with pytest.raises(DataError, match="15 of the 19 images cannot be read") as error:
        opened(pets)
    assert "cat/a.png (it is a FIFO, not a file), cat/b.png (No such file or directory), dog/b00.png" in str(
        error.value
    )
    assert "dog/b07.png (not an image) and 5 more; repair or remove them" in str(error.value)


@pytest.mark.parametrize(("train", "val", "test"), [("train", "val", "test"), ("Training", "validation", "Testing")])
def test_splits_are_used_as_they_are(train: str, val: str, test: str, tmp_path: Path) -> None:
    """Folders train, val and test with the same classes are the splits; a class may lack in val or test."""
    for split, level in ((train, 10), (val, 20), (test, 30)):
        for number, kind in enumerate(COLOURS):
            save(picture(level + number), tmp_path / split / kind / "1.png")
    shutil.rmtree(tmp_path / val / "cat")
    raw = opened(tmp_path)
    assert ("cat", "dog") == raw.class_names
    assert ([0, 1], [1], [0, 1]) == tuple(
        list(each) for each in (raw.labels, raw.val_labels, raw.test_labels) if each is not None
    )
    parts = [raw.features, raw.val_features, raw.test_features]
    assert [[10, 11], [21], [30, 31]] == [[int(x[0, 0, 0]) for x in part] for part in parts if part is not None]


def grown(folder: Path, *names: str) -> None:
    for number, name in enumerate(names):
        save(picture(number), folder / name)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("train/1.png", "test/1.png"), "train: there is no folder in it; give a folder that holds a folder of images"),
        (("test/a/1.png", "val/a/1.png"), "there is no 'train'"),
        (("train/a/1.png", "valid/a/1.png", "val/a/1.png"), "'val' and 'valid' are names of the same split"),
        (("train/a/1.png", "test/a/1.png", "more/1.png"), "'more' is beside them; move it"),
        (("train/a/1.png", "train/b/1.png", "test/c/1.png"), r"test/c: .*train has no such class"),
        (("train/a/1.png", "train/b/1.png", "test/a/x.txt"), r"test: there is no image in it"),
        (("a/1.png", "b/x.txt"), "b: there is no image in it; fill it or remove it"),
        (("Cat/1.png", "cat/1.png", "dog/1.png"), "the classes 'Cat' and 'cat' look the same"),
        (("pets/a/1.png", "pets/b/1.png"), "it holds one folder, 'pets'; give a folder that holds one for each"),
        (("1.png",), "there is no folder in it; give a folder that holds a folder of images"),
    ],
)
def test_folders_that_are_no_classes_are_refused(names: tuple[str, ...], message: str, tmp_path: Path) -> None:
    """What is neither classes nor splits with the same classes is told as such, with its place."""
    for name in names:
        path = save(picture(1), tmp_path / "x" / Path(name).with_suffix(".png"))
        if name.endswith(".txt"):
            path.unlink()
            path.with_suffix(".txt").write_text("text")
    with pytest.raises(DataError, match=message):
        opened(tmp_path / "x")


def test_photographs_of_trains_are_a_class(tmp_path: Path) -> None:
    """A folder with the name of a split is a class, unless the folders beside it are splits as well."""
    grown(tmp_path, "train/1.png", "car/1.png")
    assert ("car", "train") == opened(tmp_path).class_names


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_path_that_is_no_folder_is_refused(kind: str, tmp_path: Path) -> None:
    """A path that leads to nothing, or to a file, is told as such."""
    (tmp_path / "file").write_text("text")
    with pytest.raises(DataError, match=r"there is no such folder|this is not a folder"):
        opened(tmp_path / kind)


def test_second_reading_decodes_nothing(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was decoded once is kept; one new image is the only one to be decoded; another size is another matter."""
    first = opened(pets)
    square, sizes = decoding.images.square, []
    monkeypatch.setattr(decoding.images, "square", lambda *given: sizes.append(given[-1]) or square(*given))
    again = opened(pets)
    np.testing.assert_array_equal(first.features, again.features)
    save(picture(200, "L"), pets / "dog" / "9.png")
    save(deep("I;16", 257), pets / "cat" / "9.png")
    assert [60, 61, 1, 180, 181, 200] == [level[0] for level in levels(opened(pets))]
    assert [60, 61, 1, 180, 181, 200] == [level[0] for level in levels(opened(pets))]
    opened(pets, 5)
    assert [4, 4, *[5] * 6] == sizes


def test_changed_content_is_seen(pets: Path) -> None:
    """A file of the same name, size and time, but of other content, is decoded anew; a moved one keeps its class."""
    opened(pets)
    file = pets / "cat" / "0.png"
    before = file.stat()
    file.write_bytes((pets / "dog" / "0.png").read_bytes())
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    (pets / "cat" / "1.png").rename(pets / "dog" / "00.png")
    raw = opened(pets)
    assert ([0, 1, 1, 1], [180, 180, 61, 181]) == (raw.labels.tolist(), [level[0] for level in levels(raw)])


def test_damaged_cache_is_not_used(pets: Path, cache: Path) -> None:
    """Whatever byte of what is kept was changed or cut, the images are those of the files."""
    expected = levels(opened(pets))
    (kept,) = cache.iterdir()
    content = kept.read_bytes()
    for place in range(0, len(content), 7):
        kept.write_bytes(content[:place] + bytes([content[place] ^ 0x41]) + content[place + 1 :])
        assert expected == levels(opened(pets))
    kept.write_bytes(content[: len(content) // 2])
    assert expected == levels(opened(pets))


def test_cache_serves_several_at_once_and_stays_small(pets: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs side by side leave whole files, and the oldest are removed when there is too much."""
    sizes = [4, 5, 6] * 4
    with ThreadPoolExecutor(4) as pool:
        shapes = list(pool.map(lambda size: opened(pets, size).features.shape[2], sizes))
    assert (sizes, 3) == (shapes, len(list(cache.iterdir())))
    largest = max(file.stat().st_size for file in cache.iterdir())
    monkeypatch.setattr(decoding, "KEPT_BYTES", 2 * largest)
    opened(pets, 3)
    total = sum(file.stat().st_size for file in cache.iterdir())
    assert (True, True) == (0 < total <= 2 * largest, len(list(cache.iterdir())) >= 1)


def test_no_cache_is_no_obstacle(pets: Path, cache: Path) -> None:
    """Where nothing can be kept, images are decoded each time."""
    cache.parent.parent.mkdir(exist_ok=True)
    cache.parent.write_text("a file is in the way")
    assert levels(opened(pets)) == levels(opened(pets))


def test_reading_says_how_far_it_is(pets: Path) -> None:
    """Progress is reported for each image."""
    texts: list[str] = []
    with told_to(texts.append):
        opened(pets)
    opened(pets)
    assert ("reading 1 of 4 images", "reading 4 of 4 images", 4) == (texts[0], texts[-1], len(texts))


def test_run_on_people_s_folder(
    pets: Path, tmp_path: Path, invoke: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Class names of any bytes, splits and left-out files come through a run, into its summary and its report."""
    for split in ("train", "val", "test"):
        for number, kind in enumerate((b"caf\xe9", b"b\n")):
            for each in range(3):
                save(
                    picture(90 * number + each + len(split)), tmp_path / "x" / split / os.fsdecode(kind) / f"{each}.png"
                )
    (tmp_path / "x" / "train" / "b\n" / "list.csv").write_text("a,b")
    config = {
        "dataset": {"name": "image_folder", "path": str(tmp_path / "x"), "image_size": 2},
        "model": "linear",
        "loss": "cross_entropy",
        "train": {"epochs": 1, "seeds": 1},
    }
    (tmp_path / "a.yaml").write_text(json.dumps({"name": "x", **config}))
    monkeypatch.setattr("clsbench.report.progress.SECONDS_BETWEEN_LINES", 0)
    answer = invoke("run", tmp_path / "a.yaml", "--output", tmp_path / "runs", "--json")
    assert 0 == answer.exit_code, answer.output
    assert "reading 18 of 18 images" in answer.stderr
    summary = json.loads(answer.stdout)
    (read,) = summary["data"].values()
    assert [("b\n", 3, 3, 3), ("caf\\udce9", 3, 3, 3)] == [
        (each["name"], each["train"], each["val"], each["test"]) for each in read["classes"]
    ]
    assert ["1 file or folder is left out: 1 .csv"] == [
        each["text"] for each in summary["warnings"] if each["code"] == "left-out-files"
    ]
