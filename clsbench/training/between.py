"""What is measured between two epochs of a stack, and which trials that freezes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from clsbench.metrics.single_label import HELD_OUT
from clsbench.problems import Problem
from clsbench.registry import SPLITS
from clsbench.training.evaluation import (
    Measures,
    Part,
    are_alike,
    are_few,
    evaluate,
    evaluate_alike,
    fitted_temperatures,
)
from clsbench.training.measure import (
    GRADIENT_NORM,
    OBJECTIVE,
    Measure,
    gradient_diagnostics,
    held_out_metrics,
    prediction_metrics,
)
from clsbench.training.quantities import Ruler
from clsbench.training.settings import Pair, StackData
from clsbench.training.step import Steps


class BetweenEpochs:
    """Measures the trials, and freezes those that cannot be measured."""

    def __init__(self, steps: Steps, data: StackData) -> None:
        self._steps, self._data = steps, data
        self.ruler = Ruler(steps.loss, data.train[0].device)
        problem = steps.loss.problem
        self._on_train, self._on_val, self._on_test = (prediction_metrics(problem, split) for split in SPLITS)
        self._diagnosed = gradient_diagnostics(problem)
        self._on_both = held_out_metrics(problem)
        self._alike = self._parts()

    def _parts(self) -> tuple[Part, Part] | None:
        """Validation and test data, with the measures of each alone, if they can be measured together, and faster."""
        data = self._data
        if data.val is None or data.test is None:
            return None
        both = {f"{split}_{measure.name}" for split in HELD_OUT for measure in self._on_both}
        on_val, on_test = ([each for each in own if each.name not in both] for own in (self._on_val, self._on_test))
        val = Part(*data.val, data.val_posterior, [*on_val, *self._diagnosed])
        test = Part(*data.test, data.test_posterior, on_test)
        together = are_alike((val, test), self._steps.loss) and are_few(self._steps.stack, val, data.places)
        return (val, test) if together else None

    def before_training(self) -> Measures:
        """Every measure of the initial weights, `[T]` each."""
        self._steps.stack.train(False)
        self._over()
        return self._all(self._of(self._data.train, [*self._on_train, OBJECTIVE]))

    def after_epoch(self, seen: Measures, *, is_last: bool) -> tuple[Measures, Tensor | None]:
        """Every measure, `[T]` each; `seen` holds those on the training data, with the unweighted loss.

        Where a trial ends also those at temperatures that are fitted on the validation data.

        Returns:
            Beside them `[T]`: the trials that end with this epoch; None for none.
        """
        self._steps.stack.train(False)
        over = self._over()
        ending = torch.ones(self._steps.stack.num_trials, dtype=torch.bool) if is_last else over
        if ending is None or self._data.val is None:
            return self._all(seen), ending
        stack, places = self._steps.stack, self._data.places
        return self._all(seen, fitted_temperatures(stack, self._steps.loss, *self._data.val, places)), ending

    def _over(self) -> Tensor | None:
        """`[T]`: the trials that are not frozen and whose patience is over; None for none."""
        waiting = self._steps.waiting
        if waiting is None or self._data.val is None:
            return None
        measures = [each for each in self._on_val if each.name == waiting.stop.metric]
        over = waiting.over(self._of(self._data.val, measures, self._data.val_posterior)[waiting.stop.metric])
        over &= self._steps.alive.squeeze(1).bool()  # those that have ended improve no more
        return over.cpu() if over.any() else None

    def _all(self, seen: Measures, temperatures: Tensor | None = None) -> Measures:
        weight = self._steps.loss_weight
        found = seen | self._of_splits(temperatures)
        found |= {name: found[name] * weight for name in (OBJECTIVE.name, GRADIENT_NORM.name)}
        self._steps.alive.mul_(_measurable(found, self._steps.loss.problem))
        return found

    def _of_splits(self, temperatures: Tensor | None) -> Measures:
        """The metrics on validation and test data, and the diagnostics: on training data where none validate."""
        data = self._data
        if self._alike is not None:
            return self._together(self._alike, temperatures)
        if data.val is None:
            found = self._of(data.train, self._diagnosed)
        else:
            found = self._of(data.val, [*self._on_val, *self._diagnosed], data.val_posterior, temperatures)
        if data.test is not None:
            found |= self._of(data.test, self._on_test, data.test_posterior, temperatures)
        return found

    def _together(self, parts: Sequence[Part], temperatures: Tensor | None) -> Measures:
        stack, places, found = self._steps.stack, self._data.places, Measures()
        of_each = evaluate_alike(stack, self.ruler, parts, self._on_both, temperatures, places)
        for split, part, values in zip(HELD_OUT, parts, of_each, strict=True):
            alone = {measure.name for measure in part.measures}
            found |= {name if name in alone else f"{split}_{name}": value for name, value in values.items()}
        return found

    def _of(
        self,
        data: Pair,
        measures: Sequence[Measure],
        posterior: Tensor | None = None,
        temperatures: Tensor | None = None,
    ) -> Measures:
        places = self._data.places
        return evaluate(self._steps.stack, self.ruler, *data, measures, posterior, temperatures, places)


def _measurable(measures: Measures, problem: Problem) -> Tensor:
    """`[T, 1]`: the trials whose loss, gradients and main metrics are finite.

    Test data do not count, and a user's metric may legitimately have no value.
    """
    main = {f"{split}_{metric}" for split in ("train", "val") for metric in (problem.headline, problem.second)}
    decisive = main | {OBJECTIVE.name, GRADIENT_NORM.name}
    return torch.stack([measures[name] for name in measures if name in decisive]).isfinite().all(0).unsqueeze(1)
