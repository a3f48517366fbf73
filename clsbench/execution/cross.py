"""Cross-evaluation: the networks that one loss trained, measured by every loss of the experiment, or by its own."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clsbench.config.plan import Arm, Plan, Trial
from clsbench.config.schema import LossEntry
from clsbench.data.splits import Splits
from clsbench.execution.build import give_weights, in_company, loss_of, mode_of, module_of
from clsbench.losses.contract import Loss, build_loss, margins
from clsbench.registry import catalogue
from clsbench.training.evaluation import Measures, Sums, evaluate, quality
from clsbench.training.metrics import ECE_BINS, confidence_bins
from clsbench.training.stack import Stack

log = logging.getLogger("clsbench")

State = Mapping[str, Tensor]
RULER = ("accuracy", "nll", "brier", "ece", "margin")
BINS = ("count", "confidence", "correct")
MOST_LOSSES = 20  # that all measure each other's networks: the cost grows with the square of their number


@dataclass(frozen=True)
class CrossEvaluation:
    """What a trained network is worth on test data, by every measure; None for what it cannot have.

    `measures` holds the means over samples of `RULER`, `losses` those of the losses of `judging` by their
    labels, unweighted. `bins` holds, for each of the bins of the calibration error, how many samples fall into
    it, the sum of their confidence, and how many of them are right.
    """

    measures: Mapping[str, float | None]
    losses: Mapping[str, float | None]
    bins: Mapping[str, list[float]] | None


def judging(plan: Plan, arm: Arm) -> Sequence[LossEntry]:
    """The losses that measure an arm's networks: all of the experiment, or with many of them its own alone."""
    losses = plan.experiment.loss
    return losses if len(losses) <= MOST_LOSSES else (arm.loss,)


def cross_evaluations(
    plan: Plan,
    state_of: Callable[[int], State],
    trials: Sequence[Trial],
    data: Mapping[str, Splits],
    device: torch.device,
) -> dict[int, CrossEvaluation]:
    """Measure trained networks on test data, by trial number, in the stacks that they were trained in.

    It sets threads and leaves them, and is for the inside of `process.training`.

    Args:
        state_of: the state dict that a trial ended with.
        trials: those of the plan to measure.
    """
    wanted = {trial.number for trial in trials}
    found: dict[int, CrossEvaluation] = {}
    for stack in plan.stacks():
        members = [trial for trial in stack if trial.number in wanted]
        if members:
            found |= _measured(members, plan, state_of, data[members[0].dataset.key], device)
    return found


def _measured(
    trials: Sequence[Trial],
    plan: Plan,
    state_of: Callable[[int], State],
    splits: Splits,
    device: torch.device,
) -> dict[int, CrossEvaluation]:
    arm = trials[0].arm
    own = loss_of(arm, splits.num_classes)
    stacked = catalogue.get("model", arm.model.name).stacked
    _, num_threads = mode_of(trials[0], plan, splits)
    torch.set_num_threads(1 if stacked else num_threads)
    modules = []
    for trial in trials:
        module = module_of(trial.arm, trial.seed, splits.shape, own.num_outputs)
        give_weights(module, state_of(trial.number), trial.number)
        modules.append(module)
    places = in_company(len(trials), stacked=stacked, device=device)
    stack = Stack([modules[place] for place in places], stacked=stacked, device=device)
    stack.train(False)
    losses = {e.title: build_loss(e.name, splits.num_classes, e.options) for e in judging(plan, arm)}
    test = splits.test
    means = evaluate(stack, test.x, test.y, quality(own, ""), _margin(own), _reliability(own), _judged(own, losses))
    values = {name: tensor.tolist() for name, tensor in means.items()}
    found = {}
    for place, trial in enumerate(trials):
        # The trials of a stack have one loss, which may have several labels.
        names = dict(zip((entry.title for entry in judging(plan, trial.arm)), losses, strict=True))
        found[trial.number] = _of_trial(values, place, names, len(test))
    return found


def _margin(own: Loss) -> Sums:
    def sums(logits: Tensor, targets: Tensor) -> Measures:
        found = margins(own.link, logits, targets)
        return {} if found is None else {"_margin": found.double().sum(-1)}

    return sums


def _judged(own: Loss, losses: Mapping[str, Loss]) -> Sums:
    """Each of the losses that takes as many outputs as the network has; one of the user's that raises is left out."""
    fitting = {label: loss for label, loss in losses.items() if loss.num_outputs == own.num_outputs}

    def sums(logits: Tensor, targets: Tensor) -> Measures:
        found: Measures = {}
        for label, loss in list(fitting.items()):
            try:
                found[f"loss {label}"] = loss.of_samples(logits, targets).double().sum(-1)
            except (Exception, SystemExit) as error:
                log.warning("cross-evaluation goes on without loss %r: %s: %s", label, type(error).__name__, error)
                del fitting[label]
        return found

    return sums


def _reliability(own: Loss) -> Sums:
    def sums(logits: Tensor, targets: Tensor) -> Measures:
        log_p = own.log_probabilities(logits)
        if log_p is None:
            return {}
        confidence = log_p.amax(-1).exp()
        bins, right = confidence_bins(confidence), (own.predictions(logits) == targets).double()
        found: Measures = {}
        for name, values in zip(BINS, (torch.ones_like(right), confidence.double(), right), strict=True):
            by_bin = values.new_zeros(*values.shape[:-1], ECE_BINS).scatter_add_(-1, bins, values)
            found |= {f"bin {place} {name}": column for place, column in enumerate(by_bin.unbind(-1))}
        return found

    return sums


def _of_trial(
    values: Mapping[str, Sequence[float]], place: int, names: Mapping[str, str], num_samples: int
) -> CrossEvaluation:
    """A trial's measures; `names` says by label under which name a loss was measured."""

    def number(name: str) -> float | None:
        value = values[name][place] if name in values else None
        return value if value is not None and math.isfinite(value) else None

    bins = None
    if "bin 0 count" in values:
        bins = {n: [values[f"bin {i} {n}"][place] * num_samples for i in range(ECE_BINS)] for n in BINS}
    return CrossEvaluation(
        measures={name: number(f"_{name}") for name in RULER},
        losses={label: number(f"loss {name}") for label, name in names.items()},
        bins=bins,
    )
