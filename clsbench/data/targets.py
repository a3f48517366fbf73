"""The targets of a dataset as arrays: what they look like, checked, and taken for another kind of problem."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from clsbench.errors import DataError
from clsbench.problems import KINDS, Problem, are_shares, names_as
from clsbench.registry import PROBLEMS, ProblemName
from clsbench.text import listed

if TYPE_CHECKING:
    import numpy.typing as npt

    Array = npt.NDArray[Any]

SINGLE_LABEL, MULTI_LABEL, REGRESSION, PROBABILITY = PROBLEMS
MOST_NUMERIC_CLASSES = 20
MOST_NAMED = 3


def looks_like(targets: Array) -> ProblemName:
    """The kind of problem that targets `[N]` or `[N, D]` suggest.

    A column each: 0 and 1 alone are labels, shares that sum to 1 are probabilities, other numbers are values. One
    column alone: whole numbers of few values are classes, others are values.
    """
    if targets.ndim == 2 and targets.shape[1] > 1:
        if _are_labels(targets):
            return MULTI_LABEL
        return PROBABILITY if _are_probabilities(targets) and are_shares(targets) else REGRESSION
    return SINGLE_LABEL if are_classes(targets.reshape(-1)) else REGRESSION


def read_as(targets: Array, asked: ProblemName | None) -> ProblemName:
    """The kind of problem that targets `[N, D]` are read as; `taken_for` makes of it what is asked for.

    One column has classes where classes are asked for; where probabilities or labels are, and numbers are neither, it
    has those that they look like.
    """
    one = targets.shape[1] == 1
    # What several columns hold is converted where one class a sample is asked for.
    if asked is None or (KINDS[asked].exclusive and not one):
        return looks_like(targets)
    is_other = one and asked in (MULTI_LABEL, PROBABILITY) and not _are_probabilities(targets) and are_classes(targets)
    return SINGLE_LABEL if is_other else asked


def are_classes(numbers: Array) -> bool:
    """Whether numbers look like those of classes: whole ones, of few values for so many samples."""
    import numpy as np

    distinct = np.unique(numbers)
    whole = bool((distinct == np.floor(distinct)).all())
    return whole and (len(distinct) <= MOST_NUMERIC_CLASSES or 3 * len(distinct) <= len(numbers))


def as_seen(problem: Problem, targets: Array) -> tuple[str, str]:
    """What the targets of a problem hold, in words; and what to write if they mean another problem."""
    import numpy as np

    names = listed(map(repr, problem.names), MOST_NAMED)
    if problem.kind == SINGLE_LABEL:
        return (
            f"{len(targets)} rows hold {len(problem.names)} classes ({names})",
            f"dataset.problem={REGRESSION} takes the classes for numbers",
        )
    if problem.kind != REGRESSION:
        what = "0 or 1" if problem.kind == MULTI_LABEL else "shares that sum to 1"
        other = f"give one column of classes as the target, or dataset.problem={REGRESSION} takes them for numbers"
        if problem.kind == MULTI_LABEL and (targets.sum(1) == 1).all():
            other = f"dataset.problem={SINGLE_LABEL} takes the column of the 1 for the class"
        return f"{len(targets)} rows hold {what} in the {len(problem.names)} columns {names}", other
    if len(problem.names) > 1:
        return (
            f"{len(targets)} rows hold numbers in the {len(problem.names)} columns {names}",
            "give one column of classes as the target, or columns of 0 and 1",
        )
    classes = "give a column of classes as the target, or put these numbers into ranges"
    if (targets == np.floor(targets)).all():
        classes = f"dataset.problem={SINGLE_LABEL} takes each number for a class"
    return f"{len(targets)} rows hold {len(np.unique(targets))} different values of {names}", classes


def checked(kind: str, values: Any, names: Sequence[str], which: str) -> Array:
    """`[N, D]` in double precision: targets of a kind other than `single_label`.

    Raises:
        DataError: the shape is another, or a target is none of the kind; the message names row and column.
    """
    import numpy as np

    targets = np.asarray(values)
    if targets.dtype.kind not in "buif":
        raise DataError(f"the {which}labels are of type {targets.dtype}; give numbers")
    if targets.ndim == 1:
        targets = targets[:, None]
    if targets.ndim != 2 or targets.shape[1] != len(names):
        raise DataError(f"the {which}labels have shape {list(targets.shape)}; give [samples, {len(names)}]")
    found: Array = targets.astype(np.float64)
    usable, allowed = np.isfinite(found), "every target must be finite"
    if kind == MULTI_LABEL:
        usable, allowed = np.isin(found, (0, 1)), "a label is 0 or 1"
    elif kind == PROBABILITY:
        usable, allowed = (found >= 0) & (found <= 1), "a probability is from 0 to 1"
    if not usable.all():
        row, column = (int(each) for each in np.argwhere(~usable)[0])
        what = f"{KINDS[kind].noun} {names[column]!r} is {found[row, column]:g}"
        raise DataError(f"{what} in row {row} of the {which}labels; {allowed}")
    return found


def taken_for(kind: str, own: Problem, targets: Array) -> tuple[Array, tuple[str, ...]]:
    """The targets of a problem as those of another kind, with their names.

    Raises:
        DataError: they cannot be: for classes, a column of whole numbers is needed, or a 1 in each row.
    """
    import numpy as np

    if kind == SINGLE_LABEL:
        return _as_classes(own, targets)
    names = names_as(own, KINDS[kind])
    if not own.exclusive:
        return targets, names
    if kind == REGRESSION:
        return targets.astype(np.float64)[:, None], names
    columns = np.arange(len(own.names))[len(own.names) - len(names) :]
    return (targets[:, None] == columns).astype(np.float64), names


def _as_classes(own: Problem, targets: Array) -> tuple[Array, tuple[str, ...]]:
    import numpy as np

    if targets.shape[1] == 1 and (targets == np.floor(targets)).all():
        values, numbers = np.unique(targets[:, 0], return_inverse=True)
        return numbers.reshape(-1).astype(np.int64), tuple(str(int(value)) for value in values)
    if _are_labels(targets) and (targets.sum(1) == 1).all():
        return targets.argmax(1), own.names
    raise DataError(
        f"problem: {SINGLE_LABEL} needs one class a sample: a column of whole numbers, or one 1 in each row"
    )


def _are_labels(targets: Array) -> bool:
    import numpy as np

    return bool(np.isin(targets, (0, 1)).all())


def _are_probabilities(targets: Array) -> bool:
    return bool(((targets >= 0) & (targets <= 1)).all())
