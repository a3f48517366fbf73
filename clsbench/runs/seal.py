"""JSON documents that hold their own sum, so that a change is detected without another file."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from pydantic_core import from_json

from clsbench.runs.files import Content, as_json, pieces_of

_BEFORE, _AFTER = b',\n  "sum": "', b'"\n}\n'


def sha256_of(content: Content) -> str:
    found = hashlib.sha256()
    for piece in pieces_of(content):
        found.update(piece)
    return found.hexdigest()


def sealed(document: Mapping[str, Any]) -> bytes:
    """The document as JSON; `sum`, its last key, holds the SHA-256 of all bytes before it."""
    text = as_json(dict(document)).removesuffix(b"\n}\n")
    return text + _BEFORE + sha256_of(text).encode() + _AFTER


def unsealed(content: bytes) -> dict[str, Any]:
    """The document of `sealed`, without its sum.

    Raises:
        ValueError: it is not one, or was changed.
    """
    text, _, end = content.rpartition(_BEFORE)
    if end != sha256_of(text).encode() + _AFTER:
        raise ValueError("its sum is not that of its content")
    document: dict[str, Any] = from_json(text + b"\n}")
    return document
