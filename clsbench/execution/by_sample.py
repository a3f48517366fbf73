"""Trained networks on each test sample, as the mean over the seeds of an arm: what the test set's own error needs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from clsbench.config.plan import Plan, Trial
from clsbench.metrics.measures import averaged
from clsbench.problems import Problem
from clsbench.training.evaluation import Watch
from clsbench.training.measure import of_samples
from clsbench.training.quantities import Quantities

if TYPE_CHECKING:
    import numpy.typing as npt

MOST_NUMBERS = 1 << 25  # of all arms, metrics and samples: 256 MB


class SampleMeans:
    """By arm, by metric of `averaged` and by test sample, the mean over seeds, in double precision.

    An arm has none if its seeds are tested on samples of their own, if one of its trials did not finish, or if there is
    no room for it: all arms together have at most `MOST_NUMBERS`.
    """

    def __init__(self, plan: Plan) -> None:
        self._num_seeds = len(plan.experiment.train.seed_list)
        self._test_together = {arm.name for arm in plan.arms if arm.dataset.split_seed != "per_seed"} | plan.own_tests
        self._sums: dict[str, dict[str, Tensor]] = {}
        self._num_trials = Counter[str]()
        self._room = MOST_NUMBERS

    def of(self, arm: str, field: str) -> npt.NDArray[Any] | None:
        """`[N]`: the mean by sample of the metric in a field of a record, such as `test_nll`."""
        sums = self._sums.get(arm, {}).get(field)
        if sums is None or self._num_trials[arm] < self._num_seeds or not sums.isfinite().all():
            return None
        return (sums / self._num_seeds).numpy()

    def watch(self, trials: Sequence[Trial], problem: Problem, num_samples: int) -> Watch | None:
        """What `evaluate` is to call for each chunk of these trials, the first of their stack; None for nothing."""
        specs = averaged(problem)
        names = dict.fromkeys(trial.arm.name for trial in trials)
        watched = [name for name in names if self._has_room(name, len(specs) * num_samples)]
        if not watched:
            return None
        self._num_trials.update(trial.arm.name for trial in trials)
        done = Counter[int]()  # samples, by the first trial of a group

        def add(group: slice, known: Quantities) -> None:
            rows = slice(done[group.start], done[group.start] + known.logits.shape[1])
            done[group.start] = rows.stop
            places = {name: [n for n, trial in enumerate(trials[group]) if trial.arm.name == name] for name in watched}
            for spec in specs:
                values = of_samples(spec, known)
                if values is None:
                    continue
                for name, own in places.items():
                    sums = self._sums[name].setdefault(f"test_{spec.name}", torch.zeros(num_samples).double())
                    sums[rows] += values[own].double().sum(0).cpu()

        return add

    def _has_room(self, arm: str, numbers: int) -> bool:
        """Whether an arm is measured by sample, for which room is set apart when it comes first."""
        if arm in self._test_together and arm not in self._sums and numbers <= self._room:
            self._sums[arm], self._room = {}, self._room - numbers
        return arm in self._sums
