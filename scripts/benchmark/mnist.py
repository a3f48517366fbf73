"""What the two MNIST parts share: the data as tensors, loops over them, the machine's matrix-product rate."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import datasets

from benchmark.figures import Outcome
from clsbench.system import cores

MEAN, DEVIATION = 0.1307, 0.3081
BATCH, LR, MOMENTUM = 64, 0.1, 0.5
FORWARD_BATCH = 250


@dataclass(frozen=True)
class Images:
    """Training and test images `[N, 1, 28, 28]`, normalised, with their labels."""

    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor


def missing(data_dir: str | None) -> str | None:
    """Why there is no MNIST to measure on; None if there is."""
    if data_dir is None:
        return "left out: give --data-dir, torchvision's root with MNIST in it"
    if not (Path(data_dir) / "MNIST" / "raw").is_dir():
        return f"left out: no MNIST/raw in {data_dir}"
    return None


@cache
def images(data_dir: str, limit: int) -> Images:
    """The first `limit` training images and the whole test set."""
    tensors: list[Tensor] = []
    for train, number in ((True, limit), (False, None)):
        raw = datasets.MNIST(data_dir, train=train)
        tensors += [((raw.data[:number, None] / 255) - MEAN) / DEVIATION, raw.targets[:number]]
    return Images(*tensors)


def clsbench_config(data_dir: str, model: dict[str, Any], **train: Any) -> dict[str, Any]:
    """The experiment whose training the loops below repeat, on one loss."""
    return {
        "name": "bench",
        "dataset": {"name": "mnist", "data_dir": os.path.abspath(data_dir), "val_fraction": 0.0},
        "model": model,
        "loss": "cross_entropy",
        "optimizer": {"lr": LR, "momentum": MOMENTUM},
        "train": {"batch_size": BATCH, "seeds": 1, **train},
    }


def in_memory(data: Images, epochs: int) -> Iterator[Sequence[Tensor]]:
    """Batches of tensors indexed by a permutation, epoch after epoch."""
    for _ in range(epochs):
        for rows in torch.randperm(len(data.y)).split(BATCH):
            yield data.x[rows], data.y[rows]


def train(module: nn.Module, batches: Iterator[Sequence[Tensor]]) -> float:
    """Train by cross-entropy and return the seconds it took; PyTorch has the machine's cores."""
    torch.set_num_threads(cores())
    optimizer = torch.optim.SGD(module.parameters(), lr=LR, momentum=MOMENTUM)
    started = time.perf_counter()
    for x, y in batches:
        optimizer.zero_grad()
        F.cross_entropy(module(x), y).backward()
        optimizer.step()
    return time.perf_counter() - started


def accuracy(module: nn.Module, data: Images) -> float:
    with torch.no_grad():
        right = [
            (module(x).argmax(-1) == y).sum()
            for x, y in zip(data.x_test.split(FORWARD_BATCH), data.y_test.split(FORWARD_BATCH), strict=True)
        ]
    return float(torch.stack(right).sum()) / len(data.y_test)


def bare_forward(module: nn.Module, x: Tensor) -> float:
    """Seconds of one pass over `x` in batches, nothing measured."""
    started = time.perf_counter()
    with torch.no_grad():
        for part in x.split(FORWARD_BATCH):
            module(part)
    return time.perf_counter() - started


def matrix_product_rate(threads: int) -> Outcome:
    """The best of several large matrix products, in GF/s."""
    torch.set_num_threads(threads)
    a, b = torch.randn(2, 2048, 2048)
    return Outcome(2e-9 * 2048**3 / min(_seconds(lambda: a @ b) for _ in range(8)))


def _seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started
