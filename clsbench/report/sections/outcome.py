"""The outcome of a comparison in plain sentences: what the means say, without statistics."""

from __future__ import annotations

from collections.abc import Iterator

from clsbench.analysis.curves import STUCK_FROM, Comparison, final_mean, ranked
from clsbench.report.document import Text, joined
from clsbench.report.sections.arms import Refs


def outcome(comparison: Comparison, refs: Refs) -> Iterator[Text]:
    """Which arm ends highest in test accuracy, and by how many points over the next."""
    order = ranked(comparison.arms)
    if not order:
        yield ("No arm has a final test accuracy: no seed reached the last epoch.",)
        return
    first, *rest = [(refs[arm["name"]], final_mean(arm, "test_accuracy") or 0.0) for arm in order]
    sentence: Text = (first[0], f" ends highest in test accuracy: {first[1]:.1%}")
    if rest:
        second, mean = rest[0]
        sentence = (*sentence, f", {_lead(100 * (first[1] - mean))} ", second, f" ({mean:.1%})")
    yield (*sentence, ".")
    short: list[Text] = [
        (refs[arm["name"]], f" has {arm['metrics']['test_accuracy']['n']} of {len(arm['seeds'])} left")
        for arm in order[:2]
        if arm["metrics"]["test_accuracy"]["n"] < len(arm["seeds"])
    ]
    if short:
        yield ("Seeds that did not finish count in no final mean: ", *joined(short), ".")


def stuck(comparison: Comparison, refs: Refs) -> Iterator[Text]:
    """Which arms have many samples that they get wrong and hardly learn from."""
    shares = {refs[arm["name"]]: final_mean(arm, "stuck_share") or 0.0 for arm in comparison.arms}
    large: list[Text] = [(ref, f" {share:.0%}") for ref, share in shares.items() if share > STUCK_FROM]
    if large:
        yield ("Stuck samples (wrong, with a gradient under 1% of that at zero logits): ", *joined(large), ".")


def _lead(points: float) -> str:
    if points >= 0.05:
        return f"{points:.1f} points over"
    return "less than 0.1 points over" if points else "level with"
