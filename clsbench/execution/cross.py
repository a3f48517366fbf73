"""Cross-evaluation: trained networks measured by every loss of the experiment, or only by their own."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from clsbench.config.arms import Arm
from clsbench.config.entries import LossEntry
from clsbench.config.plan import Plan, Trial
from clsbench.execution.by_sample import SampleMeans
from clsbench.execution.trained import require_fitting, trained_model
from clsbench.execution.work import StackWork, Work, bound_loss
from clsbench.losses.contract import Loss
from clsbench.metrics.by_class import confusion
from clsbench.metrics.measures import taken_at_the_end
from clsbench.metrics.reliability import COLUMNS, reliability
from clsbench.problems import Problem
from clsbench.registry import catalogue
from clsbench.signatures import described, is_own
from clsbench.training.evaluation import evaluate
from clsbench.training.measure import Measure, final_metrics
from clsbench.training.quantities import Quantities, Ruler
from clsbench.training.stack import Stack

log = logging.getLogger("clsbench")

State = Mapping[str, Tensor]
MOST_LOSSES = 20  # up to so many losses, each is measured on all networks: the cost grows with the square
MOST_CLASSES = 100  # up to so many, each is counted against each other: the counts grow with the square


@dataclass(frozen=True)
class CrossEvaluation:
    """Every measure of a trained network on test data; None for those that it cannot have.

    `measures` holds the metrics of trained networks by name, `losses` the unweighted losses of `judging` by label.
    `bins` holds, for each bin of the calibration error, its number of samples, the sum of their confidence and the
    number that are right. `confusion` counts the samples of each class by prediction; None beyond `MOST_CLASSES`.
    """

    measures: Mapping[str, float | None]
    losses: Mapping[str, float | None]
    bins: Mapping[str, list[float]] | None
    confusion: Mapping[str, Mapping[str, int]] | None = None


def judging(plan: Plan, arm: Arm) -> Sequence[LossEntry]:
    """The losses that measure an arm's networks: all of the experiment, or only its own if there are many."""
    return plan.losses if len(plan.losses) <= MOST_LOSSES else (arm.loss,)


def cross_evaluations(
    work: Work, state_of: Callable[[int], State], trials: Sequence[Trial], failed: Set[int] = frozenset()
) -> CrossEvaluations:
    """Measure trained networks on test data, in the stacks that they were trained in.

    It sets the number of threads and does not restore it: call it inside `process.training`.

    Args:
        state_of: returns a trial's final state dict.
        trials: the trials of the plan to measure.
        failed: the numbers of the trials that failed. A loss all of whose trials failed measures no network: it may
            have killed the processes that trained with it, and would kill this one.
    """
    usable = {trial.arm.loss.name for trial in work.plan.trials if trial.number not in failed}
    wanted = {trial.number for trial in trials}
    found, samples = list[_Measured](), SampleMeans(work.plan)
    for trials_of_stack in work.plan.stacks():
        members = [trial for trial in trials_of_stack if trial.number in wanted]
        if members:
            found.append(_measured(work.plan, state_of, work.resolved(members), usable, samples))
    return CrossEvaluations(found, samples)


@dataclass(frozen=True)
class _Measured:
    """What was measured of the trials of a stack, `[T, ...]` each; `losses` maps the labels of each to its names."""

    trials: tuple[Trial, ...]
    values: Mapping[str, Tensor]
    losses: Sequence[Mapping[str, str]]
    problem: Problem

    def of(self, place: int) -> CrossEvaluation:
        values = {name: tensor[place].tolist() for name, tensor in self.values.items()}
        return _of_trial(values, self.losses[place], self.problem)


class CrossEvaluations(Mapping[int, CrossEvaluation]):
    """The evaluation of each trial by its number, made when it is asked for: as numbers in tensors they are small.

    `samples` has the arms by test sample.
    """

    def __init__(self, stacks: Sequence[_Measured], samples: SampleMeans) -> None:
        self.samples = samples
        self._places = {trial.number: (stack, n) for stack in stacks for n, trial in enumerate(stack.trials)}

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[int]:
        return iter(self._places)

    def __getitem__(self, trial: int) -> CrossEvaluation:
        stack, place = self._places[trial]
        return stack.of(place)


def _measured(
    plan: Plan, state_of: Callable[[int], State], work: StackWork, usable: Set[str], samples: SampleMeans
) -> _Measured:
    trials, own, problem = work.trials, work.loss, work.problem
    torch.set_num_threads(work.num_threads)
    stack = _trained(work, state_of)
    stack.train(False)
    splits = [work.splits_of(trial) for trial in trials]
    losses = {e.title: bound_loss(e, splits) if e.name in usable else None for e in judging(plan, work.arm)}
    of_classes = [RELIABILITY, *([CONFUSION] if len(problem.names) <= MOST_CLASSES else [])]
    taken = [*final_metrics(problem), *(of_classes if problem.exclusive else []), *_judged(own, losses)]
    data = work.data
    assert data.test is not None
    ruler, watch = Ruler(own, work.device), samples.watch(trials, problem, len(splits[0].test))
    measured = evaluate(stack, ruler, *data.test, taken, data.test_posterior, places=data.places, watch=watch)
    # The trials of a stack have one loss, which may have several labels.
    names = {
        name: dict(zip((entry.title for entry in judging(plan, arm)), losses, strict=True))
        for name, arm in {trial.arm.name: trial.arm for trial in trials}.items()
    }
    values = {name: tensor.cpu() for name, tensor in measured.items()}
    return _Measured(trials, values, [names[trial.arm.name] for trial in trials], problem)


def _trained(work: StackWork, state_of: Callable[[int], State]) -> Stack:
    """The trained networks of the trials as one stack."""
    outputs, places = work.loss.num_outputs, work.places_in_stack(len(work.trials))
    if work.stacked and is_own(catalogue.get("model", work.arm.model.name).factory):
        # Their state dict is all that they have: one is built, for drawing weights that are replaced takes long.
        states = [state_of(trial.number) for trial in work.trials]
        first = trained_model(work.trials[0], work.shape, outputs, states[0])
        for trial, state in zip(work.trials, states, strict=True):
            require_fitting(trial, first, state)
        stack = Stack([first] * len(places), stacked=True, device=work.device)
        with torch.no_grad():
            for name, tensor in {**stack.parameters, **stack.buffers}.items():
                if name in states[0]:
                    tensor.copy_(torch.stack([states[place][name] for place in places]))
        return stack
    modules = [trained_model(trial, work.shape, outputs, state_of(trial.number)) for trial in work.trials]
    return Stack([modules[place] for place in places], stacked=work.stacked, device=work.device)


def _reliability(known: Quantities) -> Tensor | None:
    if known.log_probabilities is None:
        return None
    return reliability(known.log_probabilities, known.predictions, known.targets)


RELIABILITY = Measure("reliability of confidence", _reliability, lambda sums, num_samples: sums)


def _confusion(known: Quantities) -> Tensor:
    return confusion(known.predictions, known.targets, len(known.loss.problem.names))


CONFUSION = Measure("confusion", _confusion, lambda sums, num_samples: sums)


def _judged(own: Loss, losses: Mapping[str, Loss | None]) -> list[Measure]:
    """The losses that take as many outputs as the network has."""
    fitting = {label: loss for label, loss in losses.items() if loss and loss.num_outputs == own.num_outputs}
    return [Measure(f"loss {label}", _judge(label, loss)) for label, loss in fitting.items()]


def _judge(label: str, loss: Loss) -> Callable[[Quantities], Tensor | None]:
    """A loss on networks that another loss trained; a user's loss that raises is skipped."""
    raised = False

    def sums(known: Quantities) -> Tensor | None:
        nonlocal raised
        try:
            return None if raised else loss.of_samples(known.logits, known.encoded_targets).double().sum(-1)
        except (Exception, SystemExit) as error:
            log.warning("cross-evaluation goes on without loss %r: %s", label, described(error))
            raised = True
            return None

    return sums


def _of_trial(values: Mapping[str, Any], names: Mapping[str, str], problem: Problem) -> CrossEvaluation:
    """A trial's measures; `names` maps a loss's label to the name that it was measured under."""

    def number(name: str) -> float | None:
        value: float | None = values.get(name)
        return value if value is not None and math.isfinite(value) else None

    bins, counts = values.get(RELIABILITY.name), values.get(CONFUSION.name)
    return CrossEvaluation(
        measures={spec.name: number(spec.name) for spec in taken_at_the_end(problem)},
        losses={label: number(f"loss {name}") for label, name in names.items()},
        bins=None if bins is None else dict(zip(COLUMNS, bins, strict=True)),
        confusion=None if counts is None else _by_name(counts, problem.names),
    )


def _by_name(counts: Sequence[Sequence[float]], names: Sequence[str]) -> dict[str, dict[str, int]]:
    return {name: dict(zip(names, map(int, row), strict=True)) for name, row in zip(names, counts, strict=True)}
