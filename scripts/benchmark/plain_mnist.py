"""MNIST as a plain script without clsbench: NAME EPOCHS LIMIT DATA_DIR FOLDER. Tensors in memory, one after the other.

NAME is a config of clsbench: mnist_mlp or nielsen. It stands alone and prints the mean test accuracy; of what clsbench
measures after every epoch it measures one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision import datasets

mpl.use("Agg")
from matplotlib import pyplot as plt

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Setting:
    hidden: tuple[int, ...]
    losses: dict[Loss, float]  # with the learning rate of each
    activation: type[nn.Module]
    batch_size: int
    momentum: float
    seeds: int
    val_fraction: float
    draws_weights: bool  # of deviation 1, biases too


def mse_softmax(logits: Tensor, targets: Tensor) -> Tensor:
    return (logits.softmax(-1) - F.one_hot(targets, 10)).square().sum(-1).mean()


def mse_sigmoid(logits: Tensor, targets: Tensor) -> Tensor:
    return (logits.sigmoid() - F.one_hot(targets, 10)).square().sum(-1).mean() / 2


def bce(logits: Tensor, targets: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, F.one_hot(targets, 10).float(), reduction="none").sum(-1).mean()


SETTINGS = {
    "mnist_mlp": Setting((128,), {mse_softmax: 0.2, F.cross_entropy: 0.2}, nn.ReLU, 128, 0.5, 3, 0.1, False),
    "nielsen": Setting((30, 100), {mse_sigmoid: 3.0, bce: 0.5}, nn.Sigmoid, 10, 0.0, 2, 1 / 6, True),
}


def train(seed: int, epochs: int, hidden: int, loss: Loss, setting: Setting, data: list[Tensor]) -> list[float]:
    x, y, x_test, y_test = data
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(784, hidden), setting.activation(), nn.Linear(hidden, 10))
    if setting.draws_weights:
        for parameter in model.parameters():
            nn.init.normal_(parameter)
    optimizer = torch.optim.SGD(model.parameters(), lr=setting.losses[loss], momentum=setting.momentum)
    accuracies = []
    for _ in range(epochs):
        for rows in torch.randperm(len(y)).split(setting.batch_size):
            optimizer.zero_grad()
            loss(model(x[rows]), y[rows]).backward()
            optimizer.step()
        with torch.no_grad():
            accuracies.append(float((model(x_test).argmax(-1) == y_test).float().mean()))
    return accuracies


def main(name: str, epochs: int, limit: int, data_dir: str, folder: Path) -> None:
    setting, data = SETTINGS[name], []
    for is_train in (True, False):
        raw = datasets.MNIST(data_dir, train=is_train)
        number = round(limit * (1 - setting.val_fraction)) if is_train else len(raw)
        data += [raw.data[:number].flatten(1) / 255, raw.targets[:number]]
    if not setting.draws_weights:
        deviation, mean = torch.std_mean(data[0])
        data[::2] = [(x - mean) / deviation for x in data[::2]]
    last = []
    for hidden in setting.hidden:
        for loss in setting.losses:
            curves = [train(seed, epochs, hidden, loss, setting, data) for seed in range(setting.seeds)]
            mean_curve = torch.tensor(curves).mean(0)
            plt.plot(range(1, epochs + 1), mean_curve, label=f"{loss.__name__} {hidden}")
            last.append(float(mean_curve[-1]))
    plt.legend()
    plt.savefig(folder / "curves.png")
    print(sum(last) / len(last))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], Path(sys.argv[5]))
