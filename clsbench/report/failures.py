"""Failed trials in words, on one line however many there are."""

from __future__ import annotations

from collections.abc import Sequence

from clsbench.report.text import first_few
from clsbench.results import ArmSummary, Summary


def failures(summary: Summary) -> str | None:
    """The arms with trials that failed, each with the reasons; None if no trial failed."""
    failed = [arm for arm in summary["arms"] if arm["failures"]]
    if summary["status"] == "failed" and not failed:
        return "a trial of tuning failed, and counts as diverged"
    return _in_words(failed) if failed else None


def whole_failures(summary: Summary) -> str | None:
    """The arms of which every trial failed, in the same words; None if each has another trial."""
    failed = [arm for arm in summary["arms"] if len(arm["failures"] or ()) == len(arm["seeds"])]
    return _in_words(failed) if failed else None


def _in_words(arms: Sequence[ArmSummary]) -> str:
    return "; ".join(first_few([_arm_in_words(arm) for arm in arms], "more arms"))


def _arm_in_words(arm: ArmSummary) -> str:
    reasons = arm["failures"] or {}
    why = first_few(list(dict.fromkeys(reasons.values())), "more reasons")
    return f"{arm['name']}: {len(reasons)} of {len(arm['seeds'])} seeds failed: {'; '.join(why)}"
