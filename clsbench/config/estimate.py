"""About how long a plan trains and what memory and disk it takes: from shapes and counts, no data opened. Pure.

The times were measured on two shared cores of a server: of another machine they tell the size, not the number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from clsbench.config.entries import DatasetEntry
from clsbench.config.memory import NUMBER, size_of, state_bytes
from clsbench.config.plan import Arm, Plan, Trial
from clsbench.problems import Posed
from clsbench.registry import Size, catalogue

STACK = 0.15  # seconds of building a stack, and of measuring its networks at the end
STEP = 700e-6  # seconds of a step of a stack beside its arithmetic, whatever its number of trials
TRIAL_STEP = 12e-6  # seconds of a step of each trial beside its products
MEASUREMENT = 12e-3  # seconds of measuring a stack after an epoch beside its arithmetic
SAMPLE = 0.2e-6  # seconds of measuring a sample of a trial, by class, beside its products
RATE = 70e9  # operations a second of matrix products on one core

PROCESS = 400_000_000  # bytes of Python, PyTorch and scikit-learn
RECORD, RECORD_OF_CLASS = 1000, 100  # bytes of a record, and of its metrics of each class
DRAWN = 5_000_000  # bytes of figures and page


@dataclass(frozen=True)
class Estimate:
    """What some plans take together: `seconds` of one core, bytes of memory and of disk.

    `unknown` names the datasets and models whose trials are not in it, because their size is not known.
    """

    seconds: float
    memory: int
    disk: int
    unknown: tuple[str, ...]


def estimate(plans: Sequence[Plan]) -> Estimate:
    """What it takes to train the plans of a run one after the other."""
    unknown: dict[str, None] = {}
    seconds, disk, largest = 0.0, 0, 0
    data: dict[tuple[str, int | str | None], int] = {}
    for plan in map(_sized, plans):
        for trials in plan.stacks():
            arm, entry = trials[0].arm, trials[0].dataset
            size, counts = _size(arm), _counts(entry)
            if size is None or counts is None:
                unknown[entry.title if counts is None else arm.model.title] = None
                continue
            seconds += _seconds(plan, trials, size, counts)
            disk += _disk(plan, trials)
            largest = max(largest, len(trials) * (plan.bytes_each(arm, plan.posed[entry.key]) or 0))
            data |= {(arm.dataset.key, seed): NUMBER * size.inputs * sum(counts) for seed in _drawn_at(trials)}
    report = plans[-1].experiment.report
    drawn = DRAWN * (report.figures or report.html)
    return Estimate(seconds, PROCESS + largest + sum(data.values()), disk + drawn, tuple(unknown))


def _sized(plan: Plan) -> Plan:
    """The plan with the sizes of splits, as far as they are known: splits that trials do not share limit a stack."""
    posed: dict[str, Posed] = {}
    for entry in (trial.dataset for trial in plan.trials):
        if entry.key not in posed and (counts := _counts(entry)) is not None:
            posed[entry.key] = replace(entry.posed, sizes=counts)
    return replace(plan, posed=posed)


def _drawn_at(trials: Sequence[Trial]) -> set[int | str | None]:
    """The seeds whose data are kept: of a set that is split anew for each seed, but not generated anew, it is one."""
    whole = trials[0].arm.dataset
    anew = whole.split_seed == "per_seed" and catalogue.get("dataset", whole.name).drawn
    return {trial.dataset.split_seed for trial in trials} if anew else {None}


def _size(arm: Arm) -> Size | None:
    """None of a model that does not stack: its arithmetic is not that of its parameters."""
    if not catalogue.get("model", arm.model.name).stacked:
        return None
    return size_of(arm.model, arm.loss, arm.dataset.posed)


def _counts(entry: DatasetEntry) -> tuple[int, int, int] | None:
    """The samples of training, validation and test, as far as the config says; None if it does not."""
    samples = entry.options.get("samples", entry.posed.samples)
    if not isinstance(samples, int) or entry.only_classes is not None or entry.imbalance is not None:
        return None
    kept = min(samples, entry.limit or samples)
    val = round(kept * entry.val_fraction)
    test = entry.posed.test_samples if entry.test_fraction is None else round(kept * entry.test_fraction)
    return None if test is None else (kept - val - (0 if entry.test_fraction is None else test), val, test)


def _seconds(plan: Plan, trials: Sequence[Trial], size: Size, counts: tuple[int, int, int]) -> float:
    train, val, test = counts
    batch_size, epochs, together = trials[0].arm.batch_size, plan.experiment.train.epochs, len(trials)
    steps = -(-train // batch_size)
    measured = val + (test if plan.sees_test else 0) + train
    each = TRIAL_STEP * steps + 6 * size.parameters * train / RATE  # forward once, backward twice
    each += measured * SAMPLE * _num_classes(trials[0].arm) + 2 * size.parameters * (measured - train) / RATE
    return STACK + epochs * (STEP * steps + MEASUREMENT + together * each)


def _disk(plan: Plan, trials: Sequence[Trial]) -> int:
    arm, optimizer = trials[0].arm, plan.experiment.optimizer.name
    state = state_bytes(arm.model, arm.loss, optimizer, arm.dataset.posed) or 0
    record = RECORD + RECORD_OF_CLASS * _num_classes(arm)
    return len(trials) * (state + record * (plan.experiment.train.epochs + 1))


def _num_classes(arm: Arm) -> int:
    problem = arm.dataset.posed.problem
    return 1 if problem is None else max(1, len(problem.names))
