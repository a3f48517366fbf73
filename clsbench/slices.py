"""A range cut into parts."""

from itertools import pairwise


def even_parts(total: int, number: int) -> list[slice]:
    """`number` slices, at least one, that cover `range(total)`, whose lengths differ by at most one."""
    number = max(number, 1)
    return [slice(*ends) for ends in pairwise(total * part // number for part in range(number + 1))]
