"""The bytes of a table's file: unpacked, as UTF-8 with line feeds, and refused if they are no text."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from pathlib import Path

from clsbench.data.sources import steady
from clsbench.errors import DataError

LONGEST_LINE = 1 << 26  # bytes
MOST_UNPACKED = 1 << 32
BLOCK = 1 << 20
PARQUET = b"PAR1"


def content_of(path: str, encoding: str | None) -> bytes:
    """A file's content: Parquet as it is, all else as UTF-8 text without a byte-order mark, its lines ended by LF.

    Raises:
        DataError: it cannot be read, changes meanwhile, or is not text in this encoding.
    """
    try:
        with steady(Path(path).expanduser()) as file:
            assert isinstance(file, io.BufferedReader)
            if file.peek(2)[:2] == b"\x1f\x8b":
                with gzip.GzipFile(fileobj=file) as unpacked:
                    content = _checked_while_read(path, unpacked, encoding)
            else:
                content = _checked_while_read(path, file, encoding)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: damaged gzip data ({error}); pack the file again") from error
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); `path` must name a table, as CSV or Parquet"
        ) from error
    return content if is_parquet(content) else _as_text(path, content, encoding)


def is_parquet(content: bytes) -> bool:
    """Whether this is a Parquet file."""
    return content[:4] == PARQUET and content[-4:] == PARQUET


def _checked_while_read(path: str, file: gzip.GzipFile | io.BufferedReader, encoding: str | None) -> bytes:
    """The whole of it, unless it stops looking like a table on the way: it may be endless."""
    content, line, length = bytearray(), 1, 0
    while block := file.read(BLOCK):
        content += block
        if content[:4] == PARQUET:
            continue
        if encoding is None and bytes(content[:2]) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            raise DataError(f"{path}:1: not UTF-8 text but UTF-16; write encoding: utf-16")
        if encoding is None and b"\0" in block:
            at = line + block[: block.index(b"\0")].count(b"\n")
            raise DataError(f"{path}:{at}: a NUL character; the file is damaged, or not CSV")
        end = max(block.rfind(b"\n"), block.rfind(b"\r"))
        length = len(block) - end - 1 + (0 if end >= 0 else length)
        line += block.count(b"\n")
        if length >= LONGEST_LINE:
            raise DataError(f"{path}:{line}: the line has {LONGEST_LINE:,} characters or more; the file is not CSV")
        if len(content) > MOST_UNPACKED and isinstance(file, gzip.GzipFile):
            raise DataError(f"{path}: more than {MOST_UNPACKED:,} bytes once unpacked; unpack it, and give that file")
    return bytes(content)


def _as_text(path: str, content: bytes, encoding: str | None) -> bytes:
    if encoding is None or codecs.lookup(encoding).name in ("utf-8", "utf-8-sig", "ascii"):
        while content.startswith(codecs.BOM_UTF8):  # each program that saves with one may add another
            content = content.removeprefix(codecs.BOM_UTF8)
        if not content.isascii():
            _require_encoded(path, content, encoding or "utf-8")
    else:
        _require_encoded(path, content, encoding)
        content = content.decode(encoding).lstrip("\ufeff").encode("utf-8", "surrogatepass")
    if b"\0" in content:
        at = 1 + content[: content.index(b"\0")].count(b"\n")
        raise DataError(f"{path}:{at}: a NUL character; the file is damaged, or in another encoding")
    if b"\r" in content:
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return content


def _require_encoded(path: str, content: bytes, encoding: str) -> None:
    try:
        content.decode(encoding)
    except UnicodeDecodeError as error:
        line = 1 + content[: error.start].count(b"\n")
        name = {"utf-8": "UTF-8"}.get(encoding, encoding)
        hint = "save the file as UTF-8, or write its encoding, as in encoding: cp1252"
        raise DataError(f"{path}:{line}: not {name} text; {hint}") from error
