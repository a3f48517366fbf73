"""Products of large matrices by oneDNN, trial by trial, for eager steps on a CPU.

Reason: PyTorch multiplies matrices of float32 by MKL, which on AMD's processors leaves AVX-512 unused; oneDNN, which
PyTorch takes for convolutions, uses whatever the processor has. Each trial's product is a separate call, so that
its bits do not depend on its neighbours.
Measured: PyTorch 2.14 on an AMD EPYC, one core: 230 GF/s where MKL has 100. The operation is private to PyTorch
(`torch.ops.mkldnn._linear_pointwise`).
Fallback: `torch.baddbmm`, if `worthwhile` is false: small layers, other types, other devices, no oneDNN, or a
PyTorch that lacks the operation.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# The number of weights in a layer from which a call for each trial gains more than it costs.
LARGE = 2**14


def worthwhile(x: Tensor, weight: Tensor) -> bool:
    """Whether to use `affine`: large float32 weights on a CPU, and a PyTorch that has oneDNN."""
    return (
        weight.shape[-2] * weight.shape[-1] >= LARGE
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def gradient_goes_to(weight: Tensor, memory: Tensor) -> None:
    """Let the next `affine` on this weight write its gradient into the given memory, both `[T, out, in]`."""
    weight.gradient_memory = memory  # type: ignore[attr-defined]


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """`x [T, B, in]`, `weight [T, out, in]` and `bias [T, out]` to `x weight^T + bias [T, B, out]`, samples last."""
    result: Tensor = _Affine.apply(x, weight, bias)
    return result


class _Affine(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        # Once: a weight that is used twice has a second gradient, which is added.
        ctx.memory = vars(weight).pop("gradient_memory", None)
        return _products(weight, x).add_(bias.unsqueeze(-1)).mT

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        by_output = gradients[0].mT
        of_x = _products(weight.mT, gradients[0]).mT if ctx.needs_input_grad[0] else None
        return of_x, _products(by_output, x.mT, ctx.memory), by_output.sum(-1)


def _products(a: Tensor, b: Tensor, memory: Tensor | None = None) -> Tensor:
    """`a [T, n, k]` and `b [T, m, k]` to `a b^T [T, n, m]`, in the given memory, if any."""
    linear = torch.ops.mkldnn._linear_pointwise
    if memory is None:
        memory = a.new_empty(len(a), a.shape[1], b.shape[1])
    for left, right, product in zip(a, b, memory, strict=True):
        product.copy_(linear(left, right, None, "none", [], ""))
    return memory
