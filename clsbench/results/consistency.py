"""Consistency of the parts of a summary: names, lengths, counts and ranges."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from clsbench.results.reading import ROUNDING, Bounds, damaged

T = TypeVar("T")

if TYPE_CHECKING:
    from clsbench.results.summary import ArmSummary, ArmTuning, Cross, Settings, Statistic, Summary, Tuning
    from clsbench.results.verdicts import Verdict


def require_consistent(path: str, summary: Summary, metrics: Mapping[str, Bounds]) -> None:
    """Refuse a summary whose parts contradict one another.

    Args:
        path: the file that it was read from.
        summary: its types are checked by `read_summary`.
        metrics: the bounds of every metric that is known.

    Raises:
        RunError: with the first contradiction.
    """
    for what in _contradictions(summary, metrics):
        raise damaged(path, what)


def _contradictions(summary: Summary, metrics: Mapping[str, Bounds]) -> Iterator[str]:
    arms = [arm["name"] for arm in summary["arms"]]
    if twice := _twice(arms):
        yield f"two arms are called {twice!r}"
    for place, arm in enumerate(summary["arms"]):
        yield from (f"arms[{place}].{what}" for what in _of_arm(arm, metrics))
    paired = [name for entry in summary["pairing"] for name in entry["arms"]]
    if sorted(paired) != sorted(arms):
        yield "pairing does not name every arm once"
    yield from _crosses(summary)
    comparison_of = {name: number for number, entry in enumerate(summary["pairing"]) for name in entry["arms"]}
    for place, verdict in enumerate(summary["verdicts"]):
        yield from (f"verdicts[{place}]{what}" for what in _of_verdict(verdict, comparison_of))
    if summary["tuning"] is not None:
        yield from (f"tuning.{what}" for what in _of_tuning(summary["tuning"], arms, metrics))


def _crosses(summary: Summary) -> Iterator[str]:
    """The arms of a comparison whose networks were measured by other metrics than its first arm's."""
    measured = {arm["name"]: set(arm["cross"]) for arm in summary["arms"] if arm["cross"]}
    for entry in summary["pairing"]:
        first, *others = [measured[name] for name in entry["arms"] if name in measured] or [set[str]()]
        if odd := [each ^ first for each in others if each != first]:
            yield f"cross has {min(odd[0])!r} for some arms of a comparison only"


def _of_arm(arm: ArmSummary, metrics: Mapping[str, Bounds]) -> Iterator[str]:
    seeds = arm["seeds"]
    if (twice := _twice(seeds)) is not None:
        yield f"seeds has {twice} twice"
    lost = set(arm["failures"] or ()) - {str(seed) for seed in seeds}
    if lost:
        yield f"failures names seed {min(lost)!r}, which the arm does not have"
    if arm["diverged"] > len(seeds):
        yield f"diverged is {arm['diverged']} of {len(seeds)} seeds"
    for name, statistic in arm["metrics"].items():
        yield from (
            f"metrics.{name}{what}"
            for what in _of_statistic(statistic, len(seeds), metrics.get(name.partition("[")[0]))
        )
    if cross := arm["cross"]:
        yield from (f"cross.{what}" for what in _of_cross(cross, len(seeds), metrics))
    if bins := arm["reliability"]:
        lengths = {len(bins["count"]), len(bins["confidence"]), len(bins["accuracy"])}
        if len(lengths) > 1 or not sum(bins["count"]):
            yield "reliability has columns of different lengths, or no samples"
        for column in (bins["confidence"], bins["accuracy"]):
            if any((value is None) == (n > 0) for value, n in zip(column, bins["count"], strict=False)):
                yield "reliability has a bin with samples and no mean, or the reverse"
    if (times := arm["time_to_target"]) and len(times["epochs"]) != len(seeds):
        yield f"time_to_target.epochs has {len(times['epochs'])} values for {len(seeds)} seeds"


def _of_cross(cross: Cross, num_seeds: int, metrics: Mapping[str, Bounds]) -> Iterator[str]:
    found: Mapping[str, Any] = cross
    for name, statistic in found.items():
        if name != "losses":
            yield from (name + what for what in _of_statistic(statistic, num_seeds, metrics.get(f"test_{name}")))
    for label, statistic in cross["losses"].items():
        yield from (f"losses.{label}{what}" for what in _of_statistic(statistic, num_seeds, None))


def _of_statistic(statistic: Statistic, num_seeds: int, bounds: Bounds | None) -> Iterator[str]:
    values = statistic["values"]
    known = [value for value in values if value is not None]
    if len(values) != num_seeds:
        yield f".values has {len(values)} values for {num_seeds} seeds"
    if statistic["n"] != len(known):
        yield f".n is {statistic['n']}, and {len(known)} values are known"
    if (statistic["mean"] is None) != (not known) or (statistic["std"] is None) != (len(known) < 2):
        yield f".mean or .std does not fit {len(known)} known values"
    if not known or statistic["mean"] is None:
        return
    if statistic["std"] is not None and statistic["std"] < 0:
        yield f".std is {statistic['std']}, below 0"
    slack = ROUNDING * max(1.0, *(abs(value) for value in known))
    if not min(known) - slack <= statistic["mean"] <= max(known) + slack:
        yield f".mean is {statistic['mean']}, outside its values"
    low, high = bounds or (None, None)
    if low is not None and min(known) < low - ROUNDING:
        yield f".values has {min(known)}, below {low:g}"
    if high is not None and max(known) > high + ROUNDING:
        yield f".values has {max(known)}, above {high:g}"


def _of_verdict(verdict: Verdict, comparison_of: Mapping[str, int]) -> Iterator[str]:
    for side, name in (("a", verdict["a"]), ("b", verdict["b"])):
        if name not in comparison_of:
            yield f".{side} names {name!r}, which is not an arm"
    if comparison_of[verdict["a"]] != comparison_of[verdict["b"]]:
        yield f" compares {verdict['a']!r} with {verdict['b']!r}, an arm of another comparison"
    if verdict["a"] == verdict["b"]:
        yield f" compares {verdict['a']!r} with itself"
    low, high = verdict["low"], verdict["high"]
    if (low is None) != (high is None) or (low is not None and high is not None and low > high):
        yield " has no interval from low to high"
    if (of_samples := verdict["test_set"]) is not None and of_samples["low"] > of_samples["high"]:
        yield ".test_set has no interval from low to high"


def _of_tuning(tuning: Tuning, arms: list[str], metrics: Mapping[str, Bounds]) -> Iterator[str]:
    if sorted(arm["name"] for arm in tuning["arms"]) != sorted(arms):
        yield "arms does not name every arm once"
    for key, values in tuning["grid"].items():
        if not values or _twice(values) is not None:
            yield f"grid.{key} has no values, or one twice"
    for place, arm in enumerate(tuning["arms"]):
        tried = [row["settings"] for row in arm["sensitivity"]]
        keys = [key for key in tuning["grid"] if tried and key in tried[0]]  # a loss may lack an option of others
        grid = _tried(arm, tuning, keys)
        if not keys or tried != grid:
            yield f"arms[{place}].sensitivity does not have the settings of the grid"
        yield from (f"arms[{place}]{what}" for what in _of_choices(arm, grid, tuning))
        if not set(arm["at_edge"]) <= set(keys):
            yield f"arms[{place}].at_edge names a key that is not in the grid"
        for number, row in enumerate(arm["sensitivity"]):
            start = f"arms[{place}].sensitivity[{number}]"
            yield from (
                start + what for what in _of_statistic(row, len(tuning["seeds"]), metrics.get(tuning["metric"]))
            )
            if row["diverged"] > len(tuning["seeds"]):
                yield f"{start}.diverged is {row['diverged']} of {len(tuning['seeds'])} seeds"


def _tried(arm: ArmTuning, tuning: Tuning, keys: Sequence[str]) -> list[Settings]:
    """The settings that an arm is to have tried, in the grid's order: each seed extends the grid for itself."""
    new = arm["extended"] or {}
    own = [each["extended"] or {} for each in arm["by_seed"] or ()] or [new]
    points = itertools.product(*(dict.fromkeys([*tuning["grid"][key], *new.get(key, ())]) for key in keys))
    settings = (dict(zip(keys, point, strict=True)) for point in points)
    return [
        each
        for each in settings
        if any(all(each[key] in [*tuning["grid"][key], *of.get(key, ())] for key in keys) for of in own)
    ]


def _of_choices(arm: ArmTuning, grid: list[Settings], tuning: Tuning) -> Iterator[str]:
    """What is wrong with the settings chosen for an arm."""
    by_seed, is_per_seed = arm["by_seed"] or (), tuning["protocol"] == "per_arm_per_seed"
    if (arm["chosen"] is None) != is_per_seed or bool(by_seed) != is_per_seed:
        yield f".chosen and .by_seed do not fit {tuning['protocol']}"
    if arm["chosen"] is not None and arm["chosen"] not in grid:
        yield ".chosen is not a setting of the grid"
    if any(each["chosen"] not in grid for each in by_seed):
        yield ".by_seed has a choice that is not a setting of the grid"
    if _twice([each["seed"] for each in by_seed]) is not None or (by_seed and len(tuning["seeds"]) % len(by_seed)):
        yield ".by_seed has a seed twice, or tuning.seeds not as many for each"


def _twice(values: Iterable[T]) -> T | None:
    """The first value that occurs twice."""
    seen: set[T] = set()
    for value in values:
        if value in seen:
            return value
        seen.add(value)
    return None
