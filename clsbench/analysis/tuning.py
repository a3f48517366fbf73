"""The best setting of the grid by validation data alone: the part `tuning` of `summary.json`. Pure.

Test data choose nothing: no setting is chosen by a sample that it is tested on. With a number as `split_seed` tuning
shares the experiment's split. With `per_seed` every seed of the experiment has a test set of its own. Either each seed
is tuned by itself, on what its own split leaves for training and validation (nested resampling). Or one setting serves
all seeds, and the samples that any of them tests are excluded from all tuning, which splits the rest into training and
validation; generated data are new at tuning's seeds, so none of them are excluded. A grid that is extended beyond an
edge is so by the same data as a setting is chosen by.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clsbench.analysis.choosing import at_edge, choose, ends
from clsbench.config.arms import Arm
from clsbench.config.extension import Edge, axes_at, merged_axes
from clsbench.config.grid import parted, settings_for, tried
from clsbench.config.plan import Ground, Plan
from clsbench.config.schema import Experiment, TuneConfig
from clsbench.results import (
    ArmTuning,
    Extended,
    Record,
    Records,
    SeedChoice,
    SettingResult,
    Settings,
    Tuning,
    TuningSizes,
)

if TYPE_CHECKING:
    from clsbench.data.splits import Splits


def tuning_summary(plan: Plan, tuning: Plan, records: Iterable[Record], data: Mapping[str, Splits]) -> Tuning:
    """The results and the cost of tuning, as in `summary.json`.

    A setting's `values` are by tuning seed, None where it diverged; a trial that failed counts as diverged. `data`
    counts the samples at the first tuning seed, `held_out` those that tuning leaves out because some seed tests them.

    Args:
        plan: the experiment's own, whose arms are tuned.
        tuning: the plan of every arm at every setting of the grid.
        records: those of `tuning`.
        data: what its trials learned from, by the keys of their datasets.
    """
    tune, own = plan.experiment.tune, plan.experiment.train.seed_list
    assert tune is not None
    known = Records.of(records)
    found = _Measured.of(plan, tuning, known, data)
    arms: list[ArmTuning] = []
    for together in plan.comparisons:
        measured = [found.rows(arm, own) for arm in together]
        groups = [measured] * len(measured) if tune.protocol == "shared" else [[rows] for rows in measured]
        for arm, rows, group in zip(together, measured, groups, strict=True):
            arms.append(found.by_seed(arm, rows) if tune.is_per_seed else found.at_once(arm, rows, group))
    return {
        "protocol": tune.protocol,
        "metric": tune.metric,
        "seeds": list(tune.seed_list(own)),
        "grid": {key: list(values) for key, values in tune.grid.axes.items()},
        "data": _sizes(tuning, data),
        "trials": len(tuning.trials),
        "seconds": round(math.fsum(known.at(found.last.values()).column("seconds")), 6),
        "arms": arms,
    }


@dataclass(frozen=True)
class _Measured:
    """What tuning measured. `last` has the place of the last record of each trial; `tried` the trials at each setting.

    `second` are the metrics that decide between equals, by dataset.
    """

    experiment: Experiment
    tune: TuneConfig
    tuning: Plan
    records: Records
    last: Mapping[int, int]
    tried: Mapping[tuple[Any, ...], Mapping[int, int]]
    second: Mapping[str, str]

    @classmethod
    def of(cls, plan: Plan, tuning: Plan, records: Records, data: Mapping[str, Splits]) -> _Measured:
        assert plan.experiment.tune is not None
        last = {trial: place for place, trial in enumerate(records.column("trial"))}
        tried: dict[tuple[Any, ...], dict[int, int]] = {}
        for trial in tuning.trials:
            tried.setdefault(_key(tuning.experiment, trial.arm, {}), {})[trial.seed] = trial.number
        second = {trial.arm.dataset.key: f"val_{data[trial.data_key].problem.second}" for trial in tuning.trials}
        return cls(plan.experiment, plan.experiment.tune, tuning, records, last, tried, second)

    def rows(self, arm: Arm, own: Sequence[int]) -> list[SettingResult]:
        """Every setting that an arm tried for some seeds of the experiment, in the order of their grid."""
        seeds, axes = self.tune.seed_list(own), self._axes(arm, own)
        longer = self.experiment.model_copy(update={"tune": self.tune.at(axes)})
        tried = ((each, self.tried.get(_key(longer, arm, each), {})) for each in settings_for(longer, arm.loss))
        return [
            self._row(arm, settings, trials, seeds) for settings, trials in tried if not trials.keys().isdisjoint(seeds)
        ]

    def at_once(self, arm: Arm, rows: list[SettingResult], group: Sequence[Sequence[SettingResult]]) -> ArmTuning:
        """The choice for all seeds, by the rows of the arm or of all that share it."""
        chosen = rows[choose(group, self.tune.metric)]["settings"]
        return {
            "name": arm.name,
            "chosen": dict(chosen),
            "by_seed": None,
            "at_edge": at_edge(chosen, self._axes(arm, self.experiment.train.seed_list)),
            "extended": self._extended(arm, [Ground(arm.comparison, None)]),
            "sensitivity": rows,
        }

    def by_seed(self, arm: Arm, rows: list[SettingResult]) -> ArmTuning:
        """The choice of each seed."""
        own = self.experiment.train.seed_list
        choices = [self._choice(arm, seed) for seed in own]
        edge = [key for key in self.tune.grid.axes if 2 * sum(key in at["at_edge"] for at in choices) >= len(own)]
        return {
            "name": arm.name,
            "chosen": None,
            "by_seed": choices,
            "at_edge": edge,
            "extended": self._extended(arm, [Ground(arm.comparison, seed) for seed in own]),
            "sensitivity": rows,
        }

    def _choice(self, arm: Arm, seed: int) -> SeedChoice:
        """What tuning for one seed chose, among its own rows."""
        rows, ground = self.rows(arm, [seed]), Ground(arm.comparison, seed)
        best = rows[choose([rows], self.tune.metric)]
        return {
            "seed": seed,
            "chosen": dict(best["settings"]),
            "at_edge": at_edge(best["settings"], self._axes(arm, [seed])),
            "extended": self._extended(arm, [ground]),
            "mean": best["mean"],
            "diverged": best["diverged"],
        }

    def _axes(self, arm: Arm, own: Sequence[int]) -> dict[str, tuple[Any, ...]]:
        """The axes of an arm, at some seeds of the experiment together."""
        seeds: Sequence[int | None] = own if self.tune.is_per_seed else [None]
        each = [axes_at(self.tune, self.tuning.extensions, Ground(arm.comparison, seed)) for seed in seeds]
        return {key: tuple(values) for key, values in merged_axes(each).items()}

    def _extended(self, arm: Arm, grounds: Sequence[Ground]) -> Extended | None:
        """The new values that an arm tried on some grounds."""
        if not self.tune.extend:
            return None
        own, asked = settings_for(self.experiment, arm.loss)[0], self.tune.grid.axes
        each = (axes_at(self.tune, self.tuning.extensions, ground) for ground in grounds)
        new = merged_axes({key: values[len(asked[key]) :] for key, values in axes.items()} for axes in each)
        return {key: values for key, values in new.items() if values and key in own}

    def _row(self, arm: Arm, settings: Settings, trials: Mapping[int, int], seeds: Sequence[int]) -> SettingResult:
        """What was measured at a setting, from the last record of each seed."""
        places = {seed: self.last[trials[seed]] for seed in seeds if seed in trials}
        rows, second = self.records.at(places.values()), self.second[arm.dataset.key]
        lost = [status in ("diverged", "failed") for status in rows.column("status")]
        values = [None if gone else value for value, gone in zip(rows.column(self.tune.metric), lost, strict=True)]
        known = [value for value in values if value is not None]
        deciding = [value for value, gone in zip(rows.column(second), lost, strict=True) if not gone]
        whole = [value for value in deciding if value is not None]
        by_seed = dict(zip(places, values, strict=True))
        return {
            "settings": dict(settings),
            "mean": statistics.fmean(known) if known else None,
            "std": statistics.stdev(known) if len(known) > 1 else None,
            "n": len(known),
            "values": [by_seed.get(seed) for seed in seeds],
            "diverged": sum(lost),
            "second": statistics.mean(whole) if whole and len(whole) == len(deciding) else None,
        }


def edges(plan: Plan, tuned: Tuning) -> dict[Ground, dict[str, set[Edge]]]:
    """The edges of grids on which some arm's choice lies, by ground and key."""
    comparison_of = {arm.name: arm.comparison for arm in plan.arms}
    found: dict[Ground, dict[str, set[Edge]]] = {}
    for arm in tuned["arms"]:
        choices: list[tuple[int | None, Settings | None, list[str], Extended | None]]
        choices = [(None, arm["chosen"], arm["at_edge"], arm["extended"])]
        if arm["by_seed"] is not None:
            choices = [(each["seed"], each["chosen"], each["at_edge"], each["extended"]) for each in arm["by_seed"]]
        for seed, chosen, keys, new in choices:
            for key in keys:
                numbers = [*tuned["grid"][key], *(new or {}).get(key, ())]
                edge: Edge = "high" if (chosen or {})[key] == ends(numbers)[1] else "low"
                ground = Ground(comparison_of[arm["name"]], seed)
                found.setdefault(ground, {}).setdefault(key, set()).add(edge)
    return found


def chosen_settings(tuned: Tuning, seeds: Sequence[int]) -> dict[str, dict[int, Settings]]:
    """The settings that tuning chose, by the arm's name and the seed of the experiment."""
    return {
        arm["name"]: dict.fromkeys(seeds, arm["chosen"] or {})
        if arm["by_seed"] is None
        else {each["seed"]: each["chosen"] for each in arm["by_seed"]}
        for arm in tuned["arms"]
    }


def _key(experiment: Experiment, arm: Arm, settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """The key of an arm with the given settings: its dataset, model, batch size, loss and settings."""
    of_loss, rest = parted(experiment, settings)
    return (arm.comparison, tried(arm.loss, of_loss).key, *{**arm.settings, **rest}.values())


def _sizes(tuning: Plan, data: Mapping[str, Splits]) -> dict[str, TuningSizes]:
    first = tuning.trials[0].seed
    found = {trial.dataset.title: data[trial.data_key] for trial in tuning.trials if trial.seed == first}
    return {
        title: {
            "train": len(splits.train),
            "val": 0 if splits.val is None else len(splits.val),
            "held_out": splits.held_out,
        }
        for title, splits in found.items()
    }
