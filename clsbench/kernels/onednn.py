"""Products of large matrices by oneDNN, trial by trial, for eager steps on a CPU.

Reason: PyTorch multiplies matrices of float32 by MKL, which on AMD's processors leaves AVX-512 unused; oneDNN, which
PyTorch takes for convolutions, uses whatever the processor has. Each trial's product is a separate call, so that
its bits do not depend on its neighbours.
Measured: PyTorch 2.14, one core of an AMD EPYC: 230 GF/s where MKL has 100; of another, both have 100. The operation
is private to PyTorch (`torch.ops.mkldnn._linear_pointwise`).
Fallback: `torch.baddbmm`, if `worthwhile` is false: small layers, other types, other devices, steps that autograd
differentiates, no oneDNN, or a PyTorch that lacks the operation.
"""

from __future__ import annotations

import torch
from torch import Tensor

# The number of weights in a layer from which a call for each trial gains more than it costs.
LARGE = 2**14


def worthwhile(x: Tensor, weight: Tensor) -> bool:
    """Whether `products` is there and faster: large float32 weights on a CPU, and nothing recorded by autograd."""
    return (
        weight.shape[-2] * weight.shape[-1] >= LARGE
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


def products(a: Tensor, b: Tensor, memory: Tensor | None = None) -> Tensor:
    """`a [T, n, k]` and `b [T, m, k]` to `a b^T [T, n, m]`, in the given memory, if any."""
    linear = torch.ops.mkldnn._linear_pointwise
    if memory is None:
        memory = a.new_empty(len(a), a.shape[1], b.shape[1])
    for left, right, product in zip(a, b, memory, strict=True):
        product.copy_(linear(left, right, None, "none", [], ""))
    return memory
