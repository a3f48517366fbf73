"""Curves that grow while a run trains: the headline metric of the comparison at work, as far as its arms have come."""

from __future__ import annotations

from clsbench.config.arms import Arm
from clsbench.config.plan import Plan
from clsbench.execution.events import EpochDone
from clsbench.metrics.measures import headline, label_of
from clsbench.report.document import ArmRef, Axis, Curves, Series
from clsbench.report.sections.arms import MAX_ON_SCREEN
from clsbench.results import value_of


class Growing:
    """Adds up epochs as they are done; `curves` are means over the seeds that have reached an epoch."""

    def __init__(self) -> None:
        self._arms: tuple[Arm, ...] = ()  # that are drawn, of one comparison
        self._metric = ""
        self._end = 0
        self._values: dict[str, dict[int, list[float]]] = {}

    def add(self, plan: Plan, event: EpochDone) -> None:
        """An epoch of some trials. Tuning shows nothing: it must not see test data."""
        trial = plan.trials[event.records[0]["trial"]]
        posed = plan.posed.get(trial.data_key)
        if not plan.sees_test or posed is None or posed.problem is None:
            return
        if not self._arms or self._arms[0].comparison != trial.arm.comparison:
            self._arms = tuple(arm for arm in plan.arms if arm.comparison == trial.arm.comparison)[:MAX_ON_SCREEN]
            self._metric = headline(type(posed.problem), "test")
            self._end = plan.experiment.train.epochs
            self._values = {arm.name: {} for arm in self._arms}
        for record in event.records:
            value = value_of(record, self._metric)
            if value is not None and record["arm"] in self._values:
                self._values[record["arm"]].setdefault(record["epoch"], []).append(value)

    def curves(self) -> Curves | None:
        """The curves so far; None before an arm has come two epochs far."""
        labels = [arm.loss.title for arm in self._arms]
        names = labels if len(set(labels)) == len(labels) else [arm.name for arm in self._arms]
        lines = [
            _line(ArmRef(name, mark), self._values[arm.name])
            for mark, (arm, name) in enumerate(zip(self._arms, names, strict=True))
        ]
        if not any(len(line.x) > 1 for line in lines):
            return None
        label = label_of(self._metric)
        return Curves(
            f"{label} by epoch", self._metric, Axis("epoch", "integer", end=self._end), Axis(label), tuple(lines)
        )


def _line(ref: ArmRef, values: dict[int, list[float]]) -> Series:
    epochs = sorted(values)
    means = tuple(sum(values[epoch]) / len(values[epoch]) for epoch in epochs)
    return Series(ref, tuple(epochs), means, means, means)
