"""Training in this process, one stack after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch

from clsbench.config.plan import Plan, Trial
from clsbench.data.splits import Splits
from clsbench.execution.build import compiles, identity_of, loss_of, module_of, settings_of, threads_for
from clsbench.execution.events import FIELDS, EpochDone, Event, Record, StackDone, StackStarted
from clsbench.execution.matching import loss_weights
from clsbench.execution.warm_start import warm_start
from clsbench.registry import Registry
from clsbench.training.loop import EpochResult, train
from clsbench.training.stack import Stack


def execute(plan: Plan, data: Mapping[str, Splits], catalogue: Registry, device: torch.device) -> Iterator[Event]:
    """Train every stack of the plan in order, and tell what happens."""
    threads = torch.get_num_threads()
    try:
        for trials in plan.stacks(catalogue):
            yield from _train_stack(trials, plan, data[trials[0].dataset.key], catalogue, device)
    finally:
        torch.set_num_threads(threads)  # it is the process's, not the run's


def _train_stack(
    trials: Sequence[Trial], plan: Plan, splits: Splits, catalogue: Registry, device: torch.device
) -> Iterator[Event]:
    arm, asked = trials[0].arm, plan.experiment.train
    loss = loss_of(arm, splits.num_classes)
    stacked = catalogue.get("model", arm.model.name).facts["stacked"]
    # On a CPU, a batched product of one takes another path through the BLAS than one of several, with other
    # last bits: so that a lone trial's numbers are those it has in company, it trains beside its own copy.
    members = [*trials, *trials] if stacked and len(trials) == 1 and device.type == "cpu" else trials
    modules = [module_of(t.arm, t.seed, splits.shape, loss.num_outputs, catalogue) for t in members]
    stack = Stack(modules, stacked=stacked, device=device)
    steps_per_epoch = -(-len(splits.train) // arm.batch_size)
    compiled = compiles(asked.compile, stacked=stacked, num_steps=steps_per_epoch * asked.epochs)
    threads = threads_for(asked.threads, stacked=stacked, compiled=compiled)
    warm_start(stack, members, asked, splits)
    torch.set_num_threads(threads)
    numbers = tuple(trial.number for trial in trials)
    yield StackStarted(numbers, threads, compiled, {n: stack.fingerprints(i) for i, n in enumerate(numbers)})
    weights = loss_weights(stack, loss, members, plan.experiment.loss[0], splits, catalogue)
    results = train(
        stack,
        [settings_of(trial, plan, weight) for trial, weight in zip(members, weights, strict=True)],
        loss,
        train_data=(splits.train.x, splits.train.y),
        val_data=None if splits.val is None else (splits.val.x, splits.val.y),
        test_data=(splits.test.x, splits.test.y) if plan.sees_test else None,
        optimizer=plan.experiment.optimizer.name,
        nesterov=plan.experiment.optimizer.nesterov,
        batch_size=arm.batch_size,
        epochs=asked.epochs,
        compiled=compiled,
    )
    for result in results:
        yield EpochDone(result.epoch, _records(trials, result), dict(zip(numbers, result.batches, strict=False)))
    yield StackDone(
        {number: stack.trial_state(i) for i, number in enumerate(numbers)}, result.seconds, result.compile_seconds
    )


def _records(trials: Sequence[Trial], result: EpochResult) -> tuple[Record, ...]:
    seconds = round(result.seconds / len(trials), 6)
    records = []
    for trial, row in zip(trials, result.rows, strict=False):
        if row is not None:
            known = {**identity_of(trial), "epoch": result.epoch, **row, "seconds": seconds}
            records.append({field: known[field] for field in FIELDS})
    return tuple(records)
