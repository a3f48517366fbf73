"""Linear networks at the optimum of their loss and penalty have scikit-learn's coefficients, to three digits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import HuberRegressor, LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.testing import assert_close

from clsbench.losses.contract import build_loss
from clsbench.problems import MultiLabel, Problem, Regression, SingleLabel
from clsbench.registry import catalogue

C = 0.5
IRIS = load_iris()
X, Y = StandardScaler().fit_transform(IRIS.data), IRIS.target
LABELS = np.stack([IRIS.data[:, 0] > 5.8, IRIS.data[:, 3] > 1.3, Y == 1], axis=1).astype(int)
DIABETES, PROGRESSION = load_diabetes(return_X_y=True)
DIABETES = StandardScaler().fit_transform(DIABETES)


def fitted(name: str, problem: Problem, x: Any, targets: Any, penalty: float, **options: Any) -> tuple[Tensor, Tensor]:
    """The weights `[K, features]` and biases that minimise the summed loss plus `penalty` times the squared weights."""
    loss = build_loss(name, problem, catalogue.get("loss", name).defaults | options)
    inputs, y = torch.from_numpy(x), torch.as_tensor(targets)
    weights = torch.zeros(loss.num_outputs, x.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(loss.num_outputs, dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS([weights, bias], max_iter=500, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def objective() -> Tensor:
        solver.zero_grad()
        value = loss(inputs @ weights.mT + bias, y).sum() + penalty * weights.square().sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    solver.step(objective)  # type: ignore[no-untyped-call]
    return weights.detach(), bias.detach()


def same(ours: Tensor, theirs: Any) -> None:
    assert_close(ours, torch.from_numpy(np.asarray(theirs)).reshape(ours.shape), rtol=1e-3, atol=1e-3)


def test_softmax_is_multinomial_logistic_regression() -> None:
    """Cross-entropy of softmax ends in scikit-learn's multinomial coefficients."""
    weights, _ = fitted("cross_entropy", SingleLabel(3), X, Y, 1 / (2 * C))
    same(weights, LogisticRegression(C=C, tol=1e-9, max_iter=5000).fit(X, Y).coef_)


@pytest.mark.parametrize(("problem", "targets"), [(SingleLabel(3), Y), (MultiLabel(("a", "b", "c")), LABELS)], ids=str)
def test_sigmoids_are_logistic_regressions_one_against_the_rest(problem: Problem, targets: Any) -> None:
    """Binary cross-entropy ends in one logistic regression for each class, or for each label."""
    weights, bias = fitted("bce", problem, X, problem.encoded(targets), 1 / (2 * C))
    each = OneVsRestClassifier(LogisticRegression(C=C, tol=1e-9, max_iter=5000)).fit(X, targets).estimators_
    same(weights, np.concatenate([one.coef_ for one in each]))
    same(bias, np.concatenate([one.intercept_ for one in each]))


def test_squared_error_is_ridge_regression() -> None:
    """On standardised targets it ends in scikit-learn's ridge coefficients, on the data's own scale."""
    problem = Regression(("progression",)).fitted(PROGRESSION[:, None])
    weights, bias = fitted("mse", problem, DIABETES, problem.encoded(PROGRESSION[:, None]), 20.0)
    ridge = Ridge(alpha=20.0).fit(DIABETES, PROGRESSION)
    same(weights * problem.scale[0] / ridge.coef_.std(), ridge.coef_ / ridge.coef_.std())
    same(bias * problem.scale[0] + problem.shift[0], ridge.intercept_)


def test_huber_loss_is_hubers_regression() -> None:
    """With `delta` epsilon times the scale that scikit-learn estimates, both end in the same coefficients."""
    y = (PROGRESSION - PROGRESSION.mean()) / PROGRESSION.std()
    theirs = HuberRegressor(epsilon=1.35, alpha=0.1, tol=1e-8, max_iter=1000).fit(DIABETES, y)
    penalty, delta = 0.1 * theirs.scale_ / 2, 1.35 * theirs.scale_
    weights, bias = fitted("huber", Regression(("y",)), DIABETES, y[:, None], penalty, delta=delta)
    same(weights, theirs.coef_)
    same(bias, theirs.intercept_)
