"""Products of small matrices as loops of a compiled graph, on a CPU.

Reason: a BLAS first copies both factors into its own layout, which takes as long as a small product itself.
Measured: PyTorch 2.14 (Inductor's C++) on an AMD EPYC: half of what the BLAS takes for an MLP of 32 units a layer.
Fallback: `torch.bmm`, if no number in `ROWS` divides the rows, for the gradient of the left factor, and for all
eager steps, which do not use this module.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# How many rows of a product a loop computes at once, the best number first: it loads the right factor once for all.
ROWS = (4, 5, 6, 7, 3, 2)


def product(left: Tensor, right: Tensor) -> Tensor:
    """`left [T, n, k]` and `right [T, k, m]` to `[T, n, m]`; meant to be compiled: it is slow without."""
    result: Tensor = _Product.apply(left, right)
    return result


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, left: Tensor, right: Tensor) -> Tensor:
        ctx.save_for_backward(left, right)
        return _looped(left, right)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        left, right = ctx.saved_tensors
        # A loop would read the right factor's rows across memory: here the BLAS is faster.
        return torch.bmm(gradients[0], right.mT), _looped(left.mT, gradients[0])


def _looped(left: Tensor, right: Tensor) -> Tensor:
    num_rows = left.shape[1]
    together = next((number for number in ROWS if num_rows % number == 0), 0)
    if not together:
        return torch.bmm(left, right)
    sums = [(left[:, row::together, :, None] * right[:, None]).sum(-2) for row in range(together)]
    return torch.stack(sums, 2).view(left.shape[0], num_rows, -1)
