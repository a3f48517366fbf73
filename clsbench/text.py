"""Text made safe for where it goes: a terminal that obeys control codes, a file that has to be valid UTF-8; lists.

Paths, exceptions and names of classes may hold control codes and unpaired surrogates (bytes of a file's name that
are not UTF-8). Their escapes are decided here, once for each destination.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

UTF8 = "backslashreplace"  # the error handler of every text file that clsbench writes
_SURROGATE = "[\ud800-\udfff]"  # compiled when it is first used


def printable(text: str, encoding: str = "utf-8") -> str:
    r"""`text` with whatever acts on a terminal (control and bidirectional codes, line breaks) shown as `\x1b`.

    Characters that `encoding` lacks are shown the same way, so that writing the result cannot fail.
    """
    shown = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    return shown.encode(encoding, "backslashreplace").decode(encoding)


def in_utf8(text: str) -> bytes:
    r"""`text` as a file holds it: an unpaired surrogate is written as `\udcff`, all else as it is."""
    return text.encode("utf-8", UTF8)


def in_json(text: str) -> str:
    r"""Text that is JSON, with the same done to its strings: they read back as `\udcff`, not as the surrogate."""
    return re.sub(_SURROGATE, lambda found: rf"\\u{ord(found[0]):04x}", text)


def listed(items: Iterable[str], most: int, more: str = "more") -> str:
    """`a, b and c`; of more than `most`, the first and `and 9 more`."""
    first = list(items)
    left = len(first) - most
    if left > 0:
        first = [*first[:most], f"{left} {more}"]
    return " and ".join(filter(None, (", ".join(first[:-1]), *first[-1:])))
