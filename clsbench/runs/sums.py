"""Sums of records while they grow: a line for each block that was added, in a file beside them.

A line is the offset where a block ends and its SHA-256, or an offset and `durable`: what ends there was forced to
disk. After a crash of the machine, what had not been may be on the disk in part, be it records or lines of this file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from clsbench import system
from clsbench.errors import RunError
from clsbench.runs.files import opened, read_pieces, unwritable, write_atomically
from clsbench.runs.names import CHECKPOINTS
from clsbench.runs.seal import sha256_of

_LINE = re.compile(rb"(\d{1,18}) ([0-9a-f]{64}|durable)")


@dataclass(frozen=True)
class Extent:
    """How many bytes of the records match their sums (`verified`) and were on disk (`durable`, maybe more).

    `damaged` says that the block after `verified` does not match its sum; otherwise it has none.
    """

    verified: int
    durable: int
    damaged: bool


class Sums:
    """The sums of one file of records."""

    def __init__(self, records: Path) -> None:
        self.records = records
        self.path = records.parent / CHECKPOINTS / f"{records.stem}.sums"

    def add(self, end: int, block: bytes) -> None:
        """A block was added to the records, which end there now; RunError where that cannot be noted."""
        self._append(f"{end} {sha256_of(block)}\n")

    def durable(self, end: int) -> None:
        """All records up to there were forced to disk; the same errors."""
        self._append(f"{end} durable\n")
        try:
            with opened(self.path, "r+b") as file:
                system.force(file.fileno())
        except OSError as error:
            raise unwritable(self.path, error) from error

    def restart(self, size: int, sha256: str) -> None:
        """The records are so many bytes with this sum, forced to disk; the same errors."""
        text = f"{size} {sha256}\n{size} durable\n" if size else ""
        write_atomically(self.path, text.encode())

    def extent(self, records: IO[bytes], size: int) -> Extent:
        """How much of the first `size` bytes of the records matches its sums.

        Raises:
            RunError: the sums cannot be read.
        """
        verified, durable, damaged = 0, 0, False
        for line in self._lines():
            match = _LINE.fullmatch(line)
            if match is None:  # partial; the place of what follows is unknown
                break
            end = int(match[1])
            if match[2] == b"durable":
                durable = end
            elif not damaged and end <= size:
                damaged = sha256_of(read_pieces(records, verified, end)) != match[2].decode()
                verified = verified if damaged else end
        return Extent(verified, durable, damaged)

    def _lines(self) -> list[bytes]:
        try:
            with opened(self.path, "rb") as file:
                return bytes(file.read()).split(b"\n")[:-1]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RunError(f"{self.path} cannot be read: {error.strerror}") from error

    def _append(self, line: str) -> None:
        try:
            with opened(self.path, "ab", sole=True) as file:
                file.write(line.encode())
        except OSError as error:
            raise unwritable(self.path, error) from error
