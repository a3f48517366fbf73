"""Measuring a stack: metrics on a split, and why a loss does or does not move its logits.

Everything is added up over chunks of fixed length in double precision, so that a trial's numbers do not depend
on how many trials, samples or threads share the work, and so that no more than a chunk of logits is held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise

import torch
from torch import Tensor

from clsbench.losses.contract import Loss
from clsbench.metrics.measures import diagnostics, taken_at_the_end, taken_on
from clsbench.problems import Problem
from clsbench.registry import MetricSpec, Split
from clsbench.training.stack import Stack

CHUNK = 1000  # samples that are measured at once, at most
LOGITS = 5000  # of a trial, where that is no fewer than half a chunk's
PIECE = 250  # and about as many go through the network at once on their way
GROUP = 64  # trials measured together on a CPU: the activations of more leave its caches
Measures = dict[str, Tensor]


class Ruler:
    """How the networks of one loss are measured on one device."""

    def __init__(self, loss: Loss, device: torch.device) -> None:
        self.loss, self._device = loss, device

    @cached_property
    def zero_gradient_norms(self) -> Tensor:
        """`[M]`: by target, the norm of the loss's gradient on logits that are all zero."""
        targets = self.loss.problem.distinct_targets(self._device)
        zeros = torch.zeros(len(targets), self.loss.num_outputs, device=self._device)
        return _norms(_logit_gradients(self.loss, zeros, targets))


class Quantities:
    """What metrics are made of, for a chunk of n samples of T trials: each is computed when it is first asked for.

    A metric names in its signature those that it needs; where one is None, the metric has no value.
    """

    def __init__(self, ruler: Ruler, logits: Tensor, targets: Tensor) -> None:
        self._ruler, self.loss = ruler, ruler.loss
        self.logits = logits  # [T, n, K]
        self.targets = targets  # [T, n], or [n] that the trials share

    @cached_property
    def predictions(self) -> Tensor:
        """`[T, n]`: what the problem takes the logits for."""
        return self.loss.predictions(self.logits)

    @cached_property
    def log_probabilities(self) -> Tensor | None:
        """`[T, n, C]`, or None where the loss's link has none."""
        return self.loss.log_probabilities(self.logits)

    @cached_property
    def probabilities(self) -> Tensor | None:
        """`[T, n, C]`, or None where the loss's link has none."""
        return None if self.log_probabilities is None else self.log_probabilities.exp()

    @cached_property
    def margins(self) -> Tensor | None:
        """`[T, n]`, or None where the problem knows none for the loss's outputs."""
        return self.loss.margins(self.logits, self.targets)

    @cached_property
    def losses(self) -> Tensor:
        """`[T, n]`: each sample's loss, unweighted."""
        return self.loss.of_samples(self.logits, self.targets)

    @cached_property
    def gradients(self) -> Tensor:
        """`[T, n, K]`: those of each sample's unweighted loss on its logits."""
        return _logit_gradients(self.loss, self.logits, self.targets)

    @cached_property
    def gradient_norms(self) -> Tensor:
        """`[T, n]`: the L2 norm of each sample's gradient on its logits."""
        return _norms(self.gradients)

    @property
    def zero_gradient_norms(self) -> Tensor:
        """As the targets: what the norm is at logits that are all zero."""
        return self._ruler.zero_gradient_norms[self.targets]


@dataclass(frozen=True)
class Measure:
    """One number to take of every trial on a split.

    `sums` gives `[T]` or `[T, M]` for a chunk, None where there is no such number; `value` makes `[T]` of what they
    add up to and of the number of samples, by default their mean.
    """

    name: str
    sums: Callable[[Quantities], Tensor | None]
    value: Callable[[Tensor, int], Tensor] | None = None


OBJECTIVE = Measure("train_loss", lambda known: _sum(known.losses))
GRADIENT_NORM = Measure("logit_grad_norm", lambda known: _sum(known.gradient_norms))


def prediction_metrics(problem: Problem, split: Split) -> list[Measure]:
    """The metrics of every epoch on a split, named `SPLIT_NAME`."""
    return [_measure(f"{split}_{spec.name}", spec) for spec in taken_on(split, problem)]


def final_metrics(problem: Problem) -> list[Measure]:
    """All metrics of trained networks on test data, by their bare names."""
    return [_measure(spec.name, spec) for spec in taken_at_the_end(problem)]


def gradient_diagnostics() -> list[Measure]:
    """What is said of a loss's gradients on the logits."""
    return [_measure(spec.name, spec) for spec in diagnostics()]


def _measure(name: str, spec: MetricSpec) -> Measure:
    return Measure(name, partial(_metric_sums, spec), spec.value)


def _metric_sums(spec: MetricSpec, known: Quantities) -> Tensor | None:
    needed = [getattr(known, need) for need in spec.needs]
    if any(quantity is None for quantity in needed):
        return None
    if spec.stacked:
        return _summed(spec, needed)
    trials, samples = known.logits.shape[:2]
    by_trial = zip(*(each if each.dim() > 1 else each.expand(trials, -1) for each in needed), strict=True)
    return torch.stack([_checked(spec, trial, samples) for trial in by_trial])


def _checked(spec: MetricSpec, needed: Sequence[Tensor], num_samples: int) -> Tensor:
    """What a metric of the user's adds up over the samples of one trial.

    Raises:
        ValueError: it gives something else than one number for each sample, or than sums `[M]`.
    """
    if spec.sums is None:
        values = spec.factory(*needed)
        if not isinstance(values, Tensor) or values.shape != (num_samples,):
            gave = f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
            raise ValueError(f"metric {spec.name!r} gave {gave}, not one number for each of {num_samples} samples")
        return _sum(values)
    sums = spec.sums(*needed)
    if not isinstance(sums, Tensor) or sums.dim() > 1:
        gave = f"shape {tuple(sums.shape)}" if isinstance(sums, Tensor) else type(sums).__name__
        raise ValueError(f"the sums of metric {spec.name!r} are {gave}, not one number or a list of them")
    return sums.double()


def _summed(spec: MetricSpec, needed: Sequence[Tensor]) -> Tensor:
    if spec.sums is not None:
        sums: Tensor = spec.sums(*needed)
        return sums
    return _sum(spec.factory(*needed))


def evaluate(stack: Stack, ruler: Ruler, x: Tensor, y: Tensor, measures: Sequence[Measure]) -> Measures:
    """What is measured on a split `x [N, ...]`, `y [N]`, `[T]` each."""
    groups: list[Measures] = []
    for trials in _groups(stack):
        predict, totals = stack.predictor(trials), Totals(ruler, measures)
        for piece in pieces(len(y)):
            with torch.no_grad():
                logits = predict(x[piece])
            totals.add(logits, y[piece])
        groups.append(totals.values(len(y)))
    return {name: _joined([group[name] for group in groups], 0) for name in groups[0]}


class Totals:
    """What measures add up over logits that come piece by piece; pieces of any size are measured as whole chunks."""

    def __init__(self, ruler: Ruler, measures: Sequence[Measure]) -> None:
        self._ruler, self._measures = ruler, measures
        self._totals: Measures = {}
        self._waiting: list[tuple[Tensor, Tensor]] = []
        self._num_waiting = 0

    def add(self, logits: Tensor, targets: Tensor) -> None:
        """Take `logits [T, n, K]` and `targets [T, n]` or `[n]` in."""
        chunk = min(CHUNK, max(CHUNK // 2, LOGITS // logits.shape[-1]))
        while (room := chunk - self._num_waiting) <= targets.shape[-1]:
            self._waiting.append((logits[:, :room], targets[..., :room]))
            self._settle()
            logits, targets = logits[:, room:], targets[..., room:]
        if targets.shape[-1]:
            self._waiting.append((logits, targets))
            self._num_waiting += targets.shape[-1]

    def values(self, num_samples: int) -> Measures:
        """Every measure of all that was taken in."""
        if self._waiting:
            self._settle()
        values = {measure.name: measure.value for measure in self._measures}
        means = [name for name in self._totals if values[name] is None]
        found: Measures = {}
        if means:  # in one operation
            found = dict(zip(means, torch.stack([self._totals[name] for name in means]) / num_samples, strict=True))
        for name, total in self._totals.items():
            if (value := values[name]) is not None:
                found[name] = value(total, num_samples)
        return found

    def _settle(self) -> None:
        """Measure the samples that wait."""
        # Samples last in memory, as layers leave them and what is said of few classes wants them.
        logits = _joined([logits.mT for logits, _ in self._waiting], -1).mT
        targets = _joined([targets for _, targets in self._waiting], -1)
        self._waiting, self._num_waiting = [], 0
        known = Quantities(self._ruler, logits, targets)
        for measure in self._measures:
            sums = measure.sums(known)
            if sums is not None:
                before = self._totals.get(measure.name)
                self._totals[measure.name] = sums if before is None else before + sums


def pieces(num_samples: int) -> Iterator[slice]:
    """The samples that go through the network together: as near to `PIECE` as equal parts come."""
    return _even_parts(num_samples, round(num_samples / PIECE))


def _groups(stack: Stack) -> Iterator[slice]:
    """The trials in groups of like size: on a CPU one left over would have other bits than in company."""
    on_cpu = stack.weights.device.type == "cpu"
    return _even_parts(stack.num_trials, -(-stack.num_trials // GROUP) if on_cpu else 1)


def _even_parts(total: int, number: int) -> Iterator[slice]:
    """So many numbers from 0, in parts whose lengths differ by one at most; in a single one where `number` is 0."""
    ends = [total * part // max(number, 1) for part in range(max(number, 1) + 1)]
    return (slice(start, end) for start, end in pairwise(ends))


def _sum(values: Tensor) -> Tensor:
    return values.sum(-1, dtype=torch.float64)


def _norms(gradients: Tensor) -> Tensor:
    return gradients.square().sum(-1).sqrt()


def _joined(tensors: list[Tensor], dim: int) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors, dim)


def _logit_gradients(loss: Loss, logits: Tensor, targets: Tensor) -> Tensor:
    with torch.enable_grad():
        leaf = logits.detach().requires_grad_()
        losses = loss.of_samples(leaf, targets)
        (gradients,) = torch.autograd.grad(losses, leaf, losses.new_ones(()).expand_as(losses))
    return gradients
