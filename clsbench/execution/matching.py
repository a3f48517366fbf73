"""`weight: match`: scales a loss so that its initial gradients on the logits are as large as the first loss's."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from clsbench.config.plan import Trial
from clsbench.execution.work import StackWork
from clsbench.losses.contract import Loss
from clsbench.training.evaluation import evaluate
from clsbench.training.measure import GRADIENT_NORM
from clsbench.training.quantities import Ruler
from clsbench.training.stack import Stack


def loss_weights(stack: Stack, trials: Sequence[Trial], work: StackWork) -> list[float]:
    """The loss weight of each trial of an untrained stack.

    A matched trial's weight is r / g: g is the mean norm of its loss's gradient on the logits at epoch 0, and r that
    of the first loss, times its weight, on the first loss's model of the same comparison and seed. If g is zero, the
    weight is infinite and the trial diverges before its first step.
    """
    if all(trial.arm.loss.weight != "match" for trial in trials):
        return [float(trial.arm.loss.weight) for trial in trials]
    first = work.first_loss
    # With as many outputs the first loss's model has the same initial weights; else a separate full stack is built,
    # so that a weight does not depend on the other trials.
    same = first.num_outputs == work.loss.num_outputs
    other = stack if same else work.stack(trials, first.num_outputs)
    own, wanted = _gradient_norms(stack, work.loss, work), _gradient_norms(other, first, work)
    matched = (wanted * float(work.experiment.loss[0].weight) / own).tolist()
    return [
        weight if trial.arm.loss.weight == "match" else float(trial.arm.loss.weight)
        for trial, weight in zip(trials, matched, strict=True)
    ]


def _gradient_norms(stack: Stack, loss: Loss, work: StackWork) -> torch.Tensor:
    """`[T]`: the mean gradient norm of an unweighted loss on the logits."""
    stack.train(False)
    data = work.data
    measured = data.train if data.val is None else data.val
    found = evaluate(stack, Ruler(loss, work.device), *measured, [GRADIENT_NORM], places=data.places)
    return found[GRADIENT_NORM.name]
