"""What problems have in common whose outputs are names of their own, each with a probability or a value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clsbench.problems.base import Answer

if TYPE_CHECKING:
    from torch import Tensor


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
