"""A split for every seed beside one that all seeds share: 100 seeds on two moons, processor time of a trial's step."""

from __future__ import annotations

import statistics
import time
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

from benchmark import own
from benchmark.figures import Options, Outcome, Result, race

SHARED, OWN = "one split", "a split each"
MOST = 1.15
STEPS = 25  # of an epoch


def measure(options: Options) -> Result:
    """They take turns, with eager and with compiled steps, in this process; an epoch is measured with its metrics."""
    seeds, epochs = (2, 2) if options.quick else (100, 10)
    races = {}
    for how in ("off",) if options.quick else ("off", "on"):
        turns = {
            name: partial(_step, split_seed, seeds, epochs, how)
            for name, split_seed in ((SHARED, 0), (OWN, "per_seed"))
        }
        title = "eager steps" if how == "off" else "compiled steps"
        races[title] = race(turns, options.repeats, unit="us of processor per trial and step", tolerance=1.0)
    targets = [target for run in races.values() for target in run.target(OWN, SHARED, MOST)]
    return Result(races, [] if options.quick else targets)


def _step(split_seed: Any, seeds: int, epochs: int, compile: str) -> Outcome:
    """The median over all epochs but the first, which compiles."""
    import torch

    from clsbench.config.plan import make_plan
    from clsbench.config.reader import read_mapping
    from clsbench.execution.opening import device_for, load_data, posed_of
    from clsbench.execution.process import training
    from clsbench.execution.work import Work
    from clsbench.training.loop import train

    asked = own.moons(seeds=seeds, epochs=epochs + 1, compile=compile, train=STEPS * 32)
    dataset = {**asked["dataset"], "split_seed": split_seed}
    plan = make_plan(read_mapping({**asked, "dataset": dataset, "loss": "cross_entropy"}))
    device = device_for("cpu")
    data = load_data(plan.trials, device)
    plan = replace(plan, posed={key: posed_of(splits) for key, splits in data.items()})
    with training():
        (work,) = Work(plan.experiment, plan, data, device).stacks
        torch.set_num_threads(work.num_threads)
        settings = [work.trial_settings(trial, 1.0) for trial in work.trials]
        results = train(work.stack(work.trials), settings, work.loss, work.data, work.settings)
        times, accuracies = [], []
        for result in results:
            times.append(time.process_time())
            accuracies = [float(str(row["test_accuracy"])) for row in result.rows if row]
    spent = [after - before for before, after in pairwise(times[1:])]
    return Outcome(1e6 * statistics.median(spent) / (seeds * STEPS), statistics.fmean(accuracies))
