"""One epoch of a stack: its order of samples and learning rates, its steps and the metrics of its batches."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from clsbench.losses.contract import Loss
from clsbench.training.compiled import CompiledSteps
from clsbench.training.evaluation import Measures, Totals
from clsbench.training.measure import OBJECTIVE, prediction_metrics
from clsbench.training.quantities import Ruler
from clsbench.training.rng import own_rng, seed_for
from clsbench.training.settings import Pair, StackData, StackSettings, TrialSettings, column
from clsbench.training.stack import Stack, sent
from clsbench.training.step import Batches, Masks, Steps, blocks

# The most numbers in batches that are looked up together: each look-up takes as long as a small step.
NUMBERS_AT_ONCE = 2**20


@dataclass(frozen=True)
class EpochPlan:
    """The plan of an epoch: `order [T, N]`, the order of the samples, and `rate [T, 1]`, the learning rates,
    into which nothing may be written.

    `started` is its start by `perf_counter`.
    """

    epoch: int
    order: Tensor
    rate: Tensor
    started: float

    def hashes(self) -> list[str]:
        """The hash of each trial's order."""
        return [hashlib.sha256(row).hexdigest() for row in self.order.cpu().to(torch.int32).numpy()]


@dataclass(frozen=True)
class StepsResult:
    """A trained epoch: the running means over its batches, `[T]` each, the loss unweighted, and its time."""

    measures: Measures
    seconds: float
    compile_seconds: float


@dataclass(frozen=True)
class Filling:
    """Fills an epoch's last batch up by copies of its samples, so that a graph for full batches takes it too.

    `shares` are those of each step (see `Batches`). The last batch has `num_last` samples; `places [B]` says which of
    them stands at each place once it is filled up.
    """

    shares: Sequence[Tensor]
    places: Tensor
    num_last: int

    @classmethod
    def of(cls, num_samples: int, batch_size: int, device: torch.device) -> Filling:
        """For an epoch of so many samples."""
        before = (num_samples - 1) // batch_size
        num_last = num_samples - before * batch_size
        places = torch.arange(batch_size, device=device)
        last = (places < num_last) / num_last
        return cls([last.new_full((batch_size,), 1 / batch_size)] * before + [last], places % num_last, num_last)

    def order(self, order: Tensor) -> Tensor:
        """`order [T, N]` with its copies."""
        if self.num_last == len(self.places):
            return order
        before = order.shape[1] - self.num_last
        return torch.cat([order[:, :before], order[:, before:].index_select(1, self.places)], 1)


class _Rows:
    """The samples `x [N, ...]` to be looked up; those of eight bytes as one number each, three times as fast."""

    def __init__(self, x: Tensor) -> None:
        self._dtype, self._are_numbers = x.dtype, x.dim() == 2 and x.shape[1] * x.element_size() == 8
        self._rows = x.contiguous().view(torch.int64).squeeze(1) if self._are_numbers else x

    def at(self, places: Tensor) -> Tensor:
        """`x[places]`."""
        found = self._rows.index_select(0, places)
        return found.unsqueeze(1).view(self._dtype) if self._are_numbers else found


class Epochs:
    """Takes the steps of a stack, an epoch at a time."""

    def __init__(self, steps: Steps, trials: Sequence[TrialSettings], data: StackData, settings: StackSettings) -> None:
        self._steps, self._trials = steps, trials
        self._ruler = Ruler(steps.loss, data.train[0].device)
        self._measured = prediction_metrics(steps.loss.problem, "train")
        self._seeds = [trial.seed for trial in trials]
        self._num_samples = data.train[1].shape[0 if data.places is None else 1]
        # Different splits lie one after the other: a trial's samples are those from its own split's first on.
        x, y = data.train if data.places is None else [each.flatten(0, 1) for each in data.train]
        self._inputs, self._targets = _Rows(x), y
        self._first = None if data.places is None else (data.places * self._num_samples).unsqueeze(1)
        self._batch_size = min(settings.batch_size, self._num_samples)
        self._take: Steps | CompiledSteps = steps
        at_most = batches_at_once(steps.stack, steps.loss, x, self._batch_size)
        # Steps that draw are seeded one by one.
        self._together = 1 if self._draws else max(1, at_most)
        self._filling: Filling | None = None
        self._rates: list[float] = []
        self._rate = steps.stack.weights.new_empty(0)
        if settings.compiled:
            self._take = compiled = CompiledSteps(steps, self._num_samples, self._batch_size)
            self._together = max(1, at_most // compiled.unrolled) * compiled.unrolled
            if compiled.fills_up:
                self._filling = Filling.of(self._num_samples, self._batch_size, data.train[0].device)

    def plan(self, epoch: int) -> EpochPlan:
        """The plan of epoch `epoch` (from 1); a trial whose learning rate is not finite is frozen."""
        started, steps = time.perf_counter(), self._steps
        order = sent(_batch_order(self._seeds, epoch, self._num_samples), self._targets.device)
        rates = [trial.lr * trial.rate_factor(epoch - 1) for trial in self._trials]
        if rates != self._rates:  # most schedules keep them for many epochs
            self._rates, rate = rates, column(rates, steps.stack.weights)
            steps.alive.mul_(rate.isfinite())
            self._rate = rate.nan_to_num_(0.0, 0.0, 0.0)
        return EpochPlan(epoch, order, self._rate, started)

    def run_steps(self, plan: EpochPlan) -> StepsResult:
        """Take the steps and measure their batches; the time of measuring is not counted."""
        steps, compiled_before, measuring = self._steps, self._take.seconds, 0.0
        steps.stack.train(True)
        steps.loss_sum.zero_()
        seen = Totals(self._ruler, self._measured)
        for logits, targets in self.logits(plan):
            paused = time.perf_counter()
            seen.add(logits, targets)
            measuring += time.perf_counter() - paused
        _synchronise(plan.order.device)
        compiling = self._take.seconds - compiled_before
        seconds = time.perf_counter() - plan.started - measuring - compiling
        num_samples = plan.order.shape[1]
        means = {OBJECTIVE.name: steps.loss_sum / num_samples, **seen.values(num_samples)}
        return StepsResult(means, seconds, compiling)

    def logits(self, plan: EpochPlan) -> Iterator[Pair]:
        """Take an epoch's steps and yield their logits `[T, n, K]`, with the targets.

        It never waits for the device. Several batches are looked up together (see `batches_at_once`), unless steps
        may draw; a smaller batch that may not be filled up is taken eagerly, alone.
        """
        stack, number, filling = self._steps.stack, 0, self._filling
        order = plan.order if self._first is None else plan.order + self._first
        with self._own_rng():
            for block in blocks(order if filling is None else filling.order(order), self._batch_size, self._together):
                trials, count, size = block.shape
                masks = [self._masks(plan.epoch, number + i, size) for i in range(count)]
                flat, shape = block.movedim(1, 0).flatten(), (count, trials, size)
                inputs = self._inputs.at(flat).unflatten(0, shape)
                targets = self._targets.index_select(0, flat).unflatten(0, shape)
                stack.begin_step(self._seeds, (plan.epoch, number))
                take = self._take if size == self._batch_size else self._steps
                shares = None if filling is None else filling.shares[number : number + count]
                logits = take(Batches(inputs, targets, masks, plan.rate, shares))
                seen = min(count * size, self._num_samples - number * self._batch_size)
                number += count
                yield logits.flatten(1, 2)[:, :seen], targets.movedim(0, 1).flatten(1, 2)[:, :seen]

    def _masks(self, epoch: int, number: int, size: int) -> Masks:
        """The dropout masks of one step; a copy of a sample has that of the sample."""
        filling, step = self._filling, (epoch, number)
        if filling is None or number < len(filling.shares) - 1:
            return self._steps.stack.dropout_masks(self._seeds, step, size)
        masks = self._steps.stack.dropout_masks(self._seeds, step, filling.num_last)
        return {name: mask.index_select(1, filling.places) for name, mask in masks.items()}

    def _own_rng(self) -> AbstractContextManager[None]:
        """Around an epoch's steps: what they draw from PyTorch's global generators leaves those as they were."""
        return own_rng(self._steps.stack.weights.device) if self._draws else nullcontext()

    @property
    def _draws(self) -> bool:
        """Whether steps may draw from PyTorch's global generators."""
        return self._steps.loss.draws or not self._steps.stack.stacked


def batches_at_once(stack: Stack, loss: Loss, inputs: Tensor, batch_size: int) -> int:
    """How many batches of `inputs [N, ...]` may be looked up together, with their dropout masks and logits.

    0 where a single one is too large.
    """
    numbers = prod(inputs.shape[1:]) + stack.num_masked + loss.num_outputs
    return NUMBERS_AT_ONCE // (stack.num_trials * batch_size * numbers)


def _batch_order(seeds: Sequence[int], epoch: int, num_samples: int) -> Tensor:
    """`[T, N]`: the order of one epoch, which depends on (seed, epoch) and the number of samples alone."""
    row_of = {seed: row for row, seed in enumerate(dict.fromkeys(seeds))}  # tuning trains many trials of a seed
    order = torch.empty(len(row_of), num_samples, dtype=torch.int64)
    generator = torch.Generator()  # constructing one takes longer than seeding it
    for row, seed in zip(order, row_of, strict=True):
        torch.randperm(num_samples, generator=generator.manual_seed(seed_for("batches", seed, epoch)), out=row)
    return order if len(row_of) == len(seeds) else order[[row_of[seed] for seed in seeds]]


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
