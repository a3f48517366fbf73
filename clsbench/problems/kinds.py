"""The kinds of problems by name, and how a problem is taken for another kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clsbench.problems.base import Problem
from clsbench.problems.multi_label import MultiLabel
from clsbench.problems.probability import Probability
from clsbench.problems.regression import Regression
from clsbench.problems.single_label import SingleLabel

KINDS: dict[str, type[Problem]] = {kind.kind: kind for kind in (SingleLabel, MultiLabel, Regression, Probability)}


def problem_from(facts: Mapping[str, Any]) -> Problem:
    """The problem whose `facts` a run has kept; older runs, which name no kind, are single-label.

    Raises:
        ValueError: this version knows no such problem.
    """
    return kind_of(facts).from_facts(dict(facts))


def kind_of(facts: Mapping[str, Any]) -> type[Problem]:
    """The class of the problem whose `facts` a run has kept, with the same errors."""
    kind = facts.get("problem", SingleLabel.kind)
    if kind not in KINDS:
        raise ValueError(f"unknown problem {kind!r}; one of {', '.join(KINDS)}")
    return KINDS[kind]


def names_as(problem: Problem, kind: type[Problem]) -> tuple[str, ...]:
    """The names of the targets if a problem is taken for one of another kind.

    Of classes, a number for each sample (its class), or a column for each class, of two classes one for the second.
    """
    if not problem.exclusive:
        return problem.names
    if kind is Regression:
        return ("class",)
    return problem.names[1:] if len(problem.names) == 2 else problem.names


def taken_as(problem: Problem, kind: type[Problem]) -> Problem | None:
    """A problem taken for one of another kind; None if that depends on its targets."""
    if isinstance(problem, kind):
        return problem
    if kind is SingleLabel or (kind is Probability and not problem.exclusive):
        return None
    names = names_as(problem, kind)
    return Probability(names, shares=len(names) > 1) if kind is Probability else kind.of(names)
