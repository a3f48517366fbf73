"""Eager gradients of a sequence of layers, made by formula, one layer after the other.

Reason: between the products of small layers autograd's bookkeeping takes as long as they do.
Measured: PyTorch 2.14 on an AMD EPYC, one thread, a step of the MLP 2-32-32-2 by autograd and by this: 540 and 370 us
for one trial, 1,580 and 1,220 for a hundred.
Fallback: autograd of the whole, for other modules, in bfloat16 and in compiled steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import dropwhile

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
    normalised,
    sigmoid,
)

# From the gradient on a layer's output to that on its input. Between layers, samples are last: `[T, F, B]`.
Pullback = Callable[[Tensor], Tensor]
Forward = Callable[[Tensor], tuple[Tensor, Pullback]]


def _pullback_of_gelu(gradient: Tensor, x: Tensor) -> Tensor:
    """By the derivative Phi(x) + x phi(x), of the normal distribution and its density."""
    density = (x.square() * -0.5).exp() / math.sqrt(2 * math.pi)
    return gradient * (0.5 + 0.5 * (x * math.sqrt(0.5)).erf() + x * density)


# For each function: the gradient on its input, from that on its output and the output; for GELU, from the input.
PULLBACKS: dict[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor], Tensor]] = {
    torch.relu: lambda gradient, y: torch.ops.aten.threshold_backward(gradient, y, 0),
    torch.tanh: torch.ops.aten.tanh_backward,
    sigmoid: torch.ops.aten.sigmoid_backward,
    gelu: _pullback_of_gelu,
}


def is_chain(module: nn.Module) -> bool:
    """Whether `Chain` can take a module: a sequence of clsbench's layers, of which none stands twice or is not trained.

    Layers that flatten come first.
    """
    if type(module) is not nn.Sequential or len(set(module)) < len(module):
        return False
    return (
        all(map(is_as_written, [module, *module]))
        and all(map(_is_known, _after_flattening(module).values()))
        and all(parameter.requires_grad for parameter in module.parameters())
        and not module._parameters
        and len(list(module.parameters())) == sum(len(layer._parameters) for layer in module) > 0
    )


def _is_known(layer: nn.Module) -> bool:
    if type(layer) in {Linear, BatchNorm}:
        return layer._parameters.keys() == {"weight", "bias"}
    if type(layer) is Elementwise:
        return any(layer.function is function for function in PULLBACKS) and not layer._parameters
    return type(layer) is Dropout and not layer._parameters


def _after_flattening(module: nn.Module) -> dict[str, nn.Module]:
    return dict(dropwhile(lambda named: type(named[1]) is Flatten, module.named_children()))


class Chain:
    """A sequence of layers with a leading trial axis.

    Args:
        module: one for which `is_chain` holds, with parameters `[T, ...]` that stay where they are in memory.
        gradients: what the gradient on each parameter is written into, `[T, ...]`, by name.
    """

    def __init__(self, module: nn.Module, gradients: Mapping[str, Tensor]) -> None:
        self._layers = _after_flattening(module)
        self._flattening = list(module.children())[: -len(self._layers)]
        first = next(iter(self._layers))
        self._forwards: dict[str, Forward] = {}
        for name, layer in self._layers.items():
            own = [gradients[f"{name}.{parameter}"] for parameter in ("weight", "bias") if layer._parameters]
            if isinstance(layer, Linear):
                self._forwards[name] = _affine(layer, *own, is_first=name == first)
            elif isinstance(layer, BatchNorm):
                self._forwards[name] = _normalised(layer, *own)
            elif isinstance(layer, Elementwise):
                self._forwards[name] = _elementwise(layer.function)

    @torch.no_grad()
    def __call__(self, x: Tensor, masks: Mapping[str, Tensor]) -> tuple[Tensor, Callable[[Tensor], None]]:
        """The logits `[T, B, K]` of `x [T, B, ...]`, with dropout masks by name, and their backward function.

        That takes the gradient on the logits and writes those on the parameters.
        """
        pullbacks: list[Pullback] = []
        for layer in self._flattening:
            x = layer(x)
        x = x.mT
        for name in self._layers:
            forward = self._forwards.get(name) or _masked(masks[f"{name}.mask"].mT)
            x, pullback = forward(x)
            pullbacks.append(pullback)

        @torch.no_grad()
        def backward(gradient: Tensor) -> None:
            gradient = gradient.mT
            for pullback in reversed(pullbacks):
                gradient = pullback(gradient)

        return x.mT, backward


def _affine(layer: Linear, weight_gradient: Tensor, bias_gradient: Tensor, *, is_first: bool) -> Forward:
    weight, bias = layer.weight.detach(), layer.bias.detach().unsqueeze(-1)
    widens = layer.in_features < layer.out_features

    def forward(x: Tensor) -> tuple[Tensor, Pullback]:
        def pullback(gradient: Tensor) -> Tensor:
            torch.sum(gradient, -1, out=bias_gradient)
            if onednn.worthwhile(x, weight):
                onednn.products(gradient, x, weight_gradient)
                return gradient if is_first else onednn.products(weight.mT, gradient.mT)
            # The BLAS is faster with fewer rows than columns. It would write into this memory, which lies apart trial
            # by trial, one matrix after the other.
            weight_gradient.copy_(torch.bmm(x, gradient.mT).mT if widens else torch.bmm(gradient, x.mT))
            return gradient if is_first else torch.bmm(weight.mT, gradient)

        return affine(x, weight, bias), pullback

    return forward


def _normalised(layer: BatchNorm, weight_gradient: Tensor, bias_gradient: Tensor) -> Forward:
    """Its gradient on x: s (g - mean g - u mean(g u)), u the values before scale and shift, s the scale.

    Source: Ioffe and Szegedy 2015, Batch Normalization, section 3, with the sums taken together.
    """
    weight, bias = layer.weight.detach(), layer.bias.detach()

    def forward(x: Tensor) -> tuple[Tensor, Pullback]:
        is_of_batch = layer.is_of_batch(x.mT)
        mean, var = layer.statistics(x.mT)
        inverse = (var + layer.eps).rsqrt()
        scale = weight * inverse

        def pullback(gradient: Tensor) -> Tensor:
            unit = (x - mean.unsqueeze(-1)) * inverse.unsqueeze(-1)
            torch.sum(gradient, -1, out=bias_gradient)
            torch.sum(gradient * unit, -1, out=weight_gradient)
            if is_of_batch:
                sums = bias_gradient.unsqueeze(-1) + unit * weight_gradient.unsqueeze(-1)
                gradient = gradient - sums / x.shape[-1]
            return gradient * scale.unsqueeze(-1)

        return normalised(x.mT, mean, scale, bias).mT, pullback

    return forward


def _elementwise(function: Callable[[Tensor], Tensor]) -> Forward:
    gradient_on_input = PULLBACKS[function]

    def forward(x: Tensor) -> tuple[Tensor, Pullback]:
        y = function(x)
        kept = x if function is gelu else y
        return y, lambda gradient: gradient_on_input(gradient, kept)

    return forward


def _masked(mask: Tensor) -> Forward:
    return lambda x: (x * mask, lambda gradient: gradient * mask)
