"""What a comparison comes to, in plain sentences: a reading of the means, no statistics."""

from collections.abc import Iterator

from clsbench.analysis.curves import STUCK_FROM, final_mean, ranked
from clsbench.report.page import Page


def outcome(page: Page) -> Iterator[str]:
    """Which arm ends highest in test accuracy, and by how many points over the next."""
    order = ranked(page.comparison.arms)
    if not order:
        yield "No arm has a final test accuracy: no seed reached the last epoch."
        return
    names = [page.name(arm["name"]) for arm in order]
    means = [final_mean(arm, "test_accuracy") or 0.0 for arm in order]
    sentence = f"{names[0]} ends highest in test accuracy: {means[0]:.1%}"
    if len(order) > 1:
        points = 100 * (means[0] - means[1])
        lead = (
            f"{points:.1f} points over" if points >= 0.05 else "less than 0.1 points over" if points else "level with"
        )
        sentence += f", {lead} {names[1]} ({means[1]:.1%})"
    yield f"{sentence}."
    short = [
        f"{name} has {arm['metrics']['test_accuracy']['n']} of {len(arm['seeds'])} left"
        for name, arm in zip(names, order[:2], strict=False)
        if arm["metrics"]["test_accuracy"]["n"] < len(arm["seeds"])
    ]
    if short:
        yield f"Seeds that did not finish count in no final mean: {', '.join(short)}."


def stuck(page: Page) -> Iterator[str]:
    """Which arms have many samples that they get wrong and hardly learn from."""
    shares = {page.name(arm["name"]): final_mean(arm, "stuck_share") or 0.0 for arm in page.comparison.arms}
    large = [f"{name} {share:.0%}" for name, share in shares.items() if share > STUCK_FROM]
    if large:
        yield f"Stuck samples (wrong, with a gradient under 1% of that at zero logits): {', '.join(large)}."
