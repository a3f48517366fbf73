"""The training loop: one for a single trial and for many."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clsbench.losses.contract import Loss
from clsbench.registry import catalogue
from clsbench.training.evaluation import Measures, diagnose, evaluate, initial_measures, training_measures
from clsbench.training.metrics import METRICS
from clsbench.training.optimizers import Settings, State, Update
from clsbench.training.randomness import generator_for
from clsbench.training.stack import Stack

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
    `batches[t]` is the hash of the order in which it saw the training samples. `seconds` is the time the
    whole stack has trained so far, evaluation left out.
    """

    epoch: int
    rows: list[Row | None]
    batches: list[str]
    seconds: float


def train(
    stack: Stack,
    trials: Sequence[TrialSettings],
    loss: Loss,
    *,
    train_data: Pair,
    val_data: Pair | None,
    test_data: Pair,
    optimizer: str = "sgd",
    nesterov: bool = False,
    batch_size: int,
    epochs: int,
) -> Iterator[EpochResult]:
    """Train every trial of a stack and yield what is known after each epoch, epoch 0 being before training.

    Data are pairs `x [N, ...]`, `y [N]` on the stack's device. A trial whose loss or gradient is not finite
    is frozen before that step, and one that an epoch's end cannot measure after it; its last row says
    `diverged`. Training ends early when all have.
    """
    x, y = train_data
    update: Update = catalogue.get("optimizer", optimizer).factory
    settings = _settings(trials, nesterov, x.device)
    weight = _column([t.loss_weight for t in trials], x.device).squeeze(1)
    seeds = [t.seed for t in trials]
    state: State = {}
    alive = torch.ones(len(trials), 1, device=x.device)
    steps = torch.zeros(len(trials), 1, device=x.device, dtype=torch.float64)
    ledger = _Ledger(len(trials), epochs)

    def measured(seen: Measures) -> Measures:
        measures = {f"train_{name}": value for name, value in seen.items()}
        for split, data in (("val", val_data), ("test", test_data)):
            if data is not None:
                measures |= {f"{split}_{name}": value for name, value in evaluate(stack, loss, *data).items()}
        return measures | diagnose(stack, loss, *(val_data or train_data), weight)

    first = measured(initial_measures(stack, loss, x, y, weight))
    alive *= _measurable(first)
    yield EpochResult(0, ledger.rows(0, first, alive, steps), [], 0.0)

    seconds = 0.0
    for epoch in range(1, epochs + 1):
        if ledger.all_over:
            return
        started = time.perf_counter()
        order = _batch_order(seeds, epoch, len(y)).to(x.device)
        rate = _column([t.lr * t.rate_factor(epoch - 1) for t in trials], x.device)
        logits = torch.empty(*order.shape, loss.num_outputs, device=x.device)
        for number, batch in enumerate(order.split(batch_size, dim=1)):
            buffers = stack.kept_buffers()
            masks = stack.dropout_masks(seeds, step=(epoch, number), batch_size=batch.shape[1])
            outputs = stack.forward(_gathered(x, batch), training=True, masks=masks)
            losses = loss(outputs, y[batch]).mean(-1) * weight
            gradients = stack.gradient(losses.sum())
            # A sum of gradients is finite where all of them are: the cheapest look at every one.
            alive *= (losses.detach() + gradients.sum(-1)).isfinite().unsqueeze(1)
            gradients.nan_to_num_(0.0, 0.0, 0.0).mul_(alive)
            stack.put_back(buffers, alive)
            update(stack.weights, gradients, state, settings.at_rate(rate * alive))
            logits[:, number * batch_size :][:, : batch.shape[1]] = outputs.detach()
            steps += alive
        _synchronise(x.device)
        seconds += time.perf_counter() - started
        after = measured(training_measures(loss, logits, y[order], weight))
        alive *= _measurable(after)
        yield EpochResult(epoch, ledger.rows(epoch, after, alive, steps), _hashes(order), seconds)


class _Ledger:
    """Which trials still run, and the rows that an epoch leaves of them."""

    def __init__(self, num_trials: int, epochs: int) -> None:
        self._running = [True] * num_trials
        self._epochs = epochs

    @property
    def all_over(self) -> bool:
        return not any(self._running)

    def rows(self, epoch: int, measures: Measures, alive: Tensor, steps: Tensor) -> list[Row | None]:
        values = {name: tensor.tolist() for name, tensor in measures.items()}
        last = "finished" if epoch == self._epochs else "running"
        rows: list[Row | None] = []
        for trial, (lives, step) in enumerate(zip(alive.squeeze(1).tolist(), steps.squeeze(1).tolist(), strict=True)):
            if not self._running[trial]:
                rows.append(None)
                continue
            self._running[trial] = bool(lives)
            row: Row = {"step": int(step)}
            row |= {name: values[name][trial] if lives and name in values else None for name in METRICS}
            rows.append(row | {"status": last if lives else "diverged"})
        return rows


def _settings(trials: Sequence[TrialSettings], nesterov: bool, device: torch.device) -> Settings:
    def used(values: Sequence[float], unused: float) -> Tensor | None:
        return None if set(values) == {unused} else _column(values, device)

    return Settings(
        lr=_column([t.lr for t in trials], device),
        momentum=used([t.momentum for t in trials], 0.0),
        weight_decay=used([t.weight_decay for t in trials], 0.0),
        betas=tuple(_column([t.betas[i] for t in trials], device, torch.float64) for i in (0, 1)),
        eps=_column([t.eps for t in trials], device),
        clip_norm=used([math.inf if t.clip_norm is None else t.clip_norm for t in trials], math.inf),
        nesterov=nesterov,
    )


def _column(values: Sequence[float], device: torch.device, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).to(dtype).unsqueeze(1).to(device)


def _batch_order(seeds: Sequence[int], epoch: int, num_samples: int) -> Tensor:
    """`[T, N]`: the order of one epoch, which hangs on (seed, epoch) and the number of samples alone."""
    return torch.stack([torch.randperm(num_samples, generator=generator_for("batches", s, epoch)) for s in seeds])


def _gathered(x: Tensor, batch: Tensor) -> Tensor:
    """`x [N, ...]` at `batch [T, B]`, as `[T, B, ...]`: one copy for all trials."""
    return x.index_select(0, batch.reshape(-1)).view(*batch.shape, *x.shape[1:])


def _hashes(order: Tensor) -> list[str]:
    return [hashlib.sha256(row.numpy().tobytes()).hexdigest() for row in order.cpu()]


def _measurable(measures: Measures) -> Tensor:
    """`[T, 1]`: the trials whose every measure is finite."""
    return torch.stack(list(measures.values())).isfinite().all(0).unsqueeze(1)


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
