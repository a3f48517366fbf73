"""Quickstart as a plain script without clsbench: SEEDS EPOCHS FOLDER. Trains one after the other, draws the curves.

It stands alone and prints the mean test accuracy; of what clsbench measures after every epoch it measures one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

mpl.use("Agg")
from matplotlib import pyplot as plt

DEVIATIONS = {"gentle": 0.01, "confident": 5.0}


def squared_error(logits: Tensor, targets: Tensor) -> Tensor:
    return (logits.softmax(-1) - F.one_hot(targets, 10)).square().sum(-1).mean()


def train(seed: int, epochs: int, deviation: float, loss: object, data: list[Tensor]) -> list[float]:
    x, x_test, y, y_test = data
    torch.manual_seed(seed)
    model = nn.Linear(64, 10)
    nn.init.normal_(model.weight, std=deviation)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
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
    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images / 16, labels, train_size=0.6, test_size=0.2, stratify=labels, random_state=0)
    data = [torch.tensor(p, dtype=torch.float32 if p.ndim == 2 else torch.int64) for p in parts]
    figure, axes = plt.subplots(1, len(DEVIATIONS), figsize=(10, 4))
    last = []
    for panel, (start, deviation) in zip(axes, DEVIATIONS.items(), strict=True):
        for loss in (squared_error, F.cross_entropy):
            curves = torch.tensor([train(seed, epochs, deviation, loss, data) for seed in range(seeds)])
            panel.plot(range(1, epochs + 1), curves.mean(0), label=loss.__name__)
            last.append(float(curves[:, -1].mean()))
        panel.set_title(start)
        panel.legend()
    figure.savefig(folder / "curves.png")
    print(sum(last) / len(last))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
