"""The best setting of the grid by validation data alone: the part `tuning` of `summary.json`. Pure.

Test data choose nothing: no setting is chosen by a sample that it is tested on. With a number as `split_seed` tuning
shares the experiment's split. With `per_seed` every seed of the experiment has a test set of its own. Either each seed
is tuned by itself, on what its own split leaves for training and validation (nested resampling). Or one setting serves
all seeds, and the samples that any of them tests are excluded from all tuning, which splits the rest into training and
validation; generated data are new at tuning's seeds, so none of them are excluded.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from clsbench.config.plan import Arm, Plan, parted, settings_for, tried
from clsbench.config.schema import Experiment, TuneConfig
from clsbench.metrics.measures import direction, is_share
from clsbench.results import ArmTuning, Record, Records, SeedChoice, SettingResult, Settings, Tuning, TuningSizes

if TYPE_CHECKING:
    from clsbench.data.splits import Splits

MOST_SAMPLES = 10_000_000  # up to here a double represents different shares of samples differently


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
    last = {trial: place for place, trial in enumerate(known.column("trial"))}
    found = _by_setting(tuning, known, last)
    second = {trial.arm.dataset.key: f"val_{data[trial.dataset.key].problem.second}" for trial in tuning.trials}

    def rows_of(arm: Arm, of_seeds: slice = slice(None)) -> list[SettingResult]:
        """Every setting of an arm, at some places of tuning's seeds."""
        at = {"metric": tune.metric, "second": second[arm.dataset.key]}
        settings = settings_for(plan.experiment, arm.loss)
        return [_result(each, found[_key(plan.experiment, arm, each)][of_seeds], **at) for each in settings]

    arms: list[ArmTuning] = []
    for together in plan.comparisons:
        measured = [rows_of(arm) for arm in together]
        groups = [measured] * len(measured) if tune.protocol == "shared" else [[rows] for rows in measured]
        for arm, rows, group in zip(together, measured, groups, strict=True):
            by_seed, chosen = None, rows[choose(group, tune.metric)]["settings"]
            edge = at_edge(chosen, tune.grid.axes)
            if tune.is_per_seed:
                parts = (rows_of(arm, slice(n * tune.seeds, (n + 1) * tune.seeds)) for n in range(len(own)))
                by_seed = [_choice(seed, part, tune) for seed, part in zip(own, parts, strict=True)]
                edge = [key for key in tune.grid.axes if 2 * sum(key in at["at_edge"] for at in by_seed) >= len(own)]
            arms.append(
                {
                    "name": arm.name,
                    "chosen": dict(chosen) if by_seed is None else None,
                    "by_seed": by_seed,
                    "at_edge": edge,
                    "sensitivity": rows,
                }
            )
    return {
        "protocol": tune.protocol,
        "metric": tune.metric,
        "seeds": list(tune.seed_list(own)),
        "grid": {key: list(values) for key, values in tune.grid.axes.items()},
        "data": _sizes(tuning, data),
        "trials": len(tuning.trials),
        "seconds": round(math.fsum(known.at(last.values()).column("seconds")), 6),
        "arms": arms,
    }


def chosen_settings(tuned: Tuning, seeds: Sequence[int]) -> dict[str, dict[int, Settings]]:
    """The settings that tuning chose, by the arm's name and the seed of the experiment."""
    return {
        arm["name"]: dict.fromkeys(seeds, arm["chosen"] or {})
        if arm["by_seed"] is None
        else {each["seed"]: each["chosen"] for each in arm["by_seed"]}
        for arm in tuned["arms"]
    }


def choose(arms: Sequence[Sequence[SettingResult]], metric: str) -> int:
    """The index in the grid of the best setting for one arm, or for several that share it.

    In order:

    1. The fewest diverged seeds, over all arms: a setting with a diverged seed is worse than any without.
    2. The best mean over arms of their mean of `metric` over seeds. It is computed in fractions, an accuracy being the
       share of samples that it stands for, so that neither rounding nor the order of seeds and arms decides.
    3. The least mean over arms of their `second`, validation NLL for one, where all that are still equal have one.
    4. The first in grid order.

    Why the mean of the metric and not of its ranks: all arms have the same metric, so their values add up;
    with ranks, an arm that depends on no setting would count as much as one that needs a certain setting.

    Args:
        arms: each arm's rows, one a setting, in grid order, with their `values` by seed (None where a seed has no
            number), `diverged`, and `second` if known.
        metric: what the values are of.
    """
    places = range(len(arms[0]))
    best = _least(places, [sum(rows[place]["diverged"] for rows in arms) for place in places])
    sign = -1 if direction(metric) == "higher" else 1
    means = [_mean(_mean(_exact(rows[place], metric)) for rows in arms) for place in best]
    best = _least(best, [math.inf if mean is None else sign * mean for mean in means])
    seconds = [[rows[place].get("second") for rows in arms] for place in best]
    known = [[Fraction(number) for number in by_arm if number is not None] for by_arm in seconds]
    if all(len(numbers) == len(arms) for numbers in known):
        best = _least(best, [sum(numbers, Fraction()) for numbers in known])
    return best[0]


def _choice(seed: int, rows: Sequence[SettingResult], tune: TuneConfig) -> SeedChoice:
    """What tuning for one seed chose, among its own rows."""
    best = rows[choose([rows], tune.metric)]
    return {
        "seed": seed,
        "chosen": dict(best["settings"]),
        "at_edge": at_edge(best["settings"], tune.grid.axes),
        "mean": best["mean"],
        "diverged": best["diverged"],
    }


def _least(places: Sequence[int], costs: Sequence[Fraction | float]) -> list[int]:
    """The places whose cost is least, in order."""
    least = min(costs)
    return [place for place, cost in zip(places, costs, strict=True) if cost == least]


def _exact(row: SettingResult, metric: str) -> Iterator[Fraction]:
    """A row's values as fractions: of accuracy, the nearest share of a number of samples."""
    numbers = (Fraction(value) for value in row["values"] if value is not None)
    return (number.limit_denominator(MOST_SAMPLES) for number in numbers) if is_share(metric) else numbers


def _mean(values: Iterable[Fraction | None]) -> Fraction | None:
    known = [value for value in values if value is not None]
    return sum(known, Fraction()) / len(known) if known else None


def at_edge(chosen: Mapping[str, Any], axes: Mapping[str, Sequence[Any]]) -> list[str]:
    """The keys whose chosen value is the smallest or largest of the grid, so that a better one may be outside.

    Zero, and null for `clip_norm`, do not count: nothing is beyond them.
    """
    return [
        key
        for key, values in axes.items()
        if len(values) > 1 and chosen.get(key) and not isinstance(chosen[key], str) and chosen[key] in _ends(values)
    ]


def _ends(values: Sequence[Any]) -> tuple[float, float]:
    sizes = [math.inf if value is None else value for value in values]
    return min(sizes), max(sizes)


def _by_setting(tuning: Plan, rows: Records, last: Mapping[int, int]) -> dict[tuple[Any, ...], Records]:
    """The last records of each arm of tuning, seed by seed; `last` has their places by trial."""
    places: dict[tuple[Any, ...], list[int]] = {}
    for trial in tuning.trials:
        places.setdefault(_key(tuning.experiment, trial.arm, {}), []).append(last[trial.number])
    return {key: rows.at(of) for key, of in places.items()}


def _key(experiment: Experiment, arm: Arm, settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """The key of an arm with the given settings: its dataset, model, batch size, loss and settings."""
    of_loss, rest = parted(experiment, settings)
    return (arm.comparison, tried(arm.loss, of_loss).key, *{**arm.settings, **rest}.values())


def _sizes(tuning: Plan, data: Mapping[str, Splits]) -> dict[str, TuningSizes]:
    first = tuning.trials[0].seed
    found = {trial.dataset.title: data[trial.dataset.key] for trial in tuning.trials if trial.seed == first}
    return {
        title: {
            "train": len(splits.train),
            "val": 0 if splits.val is None else len(splits.val),
            "held_out": splits.held_out,
        }
        for title, splits in found.items()
    }


def _result(settings: Mapping[str, Any], rows: Records, metric: str, second: str) -> SettingResult:
    """What was measured at a setting, from the last record of each seed."""
    lost = [status in ("diverged", "failed") for status in rows.column("status")]
    values = [None if gone else value for value, gone in zip(rows.column(metric), lost, strict=True)]
    known = [value for value in values if value is not None]
    deciding = [value for value, gone in zip(rows.column(second), lost, strict=True) if not gone]
    whole = [value for value in deciding if value is not None]
    return {
        "settings": dict(settings),
        "mean": statistics.fmean(known) if known else None,
        "std": statistics.stdev(known) if len(known) > 1 else None,
        "n": len(known),
        "values": values,
        "diverged": sum(lost),
        "second": statistics.mean(whole) if whole and len(whole) == len(deciding) else None,
    }
