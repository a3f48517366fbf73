"""A range cut into parts, or thinned."""

from itertools import pairwise


def even_parts(total: int, number: int) -> list[slice]:
    """`number` slices, at least one, that cover `range(total)`, whose lengths differ by at most one."""
    number = max(number, 1)
    return [slice(*ends) for ends in pairwise(total * part // number for part in range(number + 1))]


def spaced(total: int, most: int) -> list[int]:
    """At most `most` numbers of `range(total)`, evenly spaced from 0."""
    number = min(total, most)
    return [place * total // number for place in range(number)]


def every(total: int, step: int) -> list[int]:
    """Every `step`-th number of `range(total)`, and the last."""
    return [place for place in range(total) if place % step == 0 or place == total - 1]
