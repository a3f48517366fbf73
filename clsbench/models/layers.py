"""Layers that take their parameters with a leading trial axis or without one.

Every layer works on `x [..., B, F]`; with parameters `[T, ...]` and `x [T, B, F]`, T trials are one batched
program. None of their functions' bits hang on an element's place in the tensor, as those of PyTorch's
sigmoid and GELU do at the end of an array: a trial's numbers do not depend on its neighbours.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

FEW_INPUTS = 4


class Flatten(nn.Module):
    """Merges the last `dimensions` axes, those of one sample, into one."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.dimensions = dimensions

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(-self.dimensions) if self.dimensions > 1 else x


class Linear(nn.Linear):
    """An affine map, `[..., B, in] -> [..., B, out]`."""

    def forward(self, x: Tensor) -> Tensor:
        if self.weight.dim() == 2:
            return nn.functional.linear(x, self.weight, self.bias)
        if torch.compiler.is_compiling():
            # The sum becomes part of the loop that follows; and where inputs are few, the gradient of weights that
            # come second takes a third of the time.
            few = self.in_features <= FEW_INPUTS
            product = torch.bmm(x, self.weight.mT) if few else torch.bmm(self.weight, x.mT).mT
            return product + self.bias.to(product.dtype).unsqueeze(-2)
        # Samples last in memory: the weights' gradients come out as the weights lie, and few outputs cost less.
        return torch.baddbmm(self.bias.unsqueeze(-1), self.weight, x.mT).mT


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
        x = x.to(self.running_mean.dtype)  # the statistics of values in bfloat16 would be as coarse
        if self.training and x.shape[-2] > 1:
            var, mean = torch.var_mean(x, dim=-2, correction=0)
            unbiased = var.detach() * (x.shape[-2] / (x.shape[-2] - 1))
            self.running_mean.lerp_(mean.detach(), self.momentum)
            self.running_var.lerp_(unbiased, self.momentum)
        else:
            mean, var = self.running_mean, self.running_var
        scale = self.weight * (var + self.eps).rsqrt()
        return (x - mean.unsqueeze(-2)) * scale.unsqueeze(-2) + self.bias.unsqueeze(-2)


class Dropout(nn.Module):
    """Multiplies by `mask` in training; whoever trains sets the mask `[..., B, F]` before each step.

    The mask is not drawn here so that it can hang on the trial's seed and step alone.
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


class Sigmoid(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x * 0.5).tanh() * 0.5 + 0.5


class GELU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * (0.5 + 0.5 * (x * math.sqrt(0.5)).erf())


ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": Sigmoid, "gelu": GELU}
