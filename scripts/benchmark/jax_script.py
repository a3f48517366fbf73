"""A script in JAX without clsbench or PyTorch: SEEDS EPOCHS FOLDER. All seeds of a loss are one compiled program.

`jit(vmap(scan))` over seeds, epochs and batches. It stands alone, draws the curves and prints the mean test accuracy.
"""

from __future__ import annotations

import sys
from functools import partial
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
from sklearn.datasets import make_moons
from sklearn.model_selection import train_test_split

mpl.use("Agg")
from matplotlib import pyplot as plt

jax = import_module("jax")
jnp = import_module("jax.numpy")
WIDTHS, BATCH_SIZE, LR, MOMENTUM = (2, 32, 32, 2), 32, 0.1, 0.9


def squared_error(logits: Any, labels: Any) -> Any:
    return jnp.square(jax.nn.softmax(logits) - jax.nn.one_hot(labels, 2)).sum(-1).mean()


def cross_entropy(logits: Any, labels: Any) -> Any:
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], -1).mean()


def layer(sizes: tuple[int, int], key: Any) -> tuple[Any, Any]:
    bound = sizes[0] ** -0.5
    draw = partial(jax.random.uniform, minval=-bound, maxval=bound)
    weight_key, bias_key = jax.random.split(key)
    return draw(weight_key, sizes), draw(bias_key, sizes[1:])


def outputs(weights: Any, x: Any) -> Any:
    *hidden, (last, offset) = weights
    for weight, bias in hidden:
        x = jax.nn.relu(x @ weight + bias)
    return x @ last + offset


def train(loss: Any, epochs: int, data: list[Any], key: Any) -> Any:
    x, x_test, y, y_test = data
    weights_key, order_key = jax.random.split(key)
    layers = zip(pairwise(WIDTHS), jax.random.split(weights_key, len(WIDTHS) - 1), strict=True)
    weights = [layer(*each) for each in layers]
    gradient = jax.grad(lambda weights, rows: loss(outputs(weights, x[rows]), y[rows]))

    def step(state: Any, rows: Any) -> tuple[Any, None]:
        weights, velocity = state
        velocity = jax.tree.map(lambda v, g: MOMENTUM * v + g, velocity, gradient(weights, rows))
        return (jax.tree.map(lambda w, v: w - LR * v, weights, velocity), velocity), None

    def epoch(state: Any, key: Any) -> tuple[Any, Any]:
        order = jax.random.permutation(key, len(y)).reshape(-1, BATCH_SIZE)
        state, _ = jax.lax.scan(step, state, order)
        return state, (outputs(state[0], x_test).argmax(-1) == y_test).mean()

    start = (weights, jax.tree.map(jnp.zeros_like, weights))
    return jax.lax.scan(epoch, start, jax.random.split(order_key, epochs))[1]


def main(seeds: int, epochs: int, folder: Path) -> None:
    points, labels = make_moons(1334, noise=0.2, random_state=0)
    parts = train_test_split(points, labels, train_size=800, test_size=267, stratify=labels, random_state=0)
    mean, deviation = parts[0].mean(0), parts[0].std(0)
    data = [jnp.asarray((part - mean) / deviation) if part.ndim == 2 else jnp.asarray(part) for part in parts]
    keys, last = jax.random.split(jax.random.key(0), seeds), 0.0
    for loss in (squared_error, cross_entropy):
        curves = jax.jit(jax.vmap(partial(train, loss, epochs, data)))(keys)
        plt.plot(range(1, epochs + 1), curves.mean(0), label=loss.__name__)
        last += float(curves[:, -1].mean()) / 2
    plt.legend()
    plt.savefig(folder / "curves.png")
    print(last)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
