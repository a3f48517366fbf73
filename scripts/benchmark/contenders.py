"""The alternatives for a small network on a small dataset: one function each.

Every function trains a task, once per loss that it can have, and returns the seconds of one trial's step and
the mean test accuracy. Making models and data, compiling and evaluating are not timed. PyTorch has one
thread, which suits tensors this small better than several.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from statistics import mean
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from benchmark.figures import Outcome


@dataclass(frozen=True)
class Task:
    """Data and settings: `x [N, F]`, `y [N]`, SGD with momentum. `seeds` is for functions that train many at once."""

    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor
    hidden: tuple[int, ...] = (32, 32)
    batch_size: int = 32
    lr: float = 0.1
    momentum: float = 0.9
    epochs: int = 100
    seeds: int = 1

    @property
    def num_classes(self) -> int:
        return int(self.y.max()) + 1

    @property
    def steps(self) -> int:
        return -(-len(self.y) // self.batch_size) * self.epochs

    def module(self) -> nn.Module:
        widths = [self.x.shape[1], *self.hidden]
        layers = [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.ReLU())]
        return nn.Sequential(*layers, nn.Linear(widths[-1], self.num_classes))

    def loader(self) -> DataLoader[tuple[Tensor, ...]]:
        return DataLoader(TensorDataset(self.x, self.y), batch_size=self.batch_size, shuffle=True)

    def sgd(self, module: nn.Module) -> torch.optim.Optimizer:
        return torch.optim.SGD(module.parameters(), lr=self.lr, momentum=self.momentum)

    def accuracy(self, module: nn.Module) -> float:
        with torch.no_grad():
            return float((module(self.x_test).argmax(-1) == self.y_test).float().mean())

    def outcome(self, seconds: float, trials: int, accuracy: float, **more: float) -> Outcome:
        return Outcome(1e6 * seconds / (self.steps * trials), accuracy, more)


class SquaredError(nn.Module):
    """Squared error on softmax, summed over classes."""

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        return (logits.softmax(-1) - F.one_hot(targets, logits.shape[-1])).square().sum(-1).mean()


CRITERIA: tuple[type[nn.Module], ...] = (SquaredError, nn.CrossEntropyLoss)


def dataloader_loop(task: Task) -> Outcome:
    """The loop of every tutorial, over a DataLoader."""

    def train(module: nn.Module, criterion: nn.Module) -> None:
        loader, optimizer = task.loader(), task.sgd(module)
        for _ in range(task.epochs):
            for x, y in loader:
                _step(module, criterion, optimizer, x, y)

    return _by_loss(task, train)


def in_memory_loop(task: Task) -> Outcome:
    """The same loop without a DataLoader: tensors indexed by a permutation."""

    def train(module: nn.Module, criterion: nn.Module) -> None:
        optimizer = task.sgd(module)
        for _ in range(task.epochs):
            for rows in torch.randperm(len(task.y)).split(task.batch_size):
                _step(module, criterion, optimizer, task.x[rows], task.y[rows])

    return _by_loss(task, train)


def scikit_learn(task: Task) -> Outcome:
    """`MLPClassifier`, which only has log-loss."""
    from sklearn.neural_network import MLPClassifier

    network = MLPClassifier(
        hidden_layer_sizes=task.hidden,
        solver="sgd",
        alpha=0.0,
        batch_size=task.batch_size,
        learning_rate_init=task.lr,
        momentum=task.momentum,
        nesterovs_momentum=False,
        max_iter=task.epochs,
        tol=0.0,
        n_iter_no_change=task.epochs,
    )
    x, y = task.x.numpy(), task.y.numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has not converged: that many epochs were asked for
        started = time.perf_counter()
        network.fit(x, y)
        seconds = time.perf_counter() - started
    return task.outcome(seconds, 1, float(network.score(task.x_test.numpy(), task.y_test.numpy())))


def lightning(task: Task) -> Outcome:
    """A LightningModule and a Trainer with logging, checkpoints and progress off."""
    package = import_module("lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

    def train(module: nn.Module, criterion: nn.Module) -> None:
        members = {
            "training_step": lambda self, batch, number: criterion(self.network(batch[0]), batch[1]),
            "configure_optimizers": lambda self: task.sgd(self.network),
        }
        wrapped = type("Network", (package.LightningModule,), members)()
        wrapped.network = module
        silent = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it recommends loader workers, which cost more here
            trainer = package.Trainer(max_epochs=task.epochs, accelerator="cpu", **dict.fromkeys(silent, False))
            trainer.fit(wrapped, task.loader())

    return _by_loss(task, train)


def skorch(task: Task) -> Outcome:
    """A NeuralNetClassifier without validation and printing."""
    package = import_module("skorch")

    def train(module: nn.Module, criterion: nn.Module) -> None:
        network = package.NeuralNetClassifier(
            module,
            criterion=type(criterion),
            optimizer=torch.optim.SGD,
            lr=task.lr,
            optimizer__momentum=task.momentum,
            batch_size=task.batch_size,
            iterator_train__shuffle=True,
            max_epochs=task.epochs,
            train_split=None,
            verbose=0,
        )
        network.fit(task.x, task.y)

    return _by_loss(task, train)


def jax(task: Task) -> Outcome:
    """JAX's `jit(vmap(scan))`: the whole training of all seeds of a loss as one compiled program."""
    train_jax: Callable[[Task], tuple[float, float, float]] = import_module("benchmark.in_jax").train
    seconds, compiling, accuracy = train_jax(task)
    return task.outcome(seconds, task.seeds * len(CRITERIA), accuracy, **{"compiling (s)": compiling})


def installed(contenders: Mapping[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """The contenders whose package is installed; PyTorch and scikit-learn always are."""
    optional = {lightning: "lightning", skorch: "skorch", jax: "jax"}
    return {
        name: contender
        for name, contender in contenders.items()
        if contender not in optional or find_spec(optional[contender]) is not None
    }


def _step(module: nn.Module, criterion: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> None:
    optimizer.zero_grad()
    criterion(module(x), y).backward()
    optimizer.step()


def _by_loss(task: Task, train: Callable[[nn.Module, nn.Module], None]) -> Outcome:
    torch.set_num_threads(1)
    seconds, accuracies = 0.0, []
    for criterion in CRITERIA:
        module = task.module()
        started = time.perf_counter()
        train(module, criterion())
        seconds += time.perf_counter() - started
        accuracies.append(task.accuracy(module))
    return task.outcome(seconds, len(CRITERIA), mean(accuracies))
