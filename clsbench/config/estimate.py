"""About how long a plan trains and what memory and disk it takes: from shapes and counts. Pure.

Shapes and counts are those of the data where these are open, else what the config says.

The times were measured on two shared cores of a server: of another machine they tell the size, not the number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from clsbench.config.arms import Arm
from clsbench.config.entries import DatasetEntry
from clsbench.config.memory import NUMBER, size_of, state_bytes
from clsbench.config.plan import Plan, Trial
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
    """What it takes to train the plans of a run one after the other; data that are open for one are known for all."""
    unknown: dict[str, None] = {}
    seconds, disk, largest = 0.0, 0, 0
    data: dict[tuple[str, int | str | None], int] = {}
    read = {arm.dataset.key: of for plan in plans for arm in plan.arms if (of := plan.data_of(arm)).sizes}
    for plan in (_sized(plan, read) for plan in plans):
        for trials in plan.stacks():
            arm, known = trials[0].arm, plan.posed.get(trials[0].data_key)
            size = None if known is None else _size(arm, known)
            if known is None or known.sizes is None or size is None:
                unknown[arm.dataset.title if known is None else arm.model.title] = None
                continue
            seconds += _seconds(plan, trials, size, known)
            disk += _disk(plan, trials, known)
            largest = max(largest, len(trials) * (plan.bytes_each(arm, known) or 0))
            data |= {(arm.dataset.key, seed): NUMBER * size.inputs * sum(known.sizes) for seed in _drawn_at(trials)}
    report = plans[-1].experiment.report
    drawn = DRAWN * (report.figures or report.html)
    return Estimate(seconds, PROCESS + largest + sum(data.values()), disk + drawn, tuple(unknown))


def _sized(plan: Plan, read: Mapping[str, Posed]) -> Plan:
    """The plan with the sizes of splits, as far as they are known: splits that trials do not share limit a stack.

    `read` has those of data that are open, by the key of an arm's dataset: another seed's split is as large.
    """
    posed = dict(plan.posed)
    for trial in plan.trials:
        entry = trial.dataset
        if trial.data_key not in posed:
            known = read.get(trial.arm.dataset.key)
            if known is not None:
                posed[trial.data_key] = known
            elif (counts := _counts(entry)) is not None:
                posed[trial.data_key] = replace(entry.posed, sizes=counts)
    return replace(plan, posed=posed)


def _drawn_at(trials: Sequence[Trial]) -> set[int | str | None]:
    """The seeds whose data are kept: of a set that is split anew for each seed, but not generated anew, it is one."""
    whole = trials[0].arm.dataset
    anew = whole.split_seed == "per_seed" and catalogue.get("dataset", whole.name).drawn
    return {trial.dataset.split_seed for trial in trials} if anew else {None}


def _size(arm: Arm, known: Posed) -> Size | None:
    """None of a model that does not stack: its arithmetic is not that of its parameters."""
    return size_of(arm.model, arm.loss, known) if catalogue.get("model", arm.model.name).stacked else None


def _counts(entry: DatasetEntry) -> tuple[int, int, int] | None:
    """The samples of training, validation and test, as far as the config says; None if it does not."""
    samples = entry.options.get("samples", entry.posed.samples)
    if not isinstance(samples, int) or entry.only_classes is not None or entry.imbalance is not None:
        return None
    kept = min(samples, entry.limit or samples)
    val = round(kept * entry.val_fraction)
    test = entry.posed.test_samples if entry.test_fraction is None else round(kept * entry.test_fraction)
    return None if test is None else (kept - val - (0 if entry.test_fraction is None else test), val, test)


def _seconds(plan: Plan, trials: Sequence[Trial], size: Size, known: Posed) -> float:
    train, val, test = known.sizes or (0, 0, 0)
    batch_size, epochs, together = trials[0].arm.batch_size, plan.experiment.train.epochs, len(trials)
    steps = -(-train // batch_size)
    measured = val + (test if plan.sees_test else 0) + train
    each = TRIAL_STEP * steps + 6 * size.parameters * train / RATE  # forward once, backward twice
    each += measured * SAMPLE * _num_classes(known) + 2 * size.parameters * (measured - train) / RATE
    return STACK + epochs * (STEP * steps + MEASUREMENT + together * each)


def _disk(plan: Plan, trials: Sequence[Trial], known: Posed) -> int:
    arm, optimizer = trials[0].arm, plan.experiment.optimizer.name
    state = state_bytes(arm.model, arm.loss, optimizer, known) or 0
    record = RECORD + RECORD_OF_CLASS * _num_classes(known)
    return len(trials) * (state + record * (plan.experiment.train.epochs + 1))


def _num_classes(known: Posed) -> int:
    return 1 if known.problem is None else max(1, len(known.problem.names))
