"""The training loop: one for a single trial and for many."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from clsbench.data.scene import Frame
from clsbench.losses.contract import Loss
from clsbench.metrics.measures import measured
from clsbench.registry import catalogue
from clsbench.training.between import BetweenEpochs
from clsbench.training.epoch import Epochs
from clsbench.training.evaluation import Measures
from clsbench.training.frames import Camera
from clsbench.training.optimizers import initial_state
from clsbench.training.settings import (
    StackData,
    StackSettings,
    TrialSettings,
    clip_norms,
    column,
    stacked_options,
)
from clsbench.training.snapshot import Snapshot
from clsbench.training.stack import Stack
from clsbench.training.step import Steps
from clsbench.training.stopping import Waiting

Row = dict[str, float | int | str | dict[str, float | None] | None]
MOST_CLASSES = 20  # up to so many, a record of every epoch has the metrics by class; beyond, that of the last epoch


@dataclass(frozen=True)
class EpochResult:
    """One epoch of a stack.

    `rows[t]` holds trial t's measures, last finished step and status; None once the trial is over. With many classes,
    only the last epoch has measures by class.
    `batches[t]` is the hash of its order of training samples. `seconds` is the stack's training time in this epoch
    without evaluation (on a GPU, which is not waited for, the running means of the training data are included), and
    `compile_seconds` the time of compiling its steps. `snapshot()` copies the state from which training can go on, and
    `frame(t)` takes the frame of trial t; call them before the next result.
    """

    epoch: int
    rows: list[Row | None]
    batches: list[str]
    seconds: float
    compile_seconds: float
    snapshot: Callable[[], Snapshot]
    frame: Callable[[int], Frame]


def train(
    stack: Stack,
    trials: Sequence[TrialSettings],
    loss: Loss,
    data: StackData,
    settings: StackSettings,
    since: Snapshot | None = None,
) -> Iterator[EpochResult]:
    """Train every trial of a stack and yield the result of each epoch; epoch 0 is before training.

    A trial whose loss or gradient is not finite is frozen before that step; one whose metrics on training or
    validation data are not finite, after it. Its last row says `diverged`. A trial that stops (`settings.stop`) is
    frozen too, and its last row says `finished`. Training ends early if all trials are over. With `since` it goes on
    from that snapshot and yields the epochs after it.

    Raises:
        SnapshotMismatch: `since` is of another stack.
    """
    steps = _steps(stack, trials, loss, settings)
    epochs = Epochs(steps, trials, data, settings)
    between, ledger = BetweenEpochs(steps, data), _Ledger(steps)
    camera = Camera(stack, between.ruler, data)
    if since is None:
        measures = between.before_training()
        rows, snapshot, frame = (
            ledger.rows(0, measures, None),
            partial(Snapshot.of, steps, 0),
            partial(camera.take, epoch=0),
        )
        yield EpochResult(0, rows, [], 0.0, 0.0, snapshot, frame)
    else:
        since.restore(steps)
        ledger.go_on()

    for epoch in range(1 if since is None else since.epoch + 1, settings.epochs + 1):
        if ledger.all_over:
            return
        plan = epochs.plan(epoch)
        result = epochs.run_steps(plan)
        measures, ending = between.after_epoch(result.measures, is_last=epoch == settings.epochs)
        rows, snapshot = ledger.rows(epoch, measures, ending), partial(Snapshot.of, steps, epoch)
        frame = partial(camera.take, epoch=epoch)
        yield EpochResult(epoch, rows, plan.hashes(), result.seconds, result.compile_seconds, snapshot, frame)


def _steps(stack: Stack, trials: Sequence[TrialSettings], loss: Loss, settings: StackSettings) -> Steps:
    weights, spared = stack.weights, None if settings.decay_biases else stack.biases
    return Steps(
        stack=stack,
        loss=loss,
        update=catalogue.get("optimizer", settings.optimizer).factory,
        state=initial_state(settings.optimizer, weights),
        options=stacked_options(settings.optimizer, [trial.options for trial in trials], weights, spared),
        clip_norm=clip_norms(trials, weights),
        loss_weight=column([trial.loss_weight for trial in trials], weights).squeeze(1),
        alive=weights.new_ones(len(trials), 1),
        taken=weights.new_zeros(len(trials), 1, dtype=torch.float64),
        loss_sum=weights.new_zeros(len(trials), dtype=torch.float64),
        waiting=None if settings.stop is None else Waiting(settings.stop, len(trials), weights.device),
        precision=settings.precision,
    )


class _Ledger:
    """Which trials still run, and their rows after an epoch."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._running = [True] * steps.stack.num_trials
        self._names = tuple(measured(steps.loss.problem))
        self._at_last = [name for name, each in measured(steps.loss.problem).items() if each.at_last]
        self._classes = steps.loss.problem.names
        self._has_few_classes = len(self._classes) <= MOST_CLASSES

    def go_on(self) -> None:
        """Only the trials that are not frozen are running."""
        self._running = [bool(lives) for lives in self._steps.alive.squeeze(1).tolist()]

    @property
    def all_over(self) -> bool:
        return not any(self._running)

    def rows(self, epoch: int, measures: Measures, ending: Tensor | None) -> list[Row | None]:
        """The row of each trial that was running; those that are `ending`, `[T]`, are frozen and over."""
        names = [name for name in self._names if name in measures and measures[name].dim() == 1]
        values = _numbers(torch.stack([measures[name] for name in names], 1))
        by_class = self._by_class(measures) if ending is not None or self._has_few_classes else {}
        ends = [False] * len(values) if ending is None else ending.tolist()
        nothing: Row = dict.fromkeys(("step", *self._names, "status"))
        rows: list[Row | None] = []
        alive, taken = self._steps.alive.squeeze(1).tolist(), self._steps.taken.squeeze(1).tolist()
        for trial, (lives, step) in enumerate(zip(alive, taken, strict=True)):
            if not self._running[trial]:
                rows.append(None)
                continue
            self._running[trial] = bool(lives) and not ends[trial]
            row = {**nothing, "step": int(step)}
            if lives:
                row |= zip(names, values[trial], strict=True)
                if not ends[trial]:
                    row |= dict.fromkeys(self._at_last)
                if ends[trial] or self._has_few_classes:
                    row |= {name: dict(zip(self._classes, of[trial], strict=True)) for name, of in by_class.items()}
            row["status"] = "diverged" if not lives else "finished" if ends[trial] else "running"
            rows.append(row)
        if ending is not None:
            self._steps.alive.mul_(~ending.to(self._steps.alive.device).unsqueeze(1))
        return rows

    def _by_class(self, measures: Measures) -> dict[str, Sequence[Sequence[float | None]]]:
        """The measures by class, by trial."""
        found = {name: measures[name] for name in self._names if name in measures and measures[name].dim() > 1}
        return {name: _numbers(each) for name, each in found.items()}


def _numbers(values: Tensor) -> Sequence[Sequence[float | None]]:
    """The numbers `[T, M]` of each trial; None for those that are not finite."""
    numbers: list[list[float]] = values.tolist()
    if values.isfinite().all():
        return numbers
    return [[each if math.isfinite(each) else None for each in row] for row in numbers]
