"""A plan divided by one setting: the arms at each of its values by themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from clsbench.analysis.across import across
from clsbench.config.plan import Arm, Plan, as_json
from clsbench.errors import ConfigError
from clsbench.registry import suggestion
from clsbench.results import Across, ArmSummary, DataSummary, Rules


def across_by(
    key: str, plan: Plan, arms: Sequence[ArmSummary], data: Mapping[str, DataSummary] | None, rules: Rules
) -> dict[str, Across]:
    """The arms over the comparisons at each value of a setting, by `KEY=VALUE`.

    Args:
        key: `dataset`, `model`, `batch_size`, `scale`, or an option of losses, models or the optimizer.
        plan: the trials that were trained.
        arms: their summary.
        data: that of the summary.
        rules: the margins.

    Raises:
        ConfigError: the arms do not differ in it, or no value is left with two arms in two comparisons.
    """
    values = {arm.name: settings_of(arm) for arm in plan.arms}
    known = {name for found in values.values() for name in found}
    swept = [name for name in sorted(known) if len({as_json(found.get(name)) for found in values.values()}) > 1]
    if key not in swept:
        raise ConfigError(f"--by: the arms do not differ in {key!r}; {suggestion(key, swept)}")
    found: dict[str, Across] = {}
    for value in dict.fromkeys(as_json(of[key]) for of in values.values() if key in of):
        part = _with(plan, key, [arm for arm in plan.arms if as_json(values[arm.name].get(key)) == value])
        if part.arms and (each := across(part, arms, data, rules)) is not None:
            found[f"{key}={value}"] = each
    if not found:
        raise ConfigError(f"--by: no value of {key} has two arms in two comparisons; show the run without it")
    return found


def settings_of(arm: Arm) -> dict[str, Any]:
    """The settings that an arm may be told from others by, by the last part of their dotted names."""
    ground = {"dataset": arm.dataset.title, "model": arm.model.title, "scale": arm.scale, "batch_size": arm.batch_size}
    return {**arm.model.options, **arm.settings, **arm.loss.options, **ground}


def _with(plan: Plan, key: str, arms: Sequence[Arm]) -> Plan:
    """The plan of some arms, which are called alike whatever their value of the key."""
    renamed = tuple(
        replace(arm, alike=arm.alike.replace(f" {key}={as_json(settings_of(arm)[key])}", "")) for arm in arms
    )
    return replace(plan, arms=renamed)
