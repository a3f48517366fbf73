"""Training in JAX: `jit(vmap(scan))` over seeds, epochs and batches. Imported where JAX is installed alone."""

from __future__ import annotations

import time
from functools import partial
from importlib import import_module
from itertools import pairwise
from statistics import mean
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.contenders import Task

jax = import_module("jax")
jnp = import_module("jax.numpy")


def train(task: Task) -> tuple[float, float, float]:
    """Train every seed by each loss: seconds of training, seconds of compiling, mean test accuracy."""
    x, y, x_test, y_test = (jnp.asarray(t.numpy()) for t in (task.x, task.y, task.x_test, task.y_test))
    keys = jax.random.split(jax.random.key(0), task.seeds)
    training, compiling, accuracies = 0.0, 0.0, []
    for loss in (_squared_error, _cross_entropy):
        started = time.perf_counter()
        program = jax.jit(jax.vmap(partial(_train, task, loss, x, y))).lower(keys).compile()
        compiled = time.perf_counter()
        weights = jax.block_until_ready(program(keys))
        training += time.perf_counter() - compiled
        compiling += compiled - started
        predictions = jax.vmap(_logits, (0, None))(weights, x_test).argmax(-1)
        accuracies.append(float((predictions == y_test).mean()))
    return training, compiling, mean(accuracies)


def _train(task: Task, loss: Any, x: Any, y: Any, key: Any) -> Any:
    weights_key, order_key = jax.random.split(key)
    widths = [x.shape[1], *task.hidden, task.num_classes]
    layers = zip(pairwise(widths), jax.random.split(weights_key, len(widths) - 1), strict=True)
    weights = [_initial(*sizes, key) for sizes, key in layers]
    velocity = jax.tree.map(jnp.zeros_like, weights)
    whole = len(y) // task.batch_size * task.batch_size
    gradient = jax.grad(lambda weights, rows: loss(_logits(weights, x[rows]), y[rows]))

    def step(state: Any, rows: Any) -> tuple[Any, None]:
        weights, velocity = state
        velocity = jax.tree.map(lambda v, g: task.momentum * v + g, velocity, gradient(weights, rows))
        return (jax.tree.map(lambda w, v: w - task.lr * v, weights, velocity), velocity), None

    def epoch(state: Any, key: Any) -> tuple[Any, None]:
        order = jax.random.permutation(key, len(y))[:whole].reshape(-1, task.batch_size)
        return jax.lax.scan(step, state, order)[0], None

    return jax.lax.scan(epoch, (weights, velocity), jax.random.split(order_key, task.epochs))[0][0]


def _initial(inputs: int, outputs: int, key: Any) -> tuple[Any, Any]:
    bound = inputs**-0.5
    weight_key, bias_key = jax.random.split(key)
    draw = partial(jax.random.uniform, minval=-bound, maxval=bound)
    return draw(weight_key, (inputs, outputs)), draw(bias_key, (outputs,))


def _logits(weights: Any, x: Any) -> Any:
    *hidden, (last, offset) = weights
    for weight, bias in hidden:
        x = jax.nn.relu(x @ weight + bias)
    return x @ last + offset


def _squared_error(logits: Any, labels: Any) -> Any:
    return jnp.square(jax.nn.softmax(logits) - jax.nn.one_hot(labels, logits.shape[-1])).sum(-1).mean()


def _cross_entropy(logits: Any, labels: Any) -> Any:
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], -1).mean()
