"""`weight: match`: a loss scaled so that it first pulls on the logits as hard as the first loss of the list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from clsbench.config.plan import Trial
from clsbench.config.schema import LossEntry
from clsbench.data.splits import Splits
from clsbench.execution.build import loss_of, module_of
from clsbench.losses.contract import Loss
from clsbench.training.evaluation import GRADIENT_NORM, Ruler, evaluate
from clsbench.training.stack import Stack


def loss_weights(stack: Stack, loss: Loss, trials: Sequence[Trial], first: LossEntry, splits: Splits) -> list[float]:
    """What each trial of a stack, about to be trained by `loss`, multiplies it by.

    A matched trial's weight is r / g: g the mean norm of its own loss's gradient on the logits at epoch 0, and
    r that of the `first` loss, times its weight, on the first loss's model of the same comparison and seed.
    Where g is zero no weight matches; it becomes infinite, and the trial diverges before its first step.
    """
    if all(trial.arm.loss.weight != "match" for trial in trials):
        return [float(trial.arm.loss.weight) for trial in trials]
    reference = loss_of(replace(trials[0].arm, loss=first), splits.problem)
    # With as many outputs the first loss's model starts from these very weights.
    same = reference.num_outputs == loss.num_outputs
    other = stack if same else _fresh(stack, reference.num_outputs, trials, splits)
    own, wanted = _pulls(stack, loss, splits), _pulls(other, reference, splits)
    matched = (wanted * float(first.weight) / own).tolist()
    return [
        weight if trial.arm.loss.weight == "match" else float(trial.arm.loss.weight)
        for trial, weight in zip(trials, matched, strict=True)
    ]


def _fresh(stack: Stack, num_outputs: int, trials: Sequence[Trial], splits: Splits) -> Stack:
    """The trials' models with another number of outputs; whole, so that a weight is the same in any company."""
    modules = [module_of(trial.arm, trial.seed, splits.shape, num_outputs) for trial in trials]
    return Stack(modules, stacked=stack.stacked, device=stack.weights.device)


def _pulls(stack: Stack, loss: Loss, splits: Splits) -> torch.Tensor:
    """`[T]`: the mean gradient norm of an unweighted loss on the logits."""
    stack.train(False)
    data = splits.train if splits.val is None else splits.val
    return evaluate(stack, Ruler(loss, stack.weights.device), data.x, data.y, [GRADIENT_NORM])[GRADIENT_NORM.name]
