"""Acts 2 and 3: the marbles of scikit-learn's digits, while networks train side by side under two losses."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

import clsbench.data
import clsbench.losses
import clsbench.metrics
import clsbench.models
import clsbench.training  # noqa: F401 - the rooms register what they offer
from clsbench.config.plan import make_plan
from clsbench.config.reader import read_mapping
from clsbench.execution.process import training
from clsbench.execution.warm_start import warm_start
from clsbench.execution.work import StackWork, Work
from clsbench.lecture.acts import LOSSES, RATES, SHOWN, Moment, Side
from clsbench.training.loop import EpochResult, train

DIGITS: dict[str, Any] = {
    "name": "demo",
    "dataset": {"name": "digits", "normalize": "unit"},
    "model": {"name": "linear", "init": {"weights": "normal", "scale": 0.01}},
    "loss": list(LOSSES),
    "train": {"epochs": 30, "batch_size": 32, "seeds": 1, "device": "cpu", "compile": "off"},
}
GENTLE_LR = 0.5
WRONG_START = {"labels": "rotated", "epochs": 50, "lr": 10.0}


def gentle() -> Iterator[Moment]:
    """Act 2: both losses from small weights, at one learning rate."""
    return _moments({**DIGITS, "optimizer": {"name": "sgd", "lr": GENTLE_LR}}, shown=0)


def wrong() -> Iterator[Moment]:
    """Act 3: both losses from networks that first learned every label wrong, at all `RATES`."""
    train = {**DIGITS["train"], "warm_start": WRONG_START}
    return _moments({**DIGITS, "train": train, "optimizer": {"name": "sgd", "lr": list(RATES)}}, SHOWN)


def _moments(config: dict[str, Any], shown: int) -> Iterator[Moment]:
    """Train the stacks of a config epoch by epoch, side by side."""
    experiment = read_mapping(config)
    with training():
        work = Work(experiment, make_plan(experiment), {}, torch.device("cpu"))
        stacks = work.stacks
        for results in zip(*map(_trained, stacks), strict=True):
            sides = map(partial(_side, shown=shown), stacks, results)
            yield Moment(results[0].epoch, tuple(sides))


def _trained(work: StackWork) -> Iterator[EpochResult]:
    torch.set_num_threads(work.num_threads)
    trials = [work.trials[place] for place in work.places_in_stack(len(work.trials))]
    stack = work.stack(trials)
    warm_start(stack, trials, work)
    settings = [work.trial_settings(trial, loss_weight=1.0) for trial in trials]
    return train(stack, settings, work.loss, work.data, work.settings)


def _side(work: StackWork, result: EpochResult, shown: int) -> Side:
    rows = result.rows[: len(work.trials)]
    accuracies = [None if row is None else row["val_accuracy"] for row in rows]
    margins = result.frame(shown).arrays["margins"].tolist()
    return Side(work.loss.name, tuple(margins), tuple(a if isinstance(a, float) else None for a in accuracies))
