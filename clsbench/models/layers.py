"""Layers that take their parameters with a leading trial axis or without one.

Every layer works on `x [..., B, F]`; with parameters `[T, ...]` and `x [T, B, F]`, T trials are one batched
program. No result depends on an element's place in the tensor, unlike PyTorch's sigmoid and GELU at the
end of an array: a trial's numbers do not depend on its neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from clsbench.kernels import loops, onednn

# With so few inputs or outputs, the loops around a compiled layer multiply and sum; no matrix product is called.
FEW = 4


class Flatten(nn.Module):
    """Merges the last `dimensions` axes, those of one sample, into one."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.dimensions = dimensions

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(-self.dimensions) if self.dimensions > 1 else x


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`x [T, in, B]`, `weight [T, out, in]` and `bias [T, out, 1]` to `[T, out, B]`, not to be compiled.

    With samples last in memory the gradients have the weights' layout, and few outputs cost less.
    """
    if onednn.worthwhile(x, weight):
        return onednn.products(weight, x.mT).add_(bias)
    return torch.baddbmm(bias, weight, x)


class Linear(nn.Linear):
    """An affine map, `[..., B, in] -> [..., B, out]`."""

    def forward(self, x: Tensor) -> Tensor:
        if self.weight.dim() == 2:
            return nn.functional.linear(x, self.weight, self.bias)
        if torch.compiler.is_compiling():
            return self._compiled(x)
        return affine(x.mT, self.weight, self.bias.unsqueeze(-1)).mT

    def _compiled(self, x: Tensor) -> Tensor:
        """Its sums become part of the following loops; samples are last in memory there too."""
        # Autocast only covers matrix products.
        as_loops = not torch.is_autocast_enabled(x.device.type)
        few_inputs, few_outputs = (as_loops and number <= FEW for number in (self.in_features, self.out_features))
        # Strided numbers are read one by one: few inputs are copied once instead of at each read.
        samples = torch.stack(x.unbind(-1), -2) if few_inputs else x.mT
        if few_inputs or few_outputs:
            product = (self.weight.unsqueeze(-1) * samples.unsqueeze(-3)).sum(-2)
        elif as_loops and x.device.type == "cpu":
            product = loops.product(self.weight, samples)
        else:
            product = torch.bmm(self.weight, samples)
        return (product + self.bias.to(product.dtype).unsqueeze(-1)).mT


def normalised(x: Tensor, mean: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """`x [..., B, F]` less its mean, times a scale, plus a bias, `[..., F]` each."""
    return (x - mean.unsqueeze(-2)) * scale.unsqueeze(-2) + bias.unsqueeze(-2)


class BatchNorm(nn.Module):
    """Batch normalisation over the batch axis; one sample alone is normalised by the running statistics.

    Source: Ioffe and Szegedy 2015. Momentum and epsilon are those of `torch.nn.BatchNorm1d`.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, features: int, momentum: float = 0.1, eps: float = 1e-5) -> None:
        super().__init__()
        self.momentum = momentum
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(self.running_mean.dtype)  # bfloat16 is too coarse for statistics
        mean, var = self.statistics(x)
        return normalised(x, mean, self.weight * (var + self.eps).rsqrt(), self.bias)

    def statistics(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """`[..., F]`: the mean and the variance that normalise `x`; in training the running ones are updated."""
        if not self.is_of_batch(x):
            return self.running_mean, self.running_var
        var, mean = torch.var_mean(x, dim=-2, correction=0)
        unbiased = var.detach() * (x.shape[-2] / (x.shape[-2] - 1))
        self.running_mean.lerp_(mean.detach(), self.momentum)
        self.running_var.lerp_(unbiased, self.momentum)
        return mean, var

    def is_of_batch(self, x: Tensor) -> bool:
        """Whether the statistics of `x` itself normalise it."""
        return self.training and x.shape[-2] > 1


class Dropout(nn.Module):
    """Multiplies by `mask` in training; the training loop sets the mask `[..., B, F]` before each step.

    The mask is not drawn here, so that it depends on the trial's seed and step alone.
    """

    mask: Tensor

    def __init__(self, features: int, p: float) -> None:
        super().__init__()
        self.features = features
        self.p = p
        self.register_buffer("mask", torch.ones(features), persistent=False)

    def draw(self, batch_size: int, generator: torch.Generator) -> Tensor:
        """A mask `[B, F]` of zeros and 1 / (1 - p)."""
        keep = torch.rand(batch_size, self.features, generator=generator) >= self.p
        return keep.float() / (1 - self.p)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.mask if self.training else x


class Elementwise(nn.Module):
    """A function of every element."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        # A compiled result has the layout of its axes as written; samples should be last, as in `Linear`.
        return self.function(x.mT).mT if torch.compiler.is_compiling() else self.function(x)


# Modules that do the same in training and in evaluation.
MODELESS = (nn.Sequential, Flatten, Linear, Elementwise)


def is_as_written(module: nn.Module) -> bool:
    """Whether a module does what its class says, with no hook or method of a user's."""
    hooks = (module._forward_hooks, module._forward_pre_hooks, module._backward_hooks, module._backward_pre_hooks)
    return not any(hooks) and not {"forward", "train"} & vars(module).keys()


def sigmoid(x: Tensor) -> Tensor:
    return (x * 0.5).tanh() * 0.5 + 0.5


def gelu(x: Tensor) -> Tensor:
    return x * (0.5 + 0.5 * (x * math.sqrt(0.5)).erf())


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    name: partial(Elementwise, function)
    for name, function in {"relu": torch.relu, "tanh": torch.tanh, "sigmoid": sigmoid, "gelu": gelu}.items()
}
