"""The training loop: one for a single trial and for many."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from clsbench.losses.contract import Loss
from clsbench.registry import catalogue
from clsbench.training.evaluation import Measures, Totals, evaluate, objective, progress, pull, quality
from clsbench.training.metrics import METRICS
from clsbench.training.optimizers import Settings, initial_state
from clsbench.training.randomness import seed_for
from clsbench.training.snapshot import Snapshot
from clsbench.training.stack import Stack, sent
from clsbench.training.step import CompiledSteps, Precision, Steps, best_unrolling, blocks

Row = dict[str, float | int | str | None]
Pair = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class TrialSettings:
    """What one trial of a stack has to itself, besides its initial weights."""

    seed: int
    lr: float
    momentum: float = 0.0
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    clip_norm: float | None = None
    loss_weight: float = 1.0
    rate_factor: Callable[[int], float] = lambda epoch: 1.0


@dataclass(frozen=True)
class EpochResult:
    """One epoch of a stack.

    `rows[t]` holds trial t's measures, last finished step and status; None once the trial is over.
    `batches[t]` is the hash of the order in which it saw the training samples. `seconds` is the time that
    the stack trained in this epoch, evaluation left out (on a GPU, which is not waited for, but for the running
    means of the training data), and `compile_seconds` that of compiling its steps. `snapshot()` copies what
    training can go on from, if it is asked for before the next result.
    """

    epoch: int
    rows: list[Row | None]
    batches: list[str]
    seconds: float
    compile_seconds: float
    snapshot: Callable[[], Snapshot]


def train(
    stack: Stack,
    trials: Sequence[TrialSettings],
    loss: Loss,
    *,
    train_data: Pair,
    val_data: Pair | None,
    test_data: Pair | None,
    optimizer: str = "sgd",
    nesterov: bool = False,
    batch_size: int,
    epochs: int,
    compiled: bool = False,
    precision: Precision = "float32",
    since: Snapshot | None = None,
) -> Iterator[EpochResult]:
    """Train every trial of a stack and yield what is known after each epoch, epoch 0 being before training.

    Data are pairs `x [N, ...]`, `y [N]` on the stack's device. A trial whose loss or gradient is not finite
    is frozen before that step, and one that cannot be measured on training or validation data after it; its
    last row says `diverged`. Training ends early when all have. `compiled` trains by compiled graphs, whose
    last bits are not those of eager steps; `precision` is that of the layers in a step, while all that is
    measured is so in float32. With `since` it goes on from there, and yields the epochs after.

    Raises:
        SnapshotMismatch: `since` is of another stack.
    """
    x, y = train_data
    seeds = [t.seed for t in trials]
    steps = _steps(stack, trials, loss, optimizer, nesterov, precision)
    unrolled = best_unrolling(len(y), batch_size) if compiled else 1
    take = CompiledSteps(steps) if compiled else steps
    ledger = _Ledger(len(trials), epochs)

    diagnosed = pull(loss, x.device)

    def measured(seen: Measures) -> Measures:
        """Every measure, `[T]` each, of which `seen` holds those of the training data, its loss unweighted."""
        if val_data is None:
            found = seen | evaluate(stack, x, y, diagnosed)
        else:
            found = seen | evaluate(stack, *val_data, quality(loss, "val"), diagnosed)
        if test_data is not None:
            found |= evaluate(stack, *test_data, quality(loss, "test"))
        return found | {name: found[name] * steps.loss_weight for name in ("train_loss", "logit_grad_norm")}

    if since is None:
        stack.train(False)
        first = measured(evaluate(stack, x, y, progress(loss), objective(loss)))
        steps.alive.mul_(_measurable(first))
        yield EpochResult(0, ledger.rows(0, first, steps), [], 0.0, 0.0, partial(Snapshot.of, steps, 0))
    else:
        since.restore(steps)
        ledger.go_on(steps)

    for epoch in range(1 if since is None else since.epoch + 1, epochs + 1):
        if ledger.all_over:
            return
        compiled_before = take.seconds
        stack.train(True)
        steps.loss_sum.zero_()
        started = time.perf_counter()
        order = sent(_batch_order(seeds, epoch, len(y)), x.device)
        rate = _column([t.lr * t.rate_factor(epoch - 1) for t in trials], x.device)
        steps.alive.mul_(rate.isfinite())
        rate.nan_to_num_(0.0, 0.0, 0.0)
        seen, measuring = Totals(progress(loss)), 0.0
        for logits, targets in _taken(steps, take, blocks(order, batch_size, unrolled), train_data, seeds, epoch, rate):
            paused = time.perf_counter()
            seen.add(logits, targets)
            measuring += time.perf_counter() - paused
        _synchronise(x.device)
        compiling = take.seconds - compiled_before
        seconds = time.perf_counter() - started - measuring - compiling
        stack.train(False)
        after = measured({"train_loss": steps.loss_sum / len(y), **seen.means(len(y))})
        steps.alive.mul_(_measurable(after))
        rows, snapshot = ledger.rows(epoch, after, steps), partial(Snapshot.of, steps, epoch)
        yield EpochResult(epoch, rows, _hashes(order), seconds, compiling, snapshot)


def _taken(
    steps: Steps,
    take: Callable[..., Tensor],
    batches: Iterable[Tensor],
    data: Pair,
    seeds: Sequence[int],
    epoch: int,
    rate: Tensor,
) -> Iterator[Pair]:
    """Take an epoch's steps and yield the logits `[T, n, K]` that they saw, with the targets.

    The device is never waited for. Blocks of the shape of the first are for `take`, the rest is taken eagerly.
    """
    stack, number, first = steps.stack, 0, None
    with stack.own_chance():
        for block in batches:
            first = first or block.shape
            _, count, size = block.shape
            masks = [stack.dropout_masks(seeds, (epoch, number + i), size) for i in range(count)]
            flat = block.flatten()
            inputs, targets = (each.index_select(0, flat).unflatten(0, block.shape) for each in data)
            stack.seeded(seeds, (epoch, number))
            logits = (take if block.shape == first else steps)(inputs, targets, masks, rate)
            number += count
            yield logits.flatten(1, 2), targets.flatten(1, 2)


def _steps(
    stack: Stack,
    trials: Sequence[TrialSettings],
    loss: Loss,
    optimizer: str,
    nesterov: bool,
    precision: Precision,
) -> Steps:
    weights = stack.weights
    return Steps(
        stack=stack,
        loss=loss,
        update=catalogue.get("optimizer", optimizer).factory,
        state=initial_state(optimizer, weights),
        settings=_settings(trials, nesterov, weights.device),
        loss_weight=_column([t.loss_weight for t in trials], weights.device).squeeze(1),
        alive=weights.new_ones(len(trials), 1),
        taken=weights.new_zeros(len(trials), 1, dtype=torch.float64),
        loss_sum=weights.new_zeros(len(trials), dtype=torch.float64),
        precision=precision,
    )


class _Ledger:
    """Which trials still run, and the rows that an epoch leaves of them."""

    def __init__(self, num_trials: int, epochs: int) -> None:
        self._running = [True] * num_trials
        self._epochs = epochs

    def go_on(self, steps: Steps) -> None:
        """Only the trials that still move are running."""
        self._running = [bool(lives) for lives in steps.alive.squeeze(1).tolist()]

    @property
    def all_over(self) -> bool:
        return not any(self._running)

    def rows(self, epoch: int, measures: Measures, steps: Steps) -> list[Row | None]:
        names = [name for name in METRICS if name in measures]
        values = torch.stack([measures[name] for name in names], 1).tolist()
        last = "finished" if epoch == self._epochs else "running"
        nothing: Row = dict.fromkeys(("step", *METRICS, "status"))
        rows: list[Row | None] = []
        alive, taken = steps.alive.squeeze(1).tolist(), steps.taken.squeeze(1).tolist()
        for trial, (lives, step) in enumerate(zip(alive, taken, strict=True)):
            if not self._running[trial]:
                rows.append(None)
                continue
            self._running[trial] = bool(lives)
            measured = zip(names, map(_finite, values[trial]), strict=True) if lives else ()
            rows.append({**nothing, "step": int(step), **dict(measured), "status": last if lives else "diverged"})
        return rows


def _settings(trials: Sequence[TrialSettings], nesterov: bool, device: torch.device) -> Settings:
    """The trials' settings, without those that none of them uses."""

    def used(setting: Callable[[TrialSettings], float], unused: float) -> Tensor | None:
        values = [setting(trial) for trial in trials]
        return None if all(value == unused for value in values) else _column(values, device)

    return Settings(
        lr=_column([t.lr for t in trials], device),
        momentum=used(lambda t: t.momentum, 0.0),
        weight_decay=used(lambda t: t.weight_decay, 0.0),
        betas=tuple(_column([t.betas[i] for t in trials], device, torch.float64) for i in (0, 1)),
        eps=_column([t.eps for t in trials], device),
        clip_norm=used(lambda t: math.inf if t.clip_norm is None else t.clip_norm, math.inf),
        nesterov=nesterov,
    )


def _column(values: Sequence[float], device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    return sent(torch.tensor(values, dtype=torch.float64).to(dtype).unsqueeze(1), device)


def _batch_order(seeds: Sequence[int], epoch: int, num_samples: int) -> Tensor:
    """`[T, N]`: the order of one epoch, which hangs on (seed, epoch) and the number of samples alone."""
    order = torch.empty(len(seeds), num_samples, dtype=torch.int64)
    generator = torch.Generator()  # to make one takes longer than to seed it
    for row, seed in zip(order, seeds, strict=True):
        torch.randperm(num_samples, generator=generator.manual_seed(seed_for("batches", seed, epoch)), out=row)
    return order


def _hashes(order: Tensor) -> list[str]:
    return [hashlib.sha256(row).hexdigest() for row in order.cpu().to(torch.int32).numpy()]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _measurable(measures: Measures) -> Tensor:
    """`[T, 1]`: the trials whose every measure is finite; what test data says decides nothing."""
    known = [value for name, value in measures.items() if not name.startswith("test_")]
    return torch.stack(known).isfinite().all(0).unsqueeze(1)


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
