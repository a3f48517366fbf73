"""A plain script without clsbench: SEEDS EPOCHS FOLDER. Trains one after the other, draws the curves.

It stands alone and prints the mean test accuracy; of what clsbench measures after every epoch it measures one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import torch
from sklearn.datasets import make_moons
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

mpl.use("Agg")
from matplotlib import pyplot as plt


def squared_error(logits: Tensor, targets: Tensor) -> Tensor:
    return (logits.softmax(-1) - F.one_hot(targets, 2)).square().sum(-1).mean()


def train(seed: int, epochs: int, loss: object, data: list[Tensor]) -> list[float]:
    x, x_test, y, y_test = data
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    loader = DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True)
    accuracies = []
    for _ in range(epochs):
        for samples, labels in loader:
            optimizer.zero_grad()
            value = loss(model(samples), labels)  # type: ignore[operator]
            value.backward()
            optimizer.step()
        with torch.no_grad():
            accuracies.append(float((model(x_test).argmax(-1) == y_test).float().mean()))
    return accuracies


def main(seeds: int, epochs: int, folder: Path) -> None:
    torch.set_num_threads(1)  # suits tensors this small better than several
    points, labels = make_moons(1334, noise=0.2, random_state=0)
    parts = train_test_split(points, labels, train_size=800, test_size=267, stratify=labels, random_state=0)
    data = [torch.tensor(p, dtype=torch.float32 if p.ndim == 2 else torch.int64) for p in parts]
    deviation, mean = torch.std_mean(data[0], 0)
    data[:2] = [(x - mean) / deviation for x in data[:2]]
    last = 0.0
    for loss in (squared_error, F.cross_entropy):
        curves = torch.tensor([train(seed, epochs, loss, data) for seed in range(seeds)])
        plt.plot(range(1, epochs + 1), curves.mean(0), label=loss.__name__)
        last += float(curves[:, -1].mean()) / 2
    plt.legend()
    plt.savefig(folder / "curves.png")
    print(last)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
