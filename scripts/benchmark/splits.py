"""A split for every seed beside one that all seeds share: 100 seeds of two losses on two moons."""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmark import own
from benchmark.figures import Options, Outcome, Result, race

SHARED, OWN = "one split", "a split each"
MOST = 1.15


def measure(options: Options) -> Result:
    """They take turns, with eager and with compiled steps."""
    seeds = 2 if options.quick else 100
    modes = {"eager": 3} if options.quick else {"eager": 40, "compiled": 200}
    races = {}
    for mode, epochs in modes.items():
        how = "off" if mode == "eager" else "on"
        turns = {
            name: partial(_step, split_seed, seeds, epochs, how)
            for name, split_seed in ((SHARED, 0), (OWN, "per_seed"))
        }
        races[f"{mode} steps"] = race(turns, options.repeats, unit="us per trial and step", tolerance=1.0)
    targets = [target for run in races.values() for target in run.target(OWN, SHARED, MOST)]
    return Result(races, [] if options.quick else targets)


def _step(split_seed: Any, seeds: int, epochs: int, compile: str) -> Outcome:
    config = own.moons(seeds=seeds, epochs=epochs, compile=compile)
    run = own.run({**config, "dataset": {**config["dataset"], "split_seed": split_seed}})
    steps = run.num_trials * epochs * -(-800 // 32)
    return Outcome(1e6 * run.training / steps, run.accuracy, {"wall (s)": run.wall, "memory (MiB)": run.memory / 2**20})
