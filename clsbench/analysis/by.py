"""A plan divided by one setting: the arms at each of its values by themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from clsbench.analysis.across import across
from clsbench.config.arms import Arm
from clsbench.config.naming import as_json, short_keys
from clsbench.config.plan import Plan
from clsbench.errors import ConfigError
from clsbench.registry import suggestion
from clsbench.results import Across, ArmSummary, DataSummary, Rules


def across_by(
    key: str, plan: Plan, arms: Sequence[ArmSummary], data: Mapping[str, DataSummary] | None, rules: Rules
) -> dict[str, Across]:
    """The arms over the comparisons at each value of a setting, by `KEY=VALUE`.

    Args:
        key: `dataset`, `model`, `batch_size`, or a setting by its dotted key, or by the last part where that is enough.
        plan: the trials that were trained.
        arms: their summary.
        data: that of the summary.
        rules: the margins.

    Raises:
        ConfigError: the arms do not differ in it, or no value is left with two arms in two comparisons.
    """
    values = {arm.name: _told_by(arm) for arm in plan.arms}
    known = {name for found in values.values() for name in found}
    swept = [name for name in sorted(known) if len({as_json(found.get(name)) for found in values.values()}) > 1]
    short = short_keys(swept)
    full = next((name for name in swept if key in (name, short[name])), None)
    if full is None:
        raise ConfigError(f"--by: the arms do not differ in {key!r}; {suggestion(key, sorted(short.values()))}")
    by_value: dict[str, list[Arm]] = {}
    for arm in plan.arms:
        if full in values[arm.name]:
            by_value.setdefault(as_json(values[arm.name][full]), []).append(arm)
    parts = {f"{key}={value}": _without(full, plan, of) for value, of in by_value.items()}
    found = {title: each for title, part in parts.items() if (each := across(part, arms, data, rules)) is not None}
    if not found:
        raise ConfigError(f"--by: no value of {key} has two arms in two comparisons; show the run without it")
    return found


def settings_of(arm: Arm) -> dict[str, Any]:
    """Every setting of an arm, by its dotted key; None where it has another at each seed."""
    found = {
        **{f"dataset.{key}": value for key, value in arm.dataset.options.items()},
        **{f"model.{key}": value for key, value in arm.model.options.items()},
        "model.init.weights": arm.model.init.weights,
        "model.init.scale": arm.scale,
        **{f"loss.{key}": value for key, value in arm.loss.options.items()},
        "loss.weight": arm.loss.weight,
        "loss.class_weight": arm.loss.class_weight,
        **{f"optimizer.{key}": value for key, value in arm.settings.items()},
    }
    return {**found, **dict.fromkeys(arm.varied)}


def _told_by(arm: Arm) -> dict[str, Any]:
    """What an arm may be told from others by."""
    ground = {"dataset": arm.dataset.title, "model": arm.model.title, "batch_size": arm.batch_size}
    return settings_of(arm) | ground


def _without(key: str, plan: Plan, arms: Sequence[Arm]) -> Plan:
    """The plan of some arms, which are called alike whatever their value of the key."""
    kept = ({name: value for name, value in arm.swept.items() if name != key} for arm in arms)
    return replace(plan, arms=tuple(replace(arm, swept=swept) for arm, swept in zip(arms, kept, strict=True)))
