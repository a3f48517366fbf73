"""Optimizers over a stack: one written-out update moves every trial, each by its own options.

`registry.optimizer` documents the arguments of an update. Each equals `torch.optim`'s on one trial. They use only
arithmetic and square roots, whose bits do not depend on an element's place in the tensor.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from annotated_types import Ge, Gt, Lt

from clsbench.registry import Column, catalogue, optimizer
from clsbench.training.layout import PART

if TYPE_CHECKING:
    from torch import Tensor

    Number = Any  # the signature has the types of the config; an update gets columns
else:
    Number = float

State = dict[str, "Tensor"]
Update = Callable[..., None]

Rate = Annotated[Number, Gt(0)]
# A trial without momentum has the same bits beside one with it as alone: 0 v + g is g.
Momentum = Annotated[Number, Ge(0), Lt(1), Column(off=0.0)]
WeightDecay = Annotated[Number, Ge(0), Column(off=0.0, decays=True)]
# The decay of a running mean: 1 - decay would lose half of its digits in float32.
Decay = Annotated[Number, Ge(0), Lt(1), Column(double=True)]
Epsilon = Annotated[Number, Gt(0)]


def initial_state(name: str, weights: Tensor) -> State:
    """The optimizer state of trials with `weights [T, P]` before the first step: all zeros."""
    spec = catalogue.get("optimizer", name)
    state = {name: weights.new_zeros(weights.shape) for name in spec.state}
    return state | {name: weights.new_zeros(len(weights), 1).double() for name in spec.columns}


def _nesterov_alone(momentum: float, nesterov: bool) -> dict[str, str]:
    return {"nesterov": "needs a momentum above 0"} if nesterov and momentum == 0 else {}


@optimizer("sgd", state=("velocity",), conflicts=_nesterov_alone)
def sgd(
    weights: Tensor,
    gradients: Tensor,
    state: State,
    *,
    lr: Rate = 0.1,
    momentum: Momentum = 0.0,
    nesterov: bool = False,
    weight_decay: WeightDecay = 0.0,
) -> None:
    """Stochastic gradient descent, with momentum and Nesterov's variant; weight decay enters the gradient."""
    step = _decayed(gradients, weights, weight_decay)
    if momentum is not None:
        import torch

        velocity = state["velocity"]
        torch.addcmul(step, velocity, momentum, out=velocity)
        step = step.addcmul(velocity, momentum) if nesterov else velocity
    weights.addcmul_(step, lr, value=-1)


@optimizer("adam", state=("mean", "square"), columns=("correction1", "correction2"))
def adam(
    weights: Tensor,
    gradients: Tensor,
    state: State,
    *,
    lr: Rate = 0.1,
    weight_decay: WeightDecay = 0.0,
    betas: tuple[Decay, Decay] = (0.9, 0.999),
    eps: Epsilon = 1.0e-8,
) -> None:
    """Adam; weight decay enters the gradient.

    Source: Kingma and Ba 2015, Adam: A Method for Stochastic Optimization, algorithm 1.
    """
    _adaptive_step(weights, _decayed(gradients, weights, weight_decay), state, lr, betas, eps)


@optimizer("adamw", state=("mean", "square"), columns=("correction1", "correction2"))
def adamw(
    weights: Tensor,
    gradients: Tensor,
    state: State,
    *,
    lr: Rate = 0.1,
    weight_decay: WeightDecay = 0.0,
    betas: tuple[Decay, Decay] = (0.9, 0.999),
    eps: Epsilon = 1.0e-8,
) -> None:
    """AdamW: Adam with decoupled weight decay: it shrinks the weights and does not enter the gradient.

    Source: Loshchilov and Hutter 2019, Decoupled Weight Decay Regularization, algorithm 2.
    """
    if weight_decay is not None:
        weights.mul_(1 - lr * weight_decay)
    _adaptive_step(weights, gradients, state, lr, betas, eps)


def _adaptive_step(
    weights: Tensor, gradients: Tensor, state: State, lr: Tensor, betas: tuple[Tensor, Tensor], eps: Tensor
) -> None:
    beta1, beta2 = betas
    mean, square = state["mean"], state["square"]
    # 1 - beta^step by recurrence, in double precision: a power's last bit would depend on its place in the tensor.
    correction1 = state["correction1"].mul_(beta1).add_(1 - beta1)
    correction2 = state["correction2"].mul_(beta2).add_(1 - beta2)
    mean.lerp_(gradients, (1 - beta1).to(mean.dtype))
    square.mul_(beta2.to(mean.dtype)).addcmul_(gradients.square(), (1 - beta2).to(mean.dtype))
    root = square.sqrt().div_(correction2.sqrt().to(mean.dtype)).add_(eps)
    weights.addcmul_(mean.div(root), (lr / correction1).to(mean.dtype), value=-1)


@optimizer("rmsprop", state=("square", "mean", "velocity"))
def rmsprop(
    weights: Tensor,
    gradients: Tensor,
    state: State,
    *,
    lr: Rate = 0.1,
    momentum: Momentum = 0.0,
    centered: bool = False,
    weight_decay: WeightDecay = 0.0,
    alpha: Decay = 0.99,
    eps: Epsilon = 1.0e-8,
) -> None:
    """RMSprop with momentum; `centered` divides by the gradient's standard deviation; weight decay enters the gradient.

    Source: Hinton 2012, Neural Networks for Machine Learning, lecture 6e; centered: Graves 2013, Generating Sequences
    With Recurrent Neural Networks, equations 38 to 45.
    """
    gradients, square = _decayed(gradients, weights, weight_decay), state["square"]
    rest = (1 - alpha).to(square.dtype)
    square.mul_(alpha.to(square.dtype)).addcmul_(gradients.square(), rest)
    variance = square
    if centered:
        mean = state["mean"].lerp_(gradients, rest)
        # Rounding may make it negative, and its root would make the weights NaN.
        variance = square.addcmul(mean, mean, value=-1).clamp_(min=0)
    step = gradients.div(variance.sqrt().add_(eps))
    if momentum is not None:
        step = state["velocity"].mul_(momentum).add_(step)
    weights.addcmul_(step, lr, value=-1)


def _decayed(gradients: Tensor, weights: Tensor, weight_decay: Tensor | None) -> Tensor:
    return gradients if weight_decay is None else gradients.addcmul(weights, weight_decay)


def clipped(gradients: Tensor, clip_norm: Tensor) -> Tensor:
    """Gradients scaled so that no trial's L2 norm exceeds its `clip_norm [T, 1]`, as `clip_grad_norm_` does.

    The norm is summed in chunks of fixed length, so that its bits do not depend on threads or on the stack.
    """
    norm = gradients.square().unflatten(1, (-1, PART)).sum(-1).sum(-1, keepdim=True).sqrt()
    # For an unclipped trial (infinite `clip_norm`) whose norm overflows it would be inf / inf.
    factor: Tensor = (clip_norm / (norm + 1e-6)).nan_to_num(nan=1.0).clamp(max=1.0)
    return gradients * factor


def constant(epoch: int, epochs: int, *, step: int, gamma: float) -> float:
    """The learning rate is constant."""
    return 1.0


def step_decay(epoch: int, epochs: int, *, step: int, gamma: float) -> float:
    """The learning rate is multiplied by `gamma` every `step` epochs."""
    try:
        return gamma ** (epoch // step)
    except OverflowError:
        return math.inf


def cosine(epoch: int, epochs: int, *, step: int, gamma: float) -> float:
    """The learning rate falls to zero along half a cosine over the epochs after warm-up."""
    return 0.5 * (1 + math.cos(math.pi * epoch / epochs))


SCHEDULES: dict[str, Callable[..., float]] = {
    "constant": constant,
    "step": step_decay,
    "cosine": cosine,
}


def rate_factor(schedule: str, epoch: int, epochs: int, *, warmup: int, step: int, gamma: float) -> float:
    """The factor of the learning rate in an epoch (from 0); it is constant within the epoch.

    Warm-up rises in equal steps, 1 / (warmup + 1), 2 / (warmup + 1), ...; the schedule then starts.
    """
    if epoch < warmup:
        return (epoch + 1) / (warmup + 1)
    return SCHEDULES[schedule](epoch - warmup, max(epochs - warmup, 1), step=step, gamma=gamma)
