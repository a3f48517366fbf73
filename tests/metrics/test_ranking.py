"""AUROC and average precision, against scikit-learn; what they rank by, and their bits."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor

import clsbench
import clsbench.losses
from clsbench.losses.contract import build_loss
from clsbench.metrics.ranking import Ranking, auroc, average_precision
from clsbench.problems import SingleLabel
from clsbench.registry import LinkName
from clsbench.training.evaluation import Totals
from clsbench.training.measure import prediction_metrics
from clsbench.training.quantities import Ruler


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(0, 1)), min_size=2, max_size=40), st.floats(0.1, 10))
def test_they_are_scikit_learns(pairs: list[tuple[int, int]], scale: float) -> None:
    """With many ties, both equal scikit-learn's, where the split has both classes."""
    scores, targets = (torch.tensor(column) for column in zip(*pairs, strict=True))
    assume(len(targets.unique()) == 2)
    ranking = Ranking.of(scores * scale, targets)
    assert pytest.approx(roc_auc_score(targets, scores), abs=1e-6) == auroc(ranking).item()
    assert pytest.approx(average_precision_score(targets, scores), abs=1e-6) == average_precision(ranking).item()


@pytest.mark.parametrize(
    ("scores", "targets", "expected"),
    [
        ([0.0, 1.0], [0, 0], (math.nan, math.nan)),
        ([0.0, 1.0], [1, 1], (math.nan, 1.0)),
        ([0.0, math.nan], [0, 1], (math.nan, math.nan)),
        ([-0.0, 0.0], [0, 1], (0.5, 0.5)),
        ([-math.inf, math.inf, 1.0], [0, 1, 0], (1.0, 1.0)),
    ],
)
def test_limits(scores: list[float], targets: list[int], expected: tuple[float, float]) -> None:
    """A split without one of the classes, and scores that are not numbers, have no value; zeros of both signs tie."""
    ranking = Ranking.of(torch.tensor(scores), torch.tensor(targets))
    assert pytest.approx(expected, nan_ok=True) == (auroc(ranking).item(), average_precision(ranking).item())


@given(
    st.lists(
        st.tuples(st.floats(width=32) | st.sampled_from([-0.0, 0.0, 1.0]), st.integers(0, 1)), min_size=1, max_size=40
    )
)
def test_a_ranking_does_not_depend_on_the_precision_of_its_scores(pairs: list[tuple[float, int]]) -> None:
    """Single and double precision, which are sorted in two ways, put the same samples in the same order."""
    scores, targets = (torch.tensor(column) for column in zip(*pairs, strict=True))
    single, double = (Ranking.of(each, targets) for each in (scores.float(), scores.double()))
    assert double.positive.tolist() == single.positive.tolist()
    if not scores.isnan().any():
        assert double.lower.tolist() == single.lower.tolist()
        assert double.positives_lower.tolist() == single.positives_lower.tolist()


@pytest.mark.parametrize(
    ("link", "num_outputs"), [("softmax", 2), ("sigmoid", 2), ("sigmoid", 1), ("identity", 2), ("identity", 1)]
)
def test_scores_rank_as_probabilities_do(link: LinkName, num_outputs: int) -> None:
    """Scores rise with the probability of class 1 where the link has one, and always with the evidence for it."""
    problem = SingleLabel(2)
    logits = torch.randn(200, num_outputs, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    scores, log_p = problem.scores(link, logits), problem.log_probabilities(link, logits)
    assert scores is not None
    evidence = logits[:, -1] - (logits[:, 0] if num_outputs == 2 else 0) if log_p is None else log_p[:, 1]
    assert evidence.argsort().tolist() == scores.argsort().tolist()
    assert SingleLabel(3).scores(link, torch.zeros(4, 3)) is None


def of_trials(logits: Tensor, targets: Tensor) -> list[dict[str, float]]:
    problem = SingleLabel(2)
    loss = build_loss("hinge", problem, {})
    totals = Totals(Ruler(loss, torch.device("cpu")), prediction_metrics(problem, "test"))
    totals.add(logits, targets)
    found = totals.values(len(targets))
    return [
        {name: found[name][trial].item() for name in found if found[name].dim() == 1} for trial in range(len(logits))
    ]


def test_no_bit_depends_on_the_trials_beside() -> None:
    """A trial has the same bits in a stack of two as in one of many, over several chunks of samples."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(33, 2345, 2, generator=generator).round(decimals=2)
    targets = (torch.rand(2345, generator=generator) < 0.1).long()
    whole = of_trials(logits, targets)
    assert whole[:2] == of_trials(logits[:2], targets)
    assert whole[13:18] == of_trials(logits[13:18], targets)
    assert {"test_auroc", "test_average_precision", "test_balanced_accuracy"} < whole[0].keys()


def test_a_users_metric_may_rank() -> None:
    """A metric of one's own that takes `ranking` gets that of one trial at a time."""

    @clsbench.metric("best_is_right", splits=("test",))
    def best_is_right(ranking: Any) -> Tensor:
        assert 1 == ranking.positive.dim()
        return ranking.positive[-1].double()

    logits = torch.tensor([[[0.0, 2.0], [1.0, 0.0]], [[2.0, 0.0], [0.0, 1.0]]])
    found = of_trials(logits, torch.tensor([1, 0]))
    assert [1.0, 0.0] == [trial["test_best_is_right"] for trial in found]
