"""Photographs as cameras store them: turned, with a mark that says how."""

from __future__ import annotations

from PIL import Image

STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def stored(upright: Image.Image, orientation: int) -> Image.Image:
    """The image as it lies in a file with this mark."""
    return upright.transpose(STORED[orientation]) if orientation in STORED else upright


def mark(orientation: int) -> Image.Exif:
    """The mark of a file, 1 to 8."""
    exif = Image.Exif()
    exif[274] = orientation
    return exif
