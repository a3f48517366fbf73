"""A small convolutional network on MNIST, batch 64: milliseconds of one step, and what is beside the steps."""

from __future__ import annotations

import time
from functools import partial

import torch
from torch import nn

from benchmark import mnist, own
from benchmark.figures import Options, Outcome, Result, Spread, Target, race

PLAIN, CHANNELS_LAST, OWN = "PyTorch, NCHW", "PyTorch, channels last", "clsbench"
FORWARD, GATHERING = "bare forward passes over the test set, s", "gathering, s"


def measure(options: Options) -> Result:
    """Loops over tensors in memory in both layouts; the forward passes take the better one."""
    if reason := mnist.missing(options.data_dir):
        return Result({}, notes=[reason])
    data_dir, samples = str(options.data_dir), 1280 if options.quick else 12_800
    epochs = 2
    turns = {
        PLAIN: partial(_loop, data_dir, samples, epochs, torch.contiguous_format),
        CHANNELS_LAST: partial(_loop, data_dir, samples, epochs, torch.channels_last),
        OWN: partial(_clsbench, data_dir, samples, epochs),
        FORWARD: partial(_forward, data_dir, samples),
        GATHERING: partial(_gathering, data_dir, samples, epochs),
    }
    tolerance = 0.15 if options.quick else 0.02
    run = race(turns, options.repeats, unit="ms per step where not said otherwise", tolerance=tolerance)
    best = [min(pair) for pair in zip(run.spread(PLAIN).values, run.spread(CHANNELS_LAST).values, strict=True)]
    steps = Spread(tuple(mine / most for mine, most in zip(run.spread(OWN).values, best, strict=True)))
    # With no validation split, clsbench also takes the gradients on the logits of the training images.
    passes = 1 + samples / 10_000
    forward = [passes * value for value in run.spread(FORWARD).values]
    evaluating = _shares(run.more(OWN, "evaluating (s)"), forward)
    gathering = _shares(run.spread(GATHERING), list(run.more(OWN, "training (s)").values))
    targets = [
        Target("clsbench / the better loop", steps, 1.0),
        Target("gathering / training", gathering, 0.05),
        Target("evaluation / bare forward passes over the same data", evaluating, 1.3),
    ]
    return Result({f"cnn 16-32-64, {samples} images": run}, targets)


def _shares(parts: Spread, wholes: list[float]) -> Spread:
    return Spread(tuple(part / whole for part, whole in zip(parts.values, wholes, strict=True)))


def _network() -> nn.Module:
    """clsbench's default `cnn` as one writes it; clsbench pools before ReLU, to the same end."""
    features: list[nn.Module] = []
    for inputs, outputs in ((1, 16), (16, 32)):
        features += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*features, nn.Flatten(), nn.Linear(32 * 7 * 7, 64), nn.ReLU(), nn.Linear(64, 10))


def _laid_out(data: mnist.Images, layout: torch.memory_format) -> mnist.Images:
    x, x_test = (x.contiguous(memory_format=layout) for x in (data.x, data.x_test))
    return mnist.Images(x, data.y, x_test, data.y_test)


def _loop(data_dir: str, samples: int, epochs: int, layout: torch.memory_format) -> Outcome:
    data = _laid_out(mnist.images(data_dir, samples), layout)
    module = _network().to(memory_format=layout)
    seconds = mnist.train(module, mnist.in_memory(data, epochs))
    return Outcome(1000 * seconds / (epochs * -(-samples // mnist.BATCH)), mnist.accuracy(module, data))


def _clsbench(data_dir: str, samples: int, epochs: int) -> Outcome:
    config = mnist.clsbench_config(data_dir, {"name": "cnn"}, epochs=epochs)
    config["dataset"]["limit"] = samples
    run = own.run(config)
    more = {"training (s)": run.training, "evaluating (s)": run.evaluating}
    return Outcome(1000 * run.training / (epochs * -(-samples // mnist.BATCH)), run.accuracy, more)


def _forward(data_dir: str, samples: int) -> Outcome:
    x_test = mnist.images(data_dir, samples).x_test
    layouts = (torch.contiguous_format, torch.channels_last)
    passes = [
        mnist.bare_forward(_network().to(memory_format=layout).eval(), x_test.contiguous(memory_format=layout))
        for layout in layouts
    ]
    return Outcome(min(passes))


def _gathering(data_dir: str, samples: int, epochs: int) -> Outcome:
    """The images of as many batches as a run trains on, copied together."""
    data = mnist.images(data_dir, samples)
    started = time.perf_counter()
    for _ in mnist.in_memory(data, epochs):
        pass
    return Outcome(time.perf_counter() - started)
