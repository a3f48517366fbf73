"""Summaries for tests, which write out only what they are about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clsbench.results import ArmSummary, SettingResult, Summary, Tuning


def filled(summary: Mapping[str, Any]) -> Summary:
    """A summary with None for every key that it lacks, itself and its parts, as reading an older file gives it."""
    tuning = summary.get("tuning")
    if tuning is not None:
        arms = [
            {**arm, "sensitivity": [_filled(SettingResult, row) for row in arm["sensitivity"]]}
            for arm in tuning["arms"]
        ]
        tuning = _filled(Tuning, {**tuning, "arms": arms})
    arms = [_filled(ArmSummary, arm) for arm in summary["arms"]]
    return _filled(Summary, {**summary, "arms": arms, "tuning": tuning})


def _filled(kind: Any, value: Mapping[str, Any]) -> Any:
    return {**dict.fromkeys(kind.__annotations__), **value}
