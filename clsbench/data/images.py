"""An image file as a square of pixels: upright, opaque, each value by the full range of the file's mode."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL
from PIL import Image, UnidentifiedImageError, features

from clsbench.data.sources import opened
from clsbench.errors import DataError

# To be raised when the same file gives other pixels than before.
VERSION = 1
FULL_SCALE = 255.0
MAX_PIXELS = 178_956_970  # where Pillow, too, refuses an image
MAX_BYTES = 1 << 30

# Recognised by their first bytes under any name.
ANYWHERE = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
# Recognised by their first bytes in a file that is named like an image. Raw photographs are TIFF files, too.
IN_IMAGES = ("TIFF", "PPM", "JPEG2000", "AVIF")
# Pillow knows their names, but needs another program to read them, or cannot.
NOT_READ = frozenset({"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"})

ORIENTATION, BITS, PHOTOMETRIC, SAMPLE_FORMAT = 274, 258, 262, 339  # tags of EXIF and TIFF
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

Pixels = npt.NDArray[Any]


def decoder() -> str:
    """What the pixels depend on besides the file and the size: versions of this module, Pillow and its JPEG library."""
    return f"{VERSION} {PIL.__version__} {features.version('libjpeg_turbo') or features.version('jpg')}"


@cache
def formats_of(suffix: str) -> tuple[str, ...]:
    """The formats that a file with this suffix may have, in Pillow's words; empty if it does not name an image."""
    Image.init()
    named = Image.registered_extensions().get(suffix.lower())
    named = "JPEG" if named == "MPO" else named  # several photographs, of which the first is a JPEG
    if named is None or named in NOT_READ or named not in Image.OPEN:
        return ()
    return tuple(dict.fromkeys(each for each in (named, *ANYWHERE, *IN_IMAGES) if each in Image.OPEN))


def is_image(path: str) -> bool:
    """Whether a file is meant as an image: by its suffix, or, under another one, by its first bytes."""
    if formats_of(Path(path).suffix):
        return True
    try:
        with opened(Path(path)) as file, Image.open(file, formats=[each for each in ANYWHERE if each in Image.OPEN]):
            return True
    except Image.DecompressionBombError:
        return True
    # A file that is not an image fails in many ways.
    except Exception:
        return False


def content_of(path: str) -> bytes:
    """The bytes of an image file.

    Raises:
        ValueError: it cannot be read; the message gives the reason.
    """
    try:
        with opened(Path(path)) as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error
    except DataError as error:
        raise ValueError(str(error).removeprefix(f"{path}: ").partition(";")[0]) from error
    if len(content) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES:,} bytes")
    return content


def square(content: bytes, suffix: str, size: int) -> Pixels:
    """The first frame of an image file as a square, from 0 to `FULL_SCALE`.

    Returns: `[size, size]` of greys or `[size, size, 3]` of RGB; uint8, or float32 if the file has more than 8 bits for
        each value.

    Raises:
        ValueError: it is damaged, too large, or its values have no known range; the message gives the reason.
    """
    formats = formats_of(suffix) or ANYWHERE
    try:
        with Image.open(io.BytesIO(content), formats=formats) as image:
            if image.width * image.height > MAX_PIXELS:
                raise ValueError(_too_large())
            image.draft(None, (size, size))
            image.load()
            # A TIFF file is upright, and has lost its mark, once it is loaded.
            turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
            resized = _levels(image).resize((size, size), Image.Resampling.BILINEAR)
    except MemoryError:
        raise
    except UnidentifiedImageError as error:
        raise ValueError("not an image" if content else "empty") from error
    except Image.DecompressionBombError as error:
        raise ValueError(_too_large()) from error
    # The errors of damaged images differ by format.
    except Exception as error:
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
    return np.asarray(resized if turn is None else resized.transpose(turn))


def _too_large() -> str:
    return f"more than {MAX_PIXELS:,} pixels"


def _levels(image: Image.Image) -> Image.Image:
    """The image in mode L or RGB, or F if it has more than 8 bits for each value; from 0 to `FULL_SCALE`."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return Image.fromarray(_deep(image))
    grey = image.mode in ("1", "L", "LA", "La") or _has_grey_palette(image)
    if not _is_transparent(image):
        return image.convert("L" if grey else "RGB")
    layers = image.convert("LA" if grey else "RGBA")
    paper = Image.new("L" if grey else "RGB", image.size, "white")
    paper.paste(layers.convert(paper.mode), mask=layers.getchannel("A"))
    return paper


def _has_grey_palette(image: Image.Image) -> bool:
    if image.mode != "P":
        return False
    colours = np.array(image.getpalette("RGB")).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())


def _is_transparent(image: Image.Image) -> bool:
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        return True
    return image.mode == "P" and image.palette is not None and image.palette.mode == "RGBA"


def _deep(image: Image.Image) -> npt.NDArray[np.float32]:
    """Pixels of 12 bits or more."""
    tags = getattr(image, "tag_v2", {})
    signed = tags.get(SAMPLE_FORMAT, (1,))[0] == 2 if tags else image.format not in ("PNG", "PPM")
    bits = tags.get(BITS, (16,))[0] if tags else 32 if image.mode == "I" and signed else 16
    values = np.asarray(image)
    if image.mode == "F":
        full = 1.0
    elif image.mode == "I" and bits == 32 and not signed:
        values, full = values.view(np.uint32), float(2**32 - 1)
    else:
        full = float(2 ** (bits - (image.mode == "I" and signed)) - 1)
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= full):  # NaN too
        raise ValueError(f"its values are from {low:g} to {high:g}; those of its mode must be from 0 to {full:g}")
    levels = values.astype(np.float64) * (FULL_SCALE / full)
    if tags.get(PHOTOMETRIC) == 0:  # 0 is white
        levels = FULL_SCALE - levels
    if isinstance(clear := image.info.get("transparency"), int):
        levels[values == clear] = FULL_SCALE
    return levels.astype(np.float32)
