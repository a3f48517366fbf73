"""How cost grows: with trials, with width, with samples, one thing at a time from one base."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import pairwise
from typing import Any

from benchmark import own
from benchmark.figures import Options, Outcome, Race, Result, Spread, Target, race

TRIALS, QUICK_TRIALS = (1, 4, 20, 100, 400, 1000), (1, 2)
WIDTHS, QUICK_WIDTHS = (16, 64, 256, 1024), (16, 32)
SAMPLES, QUICK_SAMPLES = (1000, 5000, 20_000, 60_000), (100, 1000)
TINY, QUICK_TINY = (1000, 10_000), (4, 8)  # trials of one run


def measure(options: Options) -> Result:
    """Eager steps on moons, one loss: a trial's step by the number of trials, by width and by samples.

    And whole runs of many tiny trials of two losses: the memory of the process that writes, and a record's cost.
    """
    quick = options.quick
    sizes: dict[str, Mapping[str, Callable[[], Outcome]]] = {
        "trials": {f"{n} trials": partial(_step, seeds=n) for n in (QUICK_TRIALS if quick else TRIALS)},
        "width": {f"{n} wide": partial(_step, hidden=(n, n)) for n in (QUICK_WIDTHS if quick else WIDTHS)},
        "samples": {f"{n} samples": partial(_step, train=n) for n in (QUICK_SAMPLES if quick else SAMPLES)},
    }
    races = {
        f"growth with {name}": race(turns, options.repeats, unit="us per trial and step")
        for name, turns in sizes.items()
    }
    turns = {f"{n} tiny trials": partial(_whole, n) for n in (QUICK_TINY if quick else TINY)}
    races["memory of a run"] = race(turns, options.repeats, unit="MiB, peak of the process that writes")
    return Result(races, [] if quick else [_falls(races["growth with trials"]), _flat(races["memory of a run"])])


def _falls(run: Race) -> Target:
    """The largest rise of the cost per trial from one number of trials to the next, from 20 on."""
    names = [f"{n} trials" for n in TRIALS if n >= 20]
    steps = [run.ratio(more, fewer) for fewer, more in pairwise(names)]
    worst = max(steps, key=lambda ratio: ratio.median)
    return Target("cost per trial, largest rise from 20 to 1,000 trials", Spread(worst.values), 1.05)


def _flat(run: Race) -> Target:
    """The peak of the largest run beside that of the smallest."""
    fewer, more = (f"{n} tiny trials" for n in TINY)
    return Target("peak memory, 10,000 tiny trials beside 1,000", run.ratio(more, fewer), 1.2)


def _whole(trials: int) -> Outcome:
    epochs = 3
    config = own.moons(seeds=trials // 2, epochs=epochs, train=30)
    run = own.run({**config, "report": {"figures": False, "html": False}})
    cost = 1e6 * run.processor / (trials * (epochs + 1))
    return Outcome(run.driver / 2**20, run.accuracy, {"processor (us per record)": cost})


def _step(*, seeds: int = 10, hidden: tuple[int, int] = (32, 32), train: int = 800) -> Outcome:
    """A wide or long training has fewer epochs; the cost of a step does not depend on their number."""
    epochs = max(1, min(10, 20_000 // train * 32 // max(hidden)))
    config: dict[str, Any] = own.moons(seeds=seeds, epochs=epochs, compile="off", train=train, hidden=hidden)
    run = own.run({**config, "loss": "cross_entropy"})
    steps = run.num_trials * epochs * -(-train // 32)
    return Outcome(1e6 * run.training / steps, run.accuracy, {"peak memory (MiB)": run.memory / 2**20})
