"""What to compute of a network on a split: the metrics, the loss and the gradients, each as sums over chunks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from clsbench.metrics.measures import diagnostics, taken_at_the_end, taken_on
from clsbench.metrics.ranking import Ranking
from clsbench.problems import Problem
from clsbench.registry import MetricSpec, Split
from clsbench.training.quantities import SHARED, Quantities


@dataclass(frozen=True)
class Measure:
    """What to compute for every trial on a split.

    `sums` gives `[T]` or `[T, M]` for a chunk, or None if there is no value; `value` makes `[T]`, or `[T, C]` of a
    metric by class, of their total and the number of samples, by default the mean. Instead of both, `ranked` makes
    `[T]` of the ranking of all samples.
    """

    name: str
    sums: Callable[[Quantities], Tensor | None] = lambda known: None
    value: Callable[[Tensor, int], Tensor] | None = None
    ranked: Callable[[Ranking], Tensor] | None = None


OBJECTIVE = Measure("train_loss", lambda known: _sum(known.losses))
GRADIENT_NORM = Measure("logit_grad_norm", lambda known: _sum(known.gradient_norms))


def prediction_metrics(problem: Problem, split: Split) -> list[Measure]:
    """The metrics of every epoch on a split, named `SPLIT_NAME`."""
    return [_measure(f"{split}_{spec.name}", spec) for spec in taken_on(split, problem)]


def held_out_metrics(problem: Problem) -> list[Measure]:
    """The metrics of every epoch on validation data and on test data alike, by their bare names."""
    of_test = taken_on("test", problem)
    return [_measure(spec.name, spec) for spec in taken_on("val", problem) if spec in of_test]


def final_metrics(problem: Problem) -> list[Measure]:
    """All metrics of trained networks on test data, by their bare names."""
    return [_measure(spec.name, spec) for spec in taken_at_the_end(problem)]


def gradient_diagnostics(problem: Problem) -> list[Measure]:
    """The diagnostics of a loss's gradients on the logits."""
    return [_measure(spec.name, spec) for spec in diagnostics(problem)]


def _measure(name: str, spec: MetricSpec) -> Measure:
    if spec.ranks:
        return Measure(name, ranked=partial(_of_ranking, spec))
    return Measure(name, partial(_metric_sums, spec), spec.value)


def _of_ranking(spec: MetricSpec, ranking: Ranking) -> Tensor:
    if spec.stacked:
        found: Tensor = spec.factory(ranking)
        return found
    return torch.stack([spec.factory(ranking.trial(number)) for number in range(len(ranking.positive))])


def _metric_sums(spec: MetricSpec, known: Quantities) -> Tensor | None:
    """`[T]` or `[T, M]`: the sums of a metric over a chunk."""
    if spec.sums is None:
        values = of_samples(spec, known)
        return None if values is None else _sum(values)
    return _of_trials(spec, spec.sums, known, _checked_sums)


def of_samples(spec: MetricSpec, known: Quantities) -> Tensor | None:
    """`[T, n]`: a metric that is a mean over samples, on each of a chunk; None if there is no value.

    Raises:
        ValueError: a user's returns something else.
    """
    return _of_trials(spec, spec.factory, known, _checked_values)


def _of_trials(
    spec: MetricSpec,
    function: Callable[..., Any],
    known: Quantities,
    checked: Callable[[MetricSpec, Any, int], Tensor],
) -> Tensor | None:
    """A function of a metric's needs, for all trials; a user's is called trial by trial and `checked`."""
    needed = [getattr(known, need) for need in spec.needs]
    if any(quantity is None for quantity in needed):
        return None
    if spec.stacked:
        found: Tensor = function(*needed)
        return found
    trials, samples = known.logits.shape[:2]
    one_for_all = SHARED if known.are_targets_shared else ()
    by_trial = zip(
        *(
            each.expand(trials, *each.shape) if need in one_for_all else each
            for need, each in zip(spec.needs, needed, strict=True)
        ),
        strict=True,
    )
    return torch.stack([checked(spec, function(*trial), samples) for trial in by_trial])


def _checked_values(spec: MetricSpec, values: Any, num_samples: int) -> Tensor:
    if not isinstance(values, Tensor) or values.shape != (num_samples,):
        gave = f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else type(values).__name__
        raise ValueError(f"metric {spec.name!r} returned {gave}, not one number for each of {num_samples} samples")
    return values


def _checked_sums(spec: MetricSpec, sums: Any, _num_samples: int) -> Tensor:
    if not isinstance(sums, Tensor) or sums.dim() > 1:
        gave = f"shape {tuple(sums.shape)}" if isinstance(sums, Tensor) else type(sums).__name__
        raise ValueError(f"the sums of metric {spec.name!r} are {gave}, not one number or a list of them")
    return sums.double()


def _sum(values: Tensor) -> Tensor:
    return values.sum(-1, dtype=torch.float64)
