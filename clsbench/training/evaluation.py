"""Measuring a stack: metrics on a split, and gradient diagnostics.

All sums are over chunks of fixed length in double precision, so that a trial's numbers do not depend on how many
trials, samples or threads share the work, and only one chunk of logits is held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from clsbench.losses.contract import Loss
from clsbench.metrics.calibration import temperatures as temperatures_of
from clsbench.metrics.ranking import Ranking
from clsbench.slices import even_parts
from clsbench.training.measure import Measure
from clsbench.training.quantities import Quantities, Ruler
from clsbench.training.stack import Stack

CHUNK = 1000  # the most samples measured at once
LOGITS = 5000  # the most logits of a trial measured at once, if that is at least half a chunk of samples
FORWARD = 250  # about as many samples go through the network at once
GROUP = 64  # trials measured together on a CPU: the activations of more do not fit into its caches
# The most samples of trials, of a chunk of each, that are measured with those of another split on a CPU: of more the
# arithmetic costs more than its dispatch, and it is slower for larger tensors.
TOGETHER = 10_000
Measures = dict[str, Tensor]
Watch = Callable[[slice, Quantities], None]


def evaluate(
    stack: Stack,
    ruler: Ruler,
    x: Tensor,
    y: Tensor,
    measures: Sequence[Measure],
    posterior: Tensor | None = None,
    temperatures: Tensor | None = None,
    places: Tensor | None = None,
    watch: Watch | None = None,
) -> Measures:
    """The measures on a split `x [N, ...]`, `y [N]`, `[T]` each, or `[T, C]` by class.

    Args:
        posterior: the true probabilities `[N, C]`, where they are known.
        temperatures: those of the trials, `[T]`, from `fitted_temperatures`; None leaves scaled metrics out.
        places: the split of each trial, `[T]`, if `x`, `y` and `posterior` have a leading axis of splits.
        watch: called with each chunk of samples of some trials, in order.
    """
    groups: list[Measures] = []
    number = _num_samples(y, places)
    for trials in _groups(stack):
        seen = None if watch is None else partial(watch, trials)
        totals = Totals(ruler.of(trials), measures, None if temperatures is None else temperatures[trials], seen)
        for rows, logits in _logits(stack, trials, x, places):
            own = _some(trials, rows, places)
            totals.add(logits, y[own], None if posterior is None else posterior[own])
        groups.append(totals.values(number))
    return {name: _joined([group[name] for group in groups], 0) for name in groups[0]}


@dataclass(frozen=True)
class Part:
    """A split `x [N, ...]`, `y [N]` and its true probabilities `[N, C]` or None, with `measures` of it alone."""

    x: Tensor
    y: Tensor
    posterior: Tensor | None
    measures: Sequence[Measure]


def evaluate_alike(
    stack: Stack,
    ruler: Ruler,
    parts: Sequence[Part],
    measures: Sequence[Measure],
    temperatures: Tensor | None = None,
    places: Tensor | None = None,
) -> list[Measures]:
    """For each of some splits that `are_alike`: `measures`, and those of it alone, with the bits of `evaluate`.

    What is measured of all is measured once, as if each network were that of as many trials: for few trials an
    operation costs more than its arithmetic.
    """
    groups: list[list[Measures]] = []
    number = _num_samples(parts[0].y, places)
    for trials in _groups(stack):
        own, scales = ruler.of(trials), None if temperatures is None else temperatures[trials]
        together = Totals(own, measures, None if scales is None else scales.repeat(len(parts)))
        alone = [Totals(own, part.measures, scales) for part in parts]
        for seen in zip(*(_seen(stack, trials, part, places) for part in parts), strict=True):
            for totals, each in zip(alone, seen, strict=True):
                totals.add(*each)
            logits, targets, true = zip(*seen, strict=True)
            posterior = None if true[0] is None else torch.cat(true)
            together.add(torch.cat([each.mT for each in logits]).mT, torch.cat(targets), posterior)
        shared = {name: total.chunk(len(parts)) for name, total in together.values(number).items()}
        groups.append(
            [totals.values(number) | {name: of[i] for name, of in shared.items()} for i, totals in enumerate(alone)]
        )
    return [
        {name: _joined([group[i][name] for group in groups], 0) for name in groups[0][i]} for i in range(len(parts))
    ]


def _seen(
    stack: Stack, trials: slice, part: Part, places: Tensor | None
) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    """The logits, targets and true probabilities of slice after slice of the samples, each with an axis of trials."""
    for rows, logits in _logits(stack, trials, part.x, places):
        own = _some(trials, rows, places)
        targets, true = part.y[own], None if part.posterior is None else part.posterior[own]
        if places is None:
            targets = targets.expand(len(logits), *targets.shape)
            true = None if true is None else true.expand(len(logits), *true.shape)
        yield logits, targets, true


def are_alike(parts: Sequence[Part], loss: Loss) -> bool:
    """Whether these splits can be measured together: as many samples in each, and one loss for all trials."""
    kinds = {(part.y.shape, part.posterior is None) for part in parts}
    return len(kinds) == 1 and loss.num_trials is None


def are_few(stack: Stack, part: Part, places: Tensor | None = None) -> bool:
    """Whether a stack's trials are so few that measuring a split together with another is faster."""
    samples = min(_num_samples(part.y, places), CHUNK)
    return stack.weights.device.type != "cpu" or min(stack.num_trials, GROUP) * samples <= TOGETHER


def fitted_temperatures(stack: Stack, loss: Loss, x: Tensor, y: Tensor, places: Tensor | None = None) -> Tensor | None:
    """`[T]`: the temperature of each trial on a split; None if the loss's link gives no probabilities of classes.

    `x`, `y` and `places` are as for `evaluate`.
    """
    found: list[Tensor] = []
    number = _num_samples(y, places)
    for trials in _groups(stack):
        logits = _joined([each for _, each in _logits(stack, trials, x, places)], 1)
        parts = [
            (loss.log_probabilities(logits[:, rows]), y[_some(trials, rows, places)])
            for rows in even_parts(number, -(-number // CHUNK))
        ]
        known = [(log_p, targets) for log_p, targets in parts if log_p is not None]
        if not known or not loss.problem.exclusive:
            return None
        found.append(temperatures_of(known))
    return _joined(found, 0)


def _logits(stack: Stack, trials: slice, x: Tensor, places: Tensor | None) -> Iterator[tuple[slice, Tensor]]:
    """The logits `[T, n, K]` of some trials for slices of the samples."""
    predict = stack.predictor(trials, shared=places is None)
    for rows in forward_slices(_num_samples(x, places)):
        with torch.no_grad():
            logits = predict(x[_some(trials, rows, places)])
        yield rows, logits


def _num_samples(values: Tensor, places: Tensor | None) -> int:
    return values.shape[0 if places is None else 1]


def _some(trials: slice, rows: slice, places: Tensor | None) -> Any:
    """The index of some samples: of a split that the trials share, or of each trial's own."""
    return rows if places is None else (places[trials], rows)


class Totals:
    """Accumulates measures over batches of logits of any size, which are measured in chunks of fixed size."""

    def __init__(
        self,
        ruler: Ruler,
        measures: Sequence[Measure],
        temperatures: Tensor | None = None,
        seen: Callable[[Quantities], None] | None = None,
    ) -> None:
        self._ruler, self._measures, self._temperatures, self._seen = ruler, measures, temperatures, seen
        self._totals: Measures = {}
        self._axis = -1 - len(ruler.loss.problem.target_shape)  # of the samples, in targets
        self._waiting: list[tuple[Tensor, Tensor, Tensor | None]] = []
        self._num_waiting = 0
        self._ranked = {measure.name: measure.ranked for measure in measures if measure.ranked is not None}
        self._scored: list[tuple[Tensor, Tensor]] = []  # the scores of all samples so far, and their targets

    def add(self, logits: Tensor, targets: Tensor, posterior: Tensor | None = None) -> None:
        """Add `logits [T, n, K]`, `targets [T, n, ...]` or `[n, ...]`, and where it is known their `posterior`."""
        chunk = min(CHUNK, max(CHUNK // 2, LOGITS // logits.shape[-1]))
        while (room := chunk - self._num_waiting) <= (number := logits.shape[1]):
            true = None if posterior is None else posterior[..., :room, :]
            self._waiting.append((logits[:, :room], targets.narrow(self._axis, 0, room), true))
            self._settle()
            logits, targets = logits[:, room:], targets.narrow(self._axis, room, number - room)
            posterior = None if posterior is None else posterior[..., room:, :]
        if number:
            self._waiting.append((logits, targets, posterior))
            self._num_waiting += number

    def values(self, num_samples: int) -> Measures:
        """Every measure over all samples added."""
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
        if self._scored:
            ranking = Ranking.of(*self._all_scored())
            found |= {name: value(ranking) for name, value in self._ranked.items()}
        return found

    def _all_scored(self) -> tuple[Tensor, Tensor]:
        """The scores of all samples, with their targets, samples on the last axis."""
        scores, targets = zip(*self._scored, strict=True)
        axis = self._axis
        return _joined(list(scores), axis).movedim(axis, -1), _joined(list(targets), axis).movedim(axis, -1)

    def _settle(self) -> None:
        """Measure the waiting samples."""
        # Samples last in memory: that is the layers' layout, and it is faster for few classes.
        logits = _joined([logits.mT for logits, _, _ in self._waiting], -1).mT
        targets = _joined([targets for _, targets, _ in self._waiting], self._axis)
        true = [posterior for _, _, posterior in self._waiting if posterior is not None]
        self._waiting, self._num_waiting = [], 0
        known = Quantities(self._ruler, logits, targets, _joined(true, -2) if true else None, self._temperatures)
        if self._ranked and known.scores is not None:
            self._scored.append((known.scores, targets))
        for measure in self._measures:
            sums = measure.sums(known)
            if sums is not None:
                before = self._totals.get(measure.name)
                self._totals[measure.name] = sums if before is None else before + sums
        if self._seen is not None:
            self._seen(known)


def forward_slices(num_samples: int) -> list[slice]:
    """Slices of the samples that go through the network together, of about `FORWARD` each."""
    return even_parts(num_samples, round(num_samples / FORWARD))


def _groups(stack: Stack) -> list[slice]:
    """The trials in groups of nearly equal size: on a CPU, a lone trial would have other bits than several."""
    on_cpu = stack.weights.device.type == "cpu"
    return even_parts(stack.num_trials, -(-stack.num_trials // GROUP) if on_cpu else 1)


def _joined(tensors: list[Tensor], dim: int) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors, dim)
