"""An MLP 784-128-10 on MNIST, batch 64: seconds of one trial's epoch, and the share of the machine that it uses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from torch import Tensor, nn
from torch.utils.data import DataLoader
from torchvision import datasets, transforms

from benchmark import mnist, own
from benchmark.figures import Options, Outcome, Result, Spread, Target, race
from clsbench.system import cores

OFFICIAL, IN_MEMORY = "PyTorch, official DataLoader idiom", "PyTorch, tensors in memory"
STACK, RATE = "clsbench, stack of ten", "matrix product of 2048, GF/s"
SAMPLES, HIDDEN = 60_000, 128
# Per sample: forward, the gradient of every weight, and of the hidden layer; no gradient of the images.
FLOPS = 4 * 784 * HIDDEN + 6 * HIDDEN * 10


def measure(options: Options) -> Result:
    """Two epochs by each; clsbench as it comes, which has all cores, and on one."""
    if reason := mnist.missing(options.data_dir):
        return Result({}, notes=[reason])
    data_dir, epochs = str(options.data_dir), 1 if options.quick else 2
    turns = {
        OFFICIAL: partial(_loop, data_dir, epochs, official=True),
        IN_MEMORY: partial(_loop, data_dir, epochs, official=False),
        STACK: partial(_clsbench, data_dir, epochs, 2 if options.quick else 10, "auto"),
    }
    threads = {STACK: cores()}
    if cores() > 1 and not options.quick:
        turns[f"{STACK}, one thread"] = partial(_clsbench, data_dir, epochs, 10, 1)
        threads[f"{STACK}, one thread"] = 1
    rates = {name: f"{RATE}, {number} threads" for name, number in threads.items()}
    products = {rate: partial(mnist.matrix_product_rate, threads[name]) for name, rate in rates.items()}
    both = race({**turns, **products}, options.repeats, unit="s per trial and epoch", tolerance=0.02)
    targets: list[Target] = []
    for name, rate in rates.items():
        targets += both.target(name, OFFICIAL, 1 / 12) + both.target(name, IN_MEMORY, 0.65)
        pairs = zip(both.outcomes[name], both.outcomes[rate], strict=True)
        shares = Spread(tuple(1e-9 * FLOPS * SAMPLES / mine.value / most.value for mine, most in pairs))
        targets.append(Target(f"{name}: share of the {rate}", shares, 0.6, at_least=True))
    return Result({f"MLP 784-{HIDDEN}-10, batch {mnist.BATCH}": both}, targets)


def _loop(data_dir: str, epochs: int, *, official: bool) -> Outcome:
    data = mnist.images(data_dir, SAMPLES)
    module = nn.Sequential(nn.Flatten(), nn.Linear(784, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 10))
    batches = _official(data_dir, epochs) if official else mnist.in_memory(data, epochs)
    return Outcome(mnist.train(module, batches) / epochs, mnist.accuracy(module, data))


def _official(data_dir: str, epochs: int) -> Iterator[Sequence[Tensor]]:
    """As PyTorch's own MNIST example reads it: one image at a time, transformed as it is read."""
    change = transforms.Compose([transforms.ToTensor(), transforms.Normalize((mnist.MEAN,), (mnist.DEVIATION,))])
    whole = datasets.MNIST(data_dir, train=True, transform=change)
    loader: DataLoader[list[Tensor]] = DataLoader(whole, batch_size=mnist.BATCH, shuffle=True)
    for _ in range(epochs):
        yield from loader


def _clsbench(data_dir: str, epochs: int, seeds: int, threads: int | str) -> Outcome:
    model = {"name": "mlp", "hidden": [HIDDEN]}
    run = own.run(mnist.clsbench_config(data_dir, model, epochs=epochs, seeds=seeds, threads=threads))
    return Outcome(run.training / run.num_trials / epochs, run.accuracy)
