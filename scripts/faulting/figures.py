"""The result of a part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Figure:
    """A figure in words, whether it reaches what is asked, the numbers behind it, and examples of what fell short."""

    text: str
    reached: bool
    numbers: dict[str, Any]
    failures: Sequence[str] = field(default=())
