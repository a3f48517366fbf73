"""The training step of a stack: forward, loss, backward and update, for all trials at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import torch
from torch import Tensor

from clsbench.losses.contract import Loss
from clsbench.training.layout import ALL, rows
from clsbench.training.optimizers import State, Update, clipped
from clsbench.training.settings import Precision, StackedOptions, mapped_options, options_of
from clsbench.training.stack import Stack
from clsbench.training.stopping import Waiting

Masks = Mapping[str, Tensor]

# Steps in one compiled graph: more save calls and cost compile time.
UNROLLED = range(1, 9)


@dataclass(frozen=True)
class Batches:
    """What S steps of one size train on.

    `inputs`, `targets`: `[S, T, B, ...]` and `[S, T, B]`; `masks`, the dropout masks of each step; `rate [T, 1]`, the
    learning rates. `shares`, `[B]` of each step, is the share of each sample in the loss: 1/n, and 0 for those that
    only fill up a batch of n; None if nothing is ever filled up.
    """

    inputs: Tensor
    targets: Tensor
    masks: Sequence[Masks]
    rate: Tensor
    shares: Sequence[Tensor] | None = None

    def some(self, steps: slice) -> Batches:
        """Those of some steps."""
        shares = None if self.shares is None else self.shares[steps]
        return Batches(self.inputs[steps], self.targets[steps], self.masks[steps], self.rate, shares)

    def of(self, trials: slice) -> Batches:
        """Those of some trials."""
        if trials == ALL:
            return self
        masks = [{name: mask[trials] for name, mask in step.items()} for step in self.masks]
        return Batches(self.inputs[:, trials], self.targets[:, trials], masks, self.rate[trials], self.shares)


@dataclass
class Steps:
    """The state that steps change, and their settings.

    `alive [T, 1]` is 1 for the trials that are not frozen, else 0; `taken [T, 1]` counts the steps of each;
    `loss_weight [T]` multiplies the loss; `loss_sum [T]` adds up every sample's, unweighted. `options` are those of
    the optimizer; `clip_norm [T, 1]` bounds the norm of each trial's gradient. `waiting` changes between epochs alone.
    """

    stack: Stack
    loss: Loss
    update: Update
    state: State
    options: StackedOptions
    clip_norm: Tensor | None
    loss_weight: Tensor
    alive: Tensor
    taken: Tensor
    loss_sum: Tensor
    waiting: Waiting | None = None
    precision: Precision = "float32"
    seconds: ClassVar[float] = 0.0  # nothing is compiled

    def __call__(self, batches: Batches) -> Tensor:
        """Take S steps, one after the other; return their logits `[T, S, B, K]`."""
        shares: Sequence[Tensor | None] = batches.shares or [None] * len(batches.masks)
        each = zip(batches.inputs.unbind(), batches.targets.unbind(), batches.masks, shares, strict=True)
        # Samples last in memory, the layout of layers and of evaluation.
        return torch.stack([self._one(*batch, batches.rate).mT for batch in each], 2).movedim(1, -1)

    def of(self, trials: slice) -> Steps:
        """The steps of some trials, to be compiled; they share this object's state."""
        return replace(self.mapped(lambda tensor: tensor[trials]), loss=self.loss.of(trials))

    def mapped(self, function: Callable[[Tensor], Tensor]) -> Steps:
        """These steps with other tensors, to be compiled."""
        return replace(
            self,
            stack=self.stack.mapped(function),
            loss=self.loss.mapped(function),
            state={name: function(tensor) for name, tensor in self.state.items()},
            options=mapped_options(self.options, function),
            clip_norm=None if self.clip_norm is None else function(self.clip_norm),
            loss_weight=function(self.loss_weight),
            alive=function(self.alive),
            taken=function(self.taken),
            loss_sum=function(self.loss_sum),
        )

    @cached_property
    def tensors(self) -> list[Tensor]:
        """All tensors beside the batches; training writes into them, and none takes another's place."""
        found: list[Tensor] = []

        def seen(tensor: Tensor) -> Tensor:
            found.append(tensor)
            return tensor

        self.mapped(seen)
        return found

    def _one(self, inputs: Tensor, targets: Tensor, masks: Masks, share: Tensor | None, rate: Tensor) -> Tensor:
        """A trial whose loss or gradient is not finite is frozen before the step."""
        stack, before = self.stack, self.stack.kept_buffers()
        with torch.enable_grad():
            with self._casting():
                logits, backward = stack.tracked(inputs, masks)
            logits = logits.float()
            by_sample = self._drawn(logits, targets) if self.loss.draws else self.loss(logits, targets)
            loss_weights = self.loss_weight.unsqueeze(1)
            sample_weights = loss_weights / by_sample.shape[1] if share is None else loss_weights * share
            gradients = backward((by_sample * sample_weights).sum())
        counted = by_sample.detach() if share is None else by_sample.detach().where(share > 0, 0.0)
        losses = counted.sum(-1, dtype=torch.float64)
        self.loss_sum.add_(losses)
        # A compiled graph reads the weights once, whatever their number.
        for trials in [ALL] if torch.compiler.is_compiling() else stack.groups():
            self._move(trials, gradients, losses.float(), rate)
        stack.put_back(before, self.alive)
        self.taken.add_(self.alive)
        return logits.detach()

    def _drawn(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of every sample, `[T, B]`, of a loss that draws from PyTorch's global generator."""
        losses = []
        for trial, pair in enumerate(zip(logits, targets, strict=True)):
            self.stack.seed_for_trial(trial, "loss")
            losses.append(self.loss(*pair))
        return torch.stack(losses)

    def _move(self, trials: slice, gradients: Tensor, losses: Tensor, rate: Tensor) -> None:
        """Update the weights of some trials, and freeze those that are not finite."""
        alive, gradients = rows(self.alive, trials), rows(gradients, trials)
        # The cheapest check of every gradient; one so large that the sum overflows counts as infinite.
        alive.mul_((rows(losses, trials) + gradients.sum(-1)).isfinite().unsqueeze(1))
        # All gradients of a trial that is not frozen are finite. Each way is several times slower in the other mode.
        if torch.compiler.is_compiling():
            gradients = torch.where(alive > 0, gradients, 0.0)
        elif alive.device.type != "cpu" or not alive.all():
            gradients.nan_to_num_(0.0, 0.0, 0.0).mul_(alive)
        state = {name: rows(tensor, trials) for name, tensor in self.state.items()}
        if self.clip_norm is not None:
            gradients = clipped(gradients, rows(self.clip_norm, trials))
        options = options_of(self.options, trials)
        self.update(rows(self.stack.weights, trials), gradients, state, lr=rows(rate, trials) * alive, **options)

    def _casting(self) -> AbstractContextManager[object]:
        """The precision of the layers; the weights, the loss and the update are float32."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.stack.weights.device.type, torch.bfloat16, cache_enabled=False)


def blocks(order: Tensor, batch_size: int, together: int) -> Iterator[Tensor]:
    """`order [T, N]` as the batches of an epoch, `[T, S, B]` each: at most `together` steps, a smaller batch alone."""
    whole = order.shape[1] // batch_size * batch_size
    for start in range(0, whole, together * batch_size):
        yield order[:, start : min(start + together * batch_size, whole)].unflatten(1, (-1, batch_size))
    if whole < order.shape[1]:
        yield order[:, whole:].unsqueeze(1)


def in_turn(logits: Sequence[Tensor]) -> Tensor:
    """The logits `[T, S, B, K]` of several calls, one after the other; samples stay last in memory."""
    return logits[0] if len(logits) == 1 else torch.cat([each.movedim(-1, 1) for each in logits], 2).movedim(1, -1)


def best_unrolling(num_steps: int) -> int:
    """How many steps to trace into one graph, whose calls then take all of an epoch's."""
    return max(number for number in UNROLLED if num_steps % number == 0)
