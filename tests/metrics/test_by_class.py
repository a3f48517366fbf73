"""Metrics by class, and of them, against scikit-learn."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score, precision_score, recall_score

import clsbench.losses  # noqa: F401 - registers them
from clsbench.losses.contract import build_loss
from clsbench.metrics.by_class import confusion
from clsbench.problems import SingleLabel
from clsbench.training.evaluation import CHUNK, Totals
from clsbench.training.measure import prediction_metrics
from clsbench.training.quantities import Ruler

CPU = torch.device("cpu")
answers = st.integers(2, 5).flatmap(
    lambda c: st.tuples(st.just(c), st.lists(st.tuples(*[st.integers(0, c - 1)] * 2), min_size=1, max_size=30))
)


def measured(num_classes: int, targets: torch.Tensor, predictions: torch.Tensor) -> dict[str, Any]:
    """The test metrics of two trials, whose logits are the predictions; those of the first one."""
    problem = SingleLabel(num_classes)
    loss = build_loss("hinge", problem, {})
    totals = Totals(Ruler(loss, CPU), prediction_metrics(problem, "test"))
    totals.add(torch.nn.functional.one_hot(predictions, num_classes).float().expand(2, -1, -1), targets)
    found = {name.removeprefix("test_"): value.tolist() for name, value in totals.values(len(targets)).items()}
    assert all(repr(first) == repr(second) for first, second in found.values())
    return {name: first for name, (first, _) in found.items()}


@given(answers)
def test_they_are_scikit_learns(found: tuple[int, list[tuple[int, int]]]) -> None:
    """Balanced accuracy, macro F1, recall and precision equal scikit-learn's, whichever classes are absent."""
    num_classes, pairs = found
    targets, predictions = torch.tensor(pairs).unbind(-1)
    ours = measured(num_classes, targets, predictions)
    labels, present = range(num_classes), [number in targets for number in range(num_classes)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that are absent
        assert pytest.approx(balanced_accuracy_score(targets, predictions), abs=1e-6) == ours["balanced_accuracy"]
        macro = f1_score(targets, predictions, average="macro", zero_division=0)
        assert pytest.approx(macro, abs=1e-6) == ours["macro_f1"]
        for name, score in (("recall", recall_score), ("precision", precision_score)):
            theirs = score(targets, predictions, labels=labels, average=None, zero_division=np.nan)
            expected = [value if here else math.nan for value, here in zip(theirs, present, strict=True)]
            assert pytest.approx(expected, abs=1e-6, nan_ok=True) == ours[name]


def test_more_samples_than_a_chunk() -> None:
    """Counts add up over chunks, and the confusion of many samples is scikit-learn's."""
    generator = torch.Generator().manual_seed(0)
    targets, predictions = torch.randint(40, (2, 2 * CHUNK + 345), generator=generator)
    ours = measured(40, targets, predictions)
    assert pytest.approx(recall_score(targets, predictions, average=None)) == ours["recall"]
    assert confusion_matrix(targets, predictions).tolist() == confusion(predictions, targets, 40).tolist()
