"""Optimizers over a stack: one written-out update moves every trial, each by its own settings.

`weights` and `gradients` are `[T, P]`, every setting is a column `[T, 1]`, and `state` starts as zeros.
Each update equals `torch.optim`'s on one trial. Only arithmetic and square roots are used, whose bits do
not hang on an element's place in the tensor.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from clsbench.registry import catalogue, optimizer
from clsbench.training.layout import ALL, PART

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Settings:
    """What an update needs to know of its trials, as columns `[T, 1]`; None where no trial uses it.

    A trial without momentum beside one with it gets the same bits as alone: 0 v + g is g.
    """

    lr: Tensor
    momentum: Tensor | None
    weight_decay: Tensor | None
    betas: tuple[Tensor, ...]
    eps: Tensor
    clip_norm: Tensor | None
    nesterov: bool = False

    def of(self, trials: slice, lr: Tensor) -> Settings:
        """The settings of some trials, at other learning rates."""
        if trials == ALL:
            return replace(self, lr=lr)
        return Settings(
            lr,
            momentum=None if self.momentum is None else self.momentum[trials],
            weight_decay=None if self.weight_decay is None else self.weight_decay[trials],
            betas=tuple(beta[trials] for beta in self.betas),
            eps=self.eps[trials],
            clip_norm=None if self.clip_norm is None else self.clip_norm[trials],
            nesterov=self.nesterov,
        )


State = dict[str, "Tensor"]
Update = Callable[["Tensor", "Tensor", State, Settings], None]


def initial_state(name: str, weights: Tensor) -> State:
    """What an optimizer keeps of trials with `weights [T, P]`, before the first step: all zeros."""
    facts = catalogue.get("optimizer", name).facts
    state = {name: weights.new_zeros(weights.shape) for name in facts["state"]}
    return state | {name: weights.new_zeros(len(weights), 1).double() for name in facts["columns"]}


@optimizer("sgd", state=("velocity",))
def sgd(weights: Tensor, gradients: Tensor, state: State, settings: Settings) -> None:
    """Stochastic gradient descent, with momentum and Nesterov's variant; weight decay enters the gradient."""
    step = _decayed(_clipped(gradients, settings), weights, settings)
    if settings.momentum is not None:
        import torch

        velocity = state["velocity"]
        torch.addcmul(step, velocity, settings.momentum, out=velocity)
        step = step.addcmul(velocity, settings.momentum) if settings.nesterov else velocity
    weights.addcmul_(step, settings.lr, value=-1)


@optimizer("adam", state=("mean", "square"), columns=("correction1", "correction2"))
def adam(weights: Tensor, gradients: Tensor, state: State, settings: Settings) -> None:
    """Adam; weight decay enters the gradient.

    Source: Kingma and Ba 2015, Adam: A Method for Stochastic Optimization, algorithm 1.
    """
    _adaptive_step(
        weights,
        _decayed(_clipped(gradients, settings), weights, settings),
        state,
        settings,
    )


@optimizer("adamw", state=("mean", "square"), columns=("correction1", "correction2"))
def adamw(weights: Tensor, gradients: Tensor, state: State, settings: Settings) -> None:
    """AdamW: Adam with weight decay apart from the gradient.

    Source: Loshchilov and Hutter 2019, Decoupled Weight Decay Regularization, algorithm 2.
    """
    if settings.weight_decay is not None:
        weights.mul_(1 - settings.lr * settings.weight_decay)
    _adaptive_step(weights, _clipped(gradients, settings), state, settings)


def _adaptive_step(weights: Tensor, gradients: Tensor, state: State, settings: Settings) -> None:
    beta1, beta2 = settings.betas
    mean, square = state["mean"], state["square"]
    # 1 - beta^step by recurrence, in double precision: a power's last bit would hang on its place.
    correction1 = state["correction1"].mul_(beta1).add_(1 - beta1)
    correction2 = state["correction2"].mul_(beta2).add_(1 - beta2)
    mean.lerp_(gradients, (1 - beta1).to(mean.dtype))
    square.mul_(beta2.to(mean.dtype)).addcmul_(gradients.square(), (1 - beta2).to(mean.dtype))
    root = square.sqrt().div_(correction2.sqrt().to(mean.dtype)).add_(settings.eps)
    weights.addcmul_(mean.div(root), (settings.lr / correction1).to(mean.dtype), value=-1)


def _decayed(gradients: Tensor, weights: Tensor, settings: Settings) -> Tensor:
    if settings.weight_decay is None:
        return gradients
    return gradients.addcmul(weights, settings.weight_decay)


def _clipped(gradients: Tensor, settings: Settings) -> Tensor:
    """Gradients scaled so that no trial's L2 norm exceeds its `clip_norm`, as `clip_grad_norm_` does.

    The norm is summed in parts of fixed length, whose bits do not hang on threads or on the stack.
    """
    if settings.clip_norm is None:
        return gradients
    norm = gradients.square().unflatten(1, (-1, PART)).sum(-1).sum(-1, keepdim=True).sqrt()
    # An unclipped trial (infinite `clip_norm`) whose norm overflows would get inf / inf.
    factor: Tensor = (settings.clip_norm / (norm + 1e-6)).nan_to_num(nan=1.0).clamp(max=1.0)
    return gradients * factor


def constant(epoch: int, epochs: int, *, step: int, gamma: float) -> float:
    """The rate stays."""
    return 1.0


def step_decay(epoch: int, epochs: int, *, step: int, gamma: float) -> float:
    """The rate is multiplied by `gamma` every `step` epochs."""
    try:
        return gamma ** (epoch // step)
    except OverflowError:
        return math.inf


def cosine(epoch: int, epochs: int, *, step: int, gamma: float) -> float:
    """The rate falls to zero along half a cosine over the epochs after the warm-up."""
    return 0.5 * (1 + math.cos(math.pi * epoch / epochs))


SCHEDULES: dict[str, Callable[..., float]] = {
    "constant": constant,
    "step": step_decay,
    "cosine": cosine,
}


def rate_factor(schedule: str, epoch: int, epochs: int, *, warmup: int, step: int, gamma: float) -> float:
    """What the learning rate is multiplied by in an epoch (from 0), which is constant within the epoch.

    Warm-up rises in equal steps, 1 / (warmup + 1), 2 / (warmup + 1), ...; the schedule then starts.
    """
    if epoch < warmup:
        return (epoch + 1) / (warmup + 1)
    return SCHEDULES[schedule](epoch - warmup, max(epochs - warmup, 1), step=step, gamma=gamma)
