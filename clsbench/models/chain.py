"""Eager gradients of a chain of layers, one layer after the other, by formula.

Reason: between the products of small layers autograd's bookkeeping takes as long as they do.
Measured: PyTorch 2.14 on an AMD EPYC, one thread, a step of the MLP 2-32-32-2 by autograd and by this: 540 and 370 us
for one trial, 1,580 and 1,220 for a hundred.
Fallback: autograd, of one function for GELU, and of the whole for modules that are no such chain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile

import torch
from torch import Tensor, nn

from clsbench.kernels import onednn
from clsbench.models.layers import (
    BatchNorm,
    Dropout,
    Elementwise,
    Flatten,
    Linear,
    affine,
    gelu,
    is_as_written,
    sigmoid,
)

Masks = Mapping[str, Tensor]
# Between layers, samples are last: `[T, F, B]`.
Pullback = Callable[[Tensor], Tensor]  # from the gradient on an output to that on its input
Link = Callable[[Tensor, Masks], tuple[Tensor, Pullback]]
# Of each function, from the gradient on an output and that output.
DERIVATIVES: dict[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]] = {
    torch.relu: lambda gradient, y: torch.ops.aten.threshold_backward(gradient, y, 0),
    torch.tanh: torch.ops.aten.tanh_backward,
    sigmoid: torch.ops.aten.sigmoid_backward,
}


def is_chain(module: nn.Module) -> bool:
    """Whether `Chain` can take a module: a sequence of clsbench's layers, all trained, with parameters of their own."""
    if type(module) is not nn.Sequential:
        return False
    parameters = [parameter for layer in module for parameter in layer.parameters()]
    return (
        all(map(is_as_written, [module, *module]))
        and all(map(_is_known, module))
        and all(parameter.requires_grad for parameter in parameters)
        and len(parameters) == len(set(parameters)) > 0
    )


def _is_known(layer: nn.Module) -> bool:
    if type(layer) is Elementwise:
        return layer.function in {*DERIVATIVES, gelu}
    return type(layer) in {Flatten, Linear, BatchNorm, Dropout}


class Chain:
    """Layers whose parameters have a leading trial axis.

    Args:
        module: one that `is_chain`.
        memory: what the gradient on each parameter is written into, by name.
    """

    def __init__(self, module: nn.Module, memory: Mapping[str, Tensor]) -> None:
        layers = dict(module.named_children())
        self._before = list(takewhile(lambda layer: isinstance(layer, Flatten), layers.values()))
        self._links: list[Link] = []
        for name, layer in list(layers.items())[len(self._before) :]:
            parts = [memory[f"{name}.{own}"] for own, _ in layer.named_parameters()]
            if isinstance(layer, Linear):
                self._links.append(_affine(layer, *parts, is_first=not self._links))
            elif isinstance(layer, BatchNorm):
                self._links.append(_normalised(layer, *parts))
            elif isinstance(layer, Elementwise):
                self._links.append(_elementwise(layer.function))
            elif isinstance(layer, Dropout):
                self._links.append(_masked(name))

    @torch.no_grad()
    def __call__(self, x: Tensor, masks: Masks) -> tuple[Tensor, Sequence[Pullback]]:
        """The logits `[T, B, K]` of `x [T, B, ...]`, with dropout masks, and the pullback of each layer in turn."""
        for layer in self._before:
            x = layer(x)
        x = x.mT
        pullbacks: list[Pullback] = []
        for link in self._links:
            x, pullback = link(x, masks)
            pullbacks.append(pullback)
        return x.mT, pullbacks


@torch.no_grad()
def pull_back(gradient: Tensor, pullbacks: Sequence[Pullback]) -> None:
    """Write the gradients on the parameters into their memory, from that on the logits."""
    gradient = gradient.mT
    for pullback in reversed(pullbacks):
        gradient = pullback(gradient)


def _affine(layer: Linear, of_weight: Tensor, of_bias: Tensor, *, is_first: bool) -> Link:
    weight, bias = layer.weight.detach(), layer.bias.detach().unsqueeze(-1)
    is_wide = weight.shape[-1] < weight.shape[-2]

    def link(x: Tensor, masks: Masks) -> tuple[Tensor, Pullback]:
        def pullback(gradient: Tensor) -> Tensor:
            torch.sum(gradient, -1, out=of_bias)
            if onednn.worthwhile(x, weight):
                onednn.products(gradient, x, of_weight)
                return gradient if is_first else onednn.products(weight.mT, gradient.mT)
            # Into memory that lies apart trial by trial, PyTorch would multiply one pair of matrices at a time.
            of_weight.copy_(torch.bmm(x, gradient.mT).mT if is_wide else torch.bmm(gradient, x.mT))
            return gradient if is_first else torch.bmm(weight.mT, gradient)

        return affine(x, weight, bias), pullback

    return link


def _normalised(layer: BatchNorm, of_weight: Tensor, of_bias: Tensor) -> Link:
    weight, bias = layer.weight.detach(), layer.bias.detach().unsqueeze(-1)

    def link(x: Tensor, masks: Masks) -> tuple[Tensor, Pullback]:
        mean, var = layer.statistics(x.mT)
        centred, inverse = x - mean.unsqueeze(-1), (var + layer.eps).rsqrt()
        scale = (weight * inverse).unsqueeze(-1)

        def pullback(gradient: Tensor) -> Tensor:
            normal = centred * inverse.unsqueeze(-1)
            torch.sum(gradient, -1, out=of_bias)
            torch.sum(gradient * normal, -1, out=of_weight)
            if not layer.is_of_batch(x.mT):
                return gradient * scale
            return (gradient - (of_bias.unsqueeze(-1) + normal * of_weight.unsqueeze(-1)) / x.shape[-1]) * scale

        return centred * scale + bias, pullback

    return link


def _elementwise(function: Callable[[Tensor], Tensor]) -> Link:
    derivative = DERIVATIVES.get(function)

    def link(x: Tensor, masks: Masks) -> tuple[Tensor, Pullback]:
        if derivative is not None:
            y = function(x)
            return y, lambda gradient: derivative(gradient, y)
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            y = function(leaf)

        def pullback(gradient: Tensor) -> Tensor:
            # Given the gradient itself, PyTorch imports its symbolic shapes, which takes longer than many a training.
            with torch.enable_grad():
                number = (y * gradient).sum()
            return torch.autograd.grad(number, leaf)[0]

        return y.detach(), pullback

    return link


def _masked(name: str) -> Link:
    def link(x: Tensor, masks: Masks) -> tuple[Tensor, Pullback]:
        mask = masks[f"{name}.mask"].mT
        return x * mask, lambda gradient: gradient * mask

    return link
