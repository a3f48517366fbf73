"""An MLP 2-32-32-2 on two moons, two losses: microseconds of one trial's step."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial

from benchmark import contenders, own
from benchmark.contenders import Task
from benchmark.figures import Options, Outcome, Race, Result, Spread, Target, race

LOOP = "PyTorch, DataLoader loop"
SAMPLES, TRAIN = 1334, 800
# Steps of compiled training: 10,000, of which clsbench compiles by itself.
COMPILED_EPOCHS, EAGER_EPOCHS = 400, 100
TOLERANCE = 0.02


def measure(options: Options) -> Result:
    """The contenders take turns; clsbench runs in processes of its own, at 20 and at 100 trials."""
    trials = (2,) if options.quick else (20, 100)
    epochs = 3 if options.quick else EAGER_EPOCHS
    task = replace(moons_task(), epochs=epochs)
    others = contenders.installed(
        {
            LOOP: contenders.dataloader_loop,
            "PyTorch, tensors in memory": contenders.in_memory_loop,
            "scikit-learn MLPClassifier": contenders.scikit_learn,
            "Lightning": contenders.lightning,
            "skorch": contenders.skorch,
        }
    )
    for contender in others.values():
        contender(replace(task, epochs=1))  # first calls import and allocate
    turns = {name: partial(contender, task) for name, contender in others.items()}
    for number in trials:
        seeds = number // 2
        if contenders.installed({"JAX": contenders.jax}):
            turns[f"JAX jit(vmap(scan)), {number} trials"] = partial(contenders.jax, replace(task, seeds=seeds))
        turns[f"clsbench eager, {number} trials"] = partial(clsbench_step, seeds, epochs, "off")
        if not options.quick:
            turns[f"clsbench compiled, {number} trials"] = partial(clsbench_step, seeds, COMPILED_EPOCHS, "auto")
    run = race(turns, options.repeats, unit="us per trial and step", tolerance=0.15 if options.quick else TOLERANCE)
    return Result({"MLP 2-32-32-2, batch 32, SGD with momentum": run}, _targets(run))


def moons_task() -> Task:
    """The data that clsbench trains on, as tensors."""
    from clsbench.data.raw import as_raw
    from clsbench.data.splits import split
    from clsbench.data.toy import moons

    # The others run as their packages come; clsbench, in its own processes, sets this for itself.
    os.environ.pop("MKL_CBWR", None)
    parts = split(as_raw(moons(0, samples=SAMPLES)), val_fraction=0.2, test_fraction=0.2)
    assert len(parts.train) == TRAIN
    return Task(parts.train.x, parts.train.y, parts.test.x, parts.test.y)


def clsbench_step(seeds: int, epochs: int, compile: str) -> Outcome:
    """clsbench's training time by its records; how much of a longer run is training, and its time by the clock."""
    # As much longer that the noise of what does not grow, compiling say, is small beside what does.
    run, longer = (own.run(own.moons(seeds=seeds, epochs=n, compile=compile)) for n in (epochs, 3 * epochs))
    steps = run.num_trials * epochs * -(-TRAIN // 32)
    added = (longer.wall - longer.compiling) - (run.wall - run.compiling)
    more = {
        "compiling (s)": run.compiling,
        "processes": run.processes,
        # Of what each process did, and what the user waits for a step of a trial, measuring and all.
        "training share": (longer.training - run.training) / (added * run.processes),
        "by the clock": 1e6 * added / (2 * steps),
    }
    return Outcome(1e6 * run.training / steps, run.accuracy, more)


def _targets(run: Race) -> list[Target]:
    wanted = [
        ("clsbench compiled, 20 trials", 1 / 30, "JAX jit(vmap(scan)), 20 trials", 0.8),
        ("clsbench compiled, 100 trials", 1 / 50, "JAX jit(vmap(scan)), 100 trials", 0.5),
        ("clsbench eager, 20 trials", 1 / 5, None, 0.0),
        ("clsbench eager, 100 trials", 1 / 10, None, 0.0),
    ]
    targets: list[Target] = []
    for name, of_loop, jax, of_jax in wanted:
        if name not in run.outcomes:
            continue
        targets += run.target(name, LOOP, of_loop)
        if jax is not None:
            targets += run.target(name, jax, of_jax)
        share: Spread = run.more(name, "training share")
        targets.append(Target(f"{name}: share of training in a longer run", share, 0.6, at_least=True))
    return targets
