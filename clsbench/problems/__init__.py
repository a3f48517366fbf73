"""Kinds of problems: their targets, and the meaning of a network's outputs. One file per kind; imports no torch."""

from collections.abc import Mapping
from typing import Any

from clsbench.problems.base import NoiseKind, Problem
from clsbench.problems.posed import Posed, posed_by
from clsbench.problems.single_label import SingleLabel

KINDS: dict[str, type[Problem]] = {kind.kind: kind for kind in (SingleLabel,)}


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


__all__ = ["KINDS", "NoiseKind", "Posed", "Problem", "SingleLabel", "kind_of", "posed_by", "problem_from"]
