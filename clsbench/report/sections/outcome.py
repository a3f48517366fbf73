"""The outcome of a comparison in plain sentences: what the means say, without statistics."""

from __future__ import annotations

from collections.abc import Iterator

from clsbench.analysis.curves import STUCK_FROM, Comparison, final_mean, ranked
from clsbench.metrics.diagnostics import STUCK_SHARE
from clsbench.metrics.measures import direction, is_share, label_of
from clsbench.report.document import Text, joined
from clsbench.report.sections.arms import Refs
from clsbench.report.text import first_few, number, percent


def outcome(comparison: Comparison, refs: Refs) -> Iterator[Text]:
    """Which arm has the best final headline metric, and by how much it leads the next."""
    metric, order = comparison.headline, ranked(comparison)
    label = label_of(metric)
    if not order:
        yield (f"No arm has a final {label}: no seed reached the last epoch.",)
        return
    first, *rest = [(refs[arm["name"]], final_mean(arm, metric) or 0.0) for arm in order]
    best = "highest" if direction(metric) == "higher" else "lowest"
    sentence: Text = (first[0], f" has the {best} final {label}: {shown(metric, first[1])}")
    if rest:
        second, mean = rest[0]
        sentence = (
            *sentence,
            f", {lead(metric, abs(first[1] - mean), 'above', 'below')} ",
            second,
            f" ({shown(metric, mean)})",
        )
    yield (*sentence, ".")
    short: list[Text] = [
        (refs[arm["name"]], f" has {arm['metrics'][metric]['n']} of {len(arm['seeds'])} left")
        for arm in order[:2]
        if arm["metrics"][metric]["n"] < len(arm["seeds"])
    ]
    if short:
        yield ("Final means leave out seeds that did not finish: ", *joined(short), ".")


def stuck(comparison: Comparison, refs: Refs) -> Iterator[Text]:
    """Which arms have many samples that they get wrong and hardly learn from, those with the most first."""
    shares = [(refs[arm["name"]], final_mean(arm, STUCK_SHARE) or 0.0) for arm in comparison.arms]
    large = sorted((entry for entry in shares if entry[1] > STUCK_FROM), key=lambda entry: -entry[1])
    if large:
        named = first_few([(ref, f" {share:.0%}") for ref, share in large], "more arms")
        yield ("Stuck samples (wrong, with a gradient under 1% of that at zero logits): ", *joined(named), ".")


def diverged_at_once(comparison: Comparison, refs: Refs) -> Iterator[Text]:
    """Which arms diverged before their first step or right after it, and what to look for."""
    reasons = (
        (0, "before its first step", "its loss or gradient is not finite where training starts: look for the log of "
         "zero, a division by zero, the square root of zero"),
        (1, "after its first step", "lower its lr"),
    )  # fmt: skip
    for step, when, hint in reasons:
        for arm in comparison.arms:
            lost = comparison.records[arm["name"]].where("status", "diverged").column("step").count(step)
            if lost:
                yield (refs[arm["name"]], f" diverged {when} at {lost} of {len(arm['seeds'])} seeds; {hint}.")


def shown(metric: str, value: float) -> str:
    """A value of a metric in a sentence: a share in percent."""
    return percent(value) if is_share(metric) else number(value)


def lead(metric: str, difference: float, more: str, less: str) -> str:
    """By how much the better of two values leads, `62.2 percentage points above`, and the word for its side."""
    if not difference:
        return "equal to"
    better = more if direction(metric) == "higher" else less
    if not is_share(metric):
        return f"{number(difference)} {better}"
    points = 100 * difference
    return f"{points:.1f} percentage points {better}" if points >= 0.05 else f"less than 0.1 percentage points {better}"
