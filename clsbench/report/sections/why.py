"""Why a comparison ended as it did, in a sentence: what the gradients and the curves show, not a guess."""

from __future__ import annotations

from collections.abc import Iterator

from clsbench.analysis.curves import STUCK_FROM, Comparison, final_mean, ranked
from clsbench.analysis.targets import NEAR_BEST, times_to_target
from clsbench.metrics.diagnostics import STUCK_SHARE
from clsbench.metrics.measures import OBJECTIVE, label_of
from clsbench.report.document import Text, joined, listed
from clsbench.report.sections.arms import Refs
from clsbench.report.sections.outcome import diverged_at_once
from clsbench.report.text import count, first_few, number
from clsbench.results import ArmSummary


def why(comparison: Comparison, refs: Refs, *, speeds: bool = True) -> Text | None:
    """The first reason that applies: a plateau, divergence, speed, or that nothing is stuck; None without any.

    Without `speeds` it leaves out how soon each arm came near the best one, where a table beside it has that.
    """
    return next(_reasons(comparison, refs, speeds), None)


def _reasons(comparison: Comparison, refs: Refs, speeds: bool) -> Iterator[Text]:
    shares = {arm["name"]: share for arm in comparison.arms if (share := final_mean(arm, STUCK_SHARE)) is not None}
    stuck = sorted((name for name, share in shares.items() if share > STUCK_FROM), key=lambda name: -shares[name])
    if len(stuck) == 1:
        yield _plateau(comparison, refs, stuck[0], shares[stuck[0]])
    elif stuck:
        named: list[Text] = [(refs[name], f" {shares[name]:.0%}") for name in stuck]
        arms = listed(first_few(named, "more arms"))
        yield ("Plateaus, where the loss is large but the gradient almost zero: samples wrong and stuck ", *arms, ".")
    yield from diverged_at_once(comparison, refs)
    yield from _diverged(comparison, refs)
    told = "No sample is stuck: what is wrong keeps its gradient." if shares and not any(shares.values()) else ""
    if speeds:
        yield from _slower(comparison, refs, told)
    if told:
        yield (told,)


def _plateau(comparison: Comparison, refs: Refs, name: str, share: float) -> Text:
    loss = comparison.curve(name, OBJECTIVE).mean
    large = f"where the loss is large{f' ({number(loss[-1])} at the end)' if loss else ''} and almost nothing moves"
    return (refs[name], f" lies on a plateau, {large}: {share:.0%} of the samples are wrong with almost no gradient.")


def _diverged(comparison: Comparison, refs: Refs) -> Iterator[Text]:
    lost = [arm for arm in comparison.arms if arm["diverged"]]
    if lost:
        named: list[Text] = [
            (refs[arm["name"]], f" at {arm['diverged']} of {count(len(arm['seeds']), 'seed')}") for arm in lost
        ]
        yield ("Diverged: ", *joined(first_few(named, "more arms")), ". A lower lr may help.")


def _slower(comparison: Comparison, refs: Refs, told: str) -> Iterator[Text]:
    """How soon the arms came near the best one, where that differs, after what is `told`."""
    reached = times_to_target(comparison)
    medians = {name: each.times.median for name, each in reached.items()}
    order: list[ArmSummary] = ranked(comparison)
    if len(order) > 1 and len(set(medians.values())) > 1:
        within = f"{NEAR_BEST:.0%} of the best {label_of(comparison.headline)}"
        named: list[Text] = [(refs[arm["name"]], f" {_epochs(medians.get(arm['name']))}") for arm in order]
        yield (f"{told} Epochs to {within}: ".lstrip(), *joined(first_few(named, "more arms")), ".")


def _epochs(median: float | None) -> str:
    return "not reached" if median is None else f"{median:g}"
