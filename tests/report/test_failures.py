"""Failed trials in words."""

from __future__ import annotations

from typing import Any

from clsbench.report.failures import failures, whole_failures


def summary(*failed: Any) -> Any:
    """A summary whose arms, of two seeds, have these failures by seed."""
    arms = [{"name": f"l{number}", "seeds": [0, 1], "failures": reasons} for number, reasons in enumerate(failed)]
    return {"status": "failed", "arms": arms}


def test_each_failed_arm_is_named_with_its_reasons() -> None:
    """A reason that several seeds share is given once; an arm without failures is left out."""
    found = failures(summary({"0": "a", "1": "a"}, {}, {"1": "b"}))
    assert "l0: 2 of 2 seeds failed: a; l2: 1 of 2 seeds failed: b" == found


def test_many_failed_arms_are_counted() -> None:
    """The line is bounded: five arms are named."""
    found = failures(summary(*[{"0": "a"}] * 9))
    assert found is not None
    assert (5, True) == (found.count("seeds failed"), found.endswith("; 4 more arms"))


def test_failed_tuning_alone_is_a_failure() -> None:
    """Where no arm of the experiment has one, tuning had it."""
    assert "a trial of tuning failed, and counts as diverged" == failures(summary({}, None))
    assert failures({"status": "finished", "arms": []}) is None  # type: ignore[typeddict-item]


def test_arm_with_a_trial_left_did_not_fail_as_a_whole() -> None:
    """Only arms of which every seed failed are named."""
    assert "l1: 2 of 2 seeds failed: a" == whole_failures(summary({"0": "a"}, {"0": "a", "1": "a"}))
    assert whole_failures(summary({"0": "a"}, None)) is None
