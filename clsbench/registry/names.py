"""Names that are close to one that is not known."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is close to `name`."""
    folded = {n.lower().replace("-", "_"): n for n in reversed(list(known))}  # a name wins over its alias
    near = difflib.get_close_matches(name.lower().replace("-", "_"), folded, n=1, cutoff=0.6)
    return folded[near[0]] if near else None


def suggestion(name: str, known: Iterable[str], listed: Iterable[str] | None = None) -> str:
    """`did you mean 'x'?` where something known is near to `name`, else the list of what is `listed`, or known."""
    known = list(known)
    near = nearest(name, known)
    return f"one of {', '.join(listed or known)}" if near is None else f"did you mean {near!r}?"


def nearest_key(name: str, known: Iterable[str]) -> str | None:
    """As `nearest`, for keys of a config: `class_weight` is another key than `weight`, not a misspelling of it."""
    return nearest(name, [key for key in known if not _is_qualified(name, key)])


def _is_qualified(name: str, known: str) -> bool:
    """Whether a name is a known one with other words before its last: `pos_weight` beside `weight` or `class_weight`.

    A word for a number, as in `num_epochs`, is none.
    """
    name, known = (_COUNTED.sub("", each.lower().replace("-", "_")) for each in (name, known))
    short, long = sorted((name, known), key=len)
    if len(long) - len(short) > 2 and _likeness(short, long[len(long) - len(short) :]) >= 0.8:
        return True
    head, _, last = known.rpartition("_")
    start, end = name[: -len(last)].rstrip("_"), name[-len(last) :]
    return bool(head) and _likeness(end, last) >= 0.8 and _likeness(start, head) < 0.6


def _likeness(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()


_COUNTED = re.compile(r"^(n|nb|num|number_of)[-_]")
