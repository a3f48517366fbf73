"""What is said of expectations: met ones with their slack, unmet ones with the reason."""

from typing import Any

import pytest

from clsbench.report.expectations import outcome_line, unmet

ARMS = [
    {"name": "a", "seeds": [0, 1, 2, 3, 4], "diverged": 0, "failures": {}},
    {"name": "b c", "seeds": [0, 1], "diverged": 1, "failures": {}},
]


def row(text: Any, left: Any, right: Any, *, met: Any = True, slack: Any = None) -> Any:
    return {"text": text, "met": met, "left": left, "right": right, "slack": slack}


def summary(*rows: Any) -> Any:
    return {"arms": ARMS, "expectations": list(rows)}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (row("a.m > 0.5", 0.6, 0.5, slack=3.21), "a.m > 0.5: met, 0.6 against 0.5 (3.2 standard deviations)"),
        (
            row("a.m > 0.5", 0.6, 0.5, slack=0.4),
            "a.m > 0.5: met, 0.6 against 0.5 (0.4 standard deviations; other seeds may not meet it)",
        ),
        (row("a.m > 0.5", 0.500001, 0.5, slack=2.0), "a.m > 0.5: met, 0.500001 against 0.5 (2.0 standard deviations)"),
        (row("a.diverged == 0", 0, 0.0), "a.diverged == 0: met, 0 against 0"),
        (
            row("verdict(a, 'b c', m) == better", "better", "better"),
            "verdict(a, 'b c', m) == better: met, the verdict is better",
        ),
    ],
)
def test_met(entry: Any, said: Any) -> None:
    """The values of the sides, and the slack in standard deviations; one under two is doubted."""
    assert said == outcome_line(entry, summary(entry))
    assert [] == unmet(summary(entry))


@pytest.mark.parametrize(
    ("text", "left", "right", "reason"),
    [
        ("a.m > 0.5", 0.25, 0.5, "0.25 against 0.5"),
        ("a.m > 0.5", 0.4999999, 0.5, "0.4999999 against 0.5"),
        ("'b c'.m > 0.5", 0.9, 0.5, "1 of 2 seeds of b c diverged"),
        ("a.m > 'b c'.m", None, 0.9, "1 of 2 seeds of b c diverged; a has no m"),
        ("'b c'.diverged == 0", 1, 0.0, "1 against 0"),
        ("a.m@3 > 0.5", None, 0.5, "a has no m"),
        ("a.m > 0.5", 0.9, 0.5, "0.9 against 0.5, but not every seed has a number"),
        ("verdict(a, 'b c', m) != better", "worse", "better", "1 of 2 seeds of b c diverged"),
        ("verdict(a, a2, m) == better", None, "better", "there is no verdict on a and a2 by m"),
        ("verdict(a, a2, m) == better", "worse", "better", "the verdict is worse"),
    ],
)
def test_unmet(text: Any, left: Any, right: Any, reason: Any) -> None:
    """The reason is what is missing, or else the values of the sides."""
    entry = row(text, left, right, met=False)
    assert [f"not met: {text}: {reason}"] == unmet(summary(row("a.m > 0", 1.0, 0.0), entry))
    assert f"{text}: not met, {reason}" == outcome_line(entry, summary(entry))
