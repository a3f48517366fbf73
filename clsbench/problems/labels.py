"""What problems have in common whose outputs are names of their own, each with a probability or a value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from clsbench.problems.base import Answer
from clsbench.registry import suggestion

if TYPE_CHECKING:
    from torch import Tensor

MOST_LISTED = 10  # names in a message


def unknown_name(what: str, name: str, known: Sequence[str]) -> str | None:
    """Why no class, label or value is called so, with the nearest name; None if one is, or if none is known yet."""
    if not known or name in known:
        return None
    listed = known if len(known) <= MOST_LISTED else (*known[:MOST_LISTED], "...")
    return f"no {what} is called {name!r}; {suggestion(name, known, listed)}"


def values_of(predictions: Tensor) -> list[Answer]:
    """`[B, D]` as numbers, or tuples of several."""
    return [row[0] if len(row) == 1 else tuple(row) for row in predictions.tolist()]


def names_in(facts: dict[str, Any], kind: str) -> tuple[str, ...]:
    """The `names` of the facts of a problem.

    Raises:
        ValueError: there are none.
    """
    names = facts.get("names")
    if not isinstance(names, list) or not names:
        raise ValueError(f"a {kind} problem needs the names of its targets")
    return tuple(map(str, names))
