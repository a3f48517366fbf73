"""`weight: match`: a loss scaled so that it first pulls on the logits as hard as the first loss of the list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from clsbench.config.plan import Arm, Trial
from clsbench.config.schema import LossEntry
from clsbench.data.splits import Splits
from clsbench.execution.build import loss_of, module_of
from clsbench.registry import Registry
from clsbench.training.evaluation import evaluate, pull
from clsbench.training.stack import Stack


def loss_weights(
    trials: Sequence[Trial], first: LossEntry, splits: Splits, catalogue: Registry, device: torch.device
) -> list[float]:
    """What each trial of a stack multiplies its loss by.

    A matched trial's weight is r / g: g the mean norm of its own loss's gradient on the logits at epoch 0, and
    r that of the `first` loss, times its weight, on the first loss's model of the same comparison and seed.
    Where g is zero no weight matches; it becomes infinite, and the trial diverges before its first step.
    """
    if all(trial.arm.loss.weight != "match" for trial in trials):
        return [float(trial.arm.loss.weight) for trial in trials]
    arms = [trial.arm for trial in trials]
    own = _first_pulls(arms, trials, splits, catalogue, device)
    wanted = _first_pulls([replace(arm, loss=first) for arm in arms], trials, splits, catalogue, device)
    matched = (wanted * float(first.weight) / own).tolist()
    return [
        weight if arm.loss.weight == "match" else float(arm.loss.weight)
        for arm, weight in zip(arms, matched, strict=True)
    ]


def _first_pulls(
    arms: Sequence[Arm], trials: Sequence[Trial], splits: Splits, catalogue: Registry, device: torch.device
) -> torch.Tensor:
    """`[T]`: the mean gradient norm on the logits before training, unweighted, by the loss that the arms share.

    Whole stacks are measured as in training, so that a trial's weight, too, is the same in any company.
    """
    loss = loss_of(arms[0], splits.num_classes)
    modules = [
        module_of(arm, trial.seed, splits.shape, loss.num_outputs, catalogue).eval()
        for arm, trial in zip(arms, trials, strict=True)
    ]
    stack = Stack(modules, stacked=catalogue.get("model", arms[0].model.name).facts["stacked"], device=device)
    data = splits.train if splits.val is None else splits.val
    return evaluate(stack, data.x, data.y, pull(loss, device))["logit_grad_norm"]
