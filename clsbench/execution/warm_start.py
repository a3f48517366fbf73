"""`train.warm_start`: pre-training of trials by (binary) cross-entropy, on rotated labels or on the right ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from clsbench.config.plan import Trial
from clsbench.execution.modes import compiles
from clsbench.execution.work import StackWork
from clsbench.losses.contract import build_loss
from clsbench.registry import catalogue
from clsbench.training.libraries import are_loaded
from clsbench.training.loop import train
from clsbench.training.rng import seed_for
from clsbench.training.settings import StackData, StackSettings, TrialSettings
from clsbench.training.stack import Stack


def warm_start(stack: Stack, trials: Sequence[Trial], work: StackWork) -> None:
    """Train a stack's initial weights, in place, as `train.warm_start` says; without it, leave them.

    If labels are rotated, class c becomes c + 1, and the last one the first. It uses plain SGD, the arm's batch size,
    and a separate order of batches and dropout masks: the weights depend on the model, its initialisation, the data,
    the batch size and the seed, never on the arm's loss or optimizer. The weights of a trial that diverges here become
    NaN, and it is `diverged` at epoch 0.
    """
    asked, problem = work.experiment.train, work.problem
    warm, batch_size = asked.warm_start, work.arm.batch_size
    if warm is None:
        return
    x, y = work.data.train
    warming = catalogue.get("loss", problem.warm_loss)
    num_samples = len(work.splits_of(trials[0]).train)
    num_steps = -(-num_samples // batch_size) * warm.epochs
    loaded = are_loaded(work.device, catalogue.get("model", work.arm.model.name).factory, warming.factory)
    compiled = compiles(asked.compile, stacked=work.stacked, num_steps=num_steps, loaded=loaded)
    results = train(
        stack,
        [TrialSettings(seed=_own_seed(trial.seed), lr=float(warm.lr)) for trial in trials],
        build_loss(warming.name, problem, warming.defaults),
        StackData((x, y if warm.labels is True else problem.rotated(y)), places=work.data.places),
        StackSettings(batch_size, warm.epochs, compiled=compiled, precision=asked.precision),
    )
    for result in results:
        lost = [t for t, row in enumerate(result.rows) if row is not None and row["status"] == "diverged"]
        stack.weights[lost] = torch.nan


def _own_seed(seed: int) -> int:
    """The seed of batches and dropout: not the trial's seed, which training uses."""
    return seed_for("warm start", seed)
