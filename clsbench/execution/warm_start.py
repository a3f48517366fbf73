"""`train.warm_start`: trials that are trained by cross-entropy first, on rotated labels or on the right ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from clsbench.config.plan import Trial
from clsbench.execution.modes import compiles
from clsbench.execution.work import StackWork
from clsbench.losses.contract import build_loss
from clsbench.training.loop import train
from clsbench.training.rng import seed_for
from clsbench.training.settings import StackData, StackSettings, TrialSettings
from clsbench.training.stack import Stack


def warm_start(stack: Stack, trials: Sequence[Trial], work: StackWork) -> None:
    """Train a stack's fresh weights, in place, as `train.warm_start` says; where it says nothing, leave them.

    Class c becomes c + 1, and the last one the first, where labels are rotated. Plain SGD, the arm's batch size,
    an order of batches and dropout masks of its own: the weights depend on the model, its initialisation, the
    data, the batch size and the seed, never on the arm's loss or optimizer. A trial that diverges here has no
    weights to start from: they become NaN, and it is `diverged` at epoch 0.
    """
    asked, splits = work.experiment.train, work.splits
    warm, batch_size = asked.warm_start, work.arm.batch_size
    if warm is None:
        return
    x, y = splits.train.x, splits.train.y
    compiled = compiles(asked.compile, stacked=work.stacked, num_steps=-(-len(y) // batch_size) * warm.epochs)
    results = train(
        stack,
        [TrialSettings(seed=_own_seed(trial.seed), lr=float(warm.lr)) for trial in trials],
        build_loss("cross_entropy", splits.problem, {}),
        StackData((x, y if warm.labels is True else splits.problem.rotated(y))),
        StackSettings(batch_size, warm.epochs, compiled=compiled, precision=asked.precision),
    )
    for result in results:
        lost = [t for t, row in enumerate(result.rows) if row is not None and row["status"] == "diverged"]
        stack.weights[lost] = torch.nan


def _own_seed(seed: int) -> int:
    """What batches and dropout are drawn by: not the seed itself, whose draws are the training's."""
    return seed_for("warm start", seed)
