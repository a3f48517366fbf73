"""Names that are close to one that is not known."""

from __future__ import annotations

import difflib
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
