"""Kinds of problems: their targets, and the meaning of a network's outputs. One file per kind; imports no torch."""

from clsbench.problems.base import Answer, NoiseKind, Problem
from clsbench.problems.kinds import KINDS, kind_of, names_as, problem_from
from clsbench.problems.multi_label import MultiLabel
from clsbench.problems.posed import Posed, posed_by
from clsbench.problems.probability import Probability, are_shares
from clsbench.problems.regression import Regression
from clsbench.problems.single_label import SingleLabel

__all__ = [
    "KINDS",
    "Answer",
    "MultiLabel",
    "NoiseKind",
    "Posed",
    "Probability",
    "Problem",
    "Regression",
    "SingleLabel",
    "are_shares",
    "kind_of",
    "names_as",
    "posed_by",
    "problem_from",
]
