"""Why a comparison ended as it did, in a sentence: what the gradients and the curves show, not a guess."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from clsbench.analysis.curves import STUCK_FROM, Comparison, final_mean, ranked
from clsbench.analysis.targets import NEAR_BEST, times_to_target
from clsbench.metrics.diagnostics import STUCK_SHARE
from clsbench.metrics.measures import OBJECTIVE, label_of
from clsbench.report.document import Mark, Text, joined, listed
from clsbench.report.sections.answer import verdicts_on
from clsbench.report.sections.arms import Refs
from clsbench.report.sections.outcome import diverged_at_once
from clsbench.report.text import count, first_few, number
from clsbench.results import ArmSummary, Summary
from clsbench.results.verdicts import BETTER


def why(comparison: Comparison, refs: Refs, summary: Summary, *, speeds: bool = True) -> Text | None:
    """The first reason that applies: a plateau, divergence, speed, or that nothing is stuck; None without any.

    It begins with what it explains: the outcome, or that no arm is better.
    Without `speeds` it leaves out how soon each arm came near the best one, where a table beside it has that.
    """
    shares = {arm["name"]: share for arm in comparison.arms if (share := final_mean(arm, STUCK_SHARE)) is not None}
    if reason := next(_faults(comparison, refs, shares), None):
        return ("Why: ", *reason)
    told = ""
    if shares and not any(shares.values()):
        in_metric = f"Why no clear difference in {label_of(comparison.headline)}: no"
        question = in_metric if _is_open(comparison, summary) else "Why: No"
        told = f"{question} sample is stuck; what is wrong keeps its gradient."
    slower = _slower(comparison, refs) if speeds else ()
    if slower:
        return (f"{told or 'Why:'} ", *slower)
    return (told,) if told else None


def _is_open(comparison: Comparison, summary: Summary) -> bool:
    """Whether there are verdicts on the headline metric, and none says that an arm is better."""
    best = next((arm["name"] for arm in ranked(comparison)), None)
    words = [] if best is None else [row["verdict"] for row in verdicts_on(best, comparison, summary)]
    return bool(words) and BETTER not in words


def _faults(comparison: Comparison, refs: Refs, shares: Mapping[str, float]) -> Iterator[Text]:
    """What went wrong in training: plateaus, by the `shares` of stuck samples, and divergence."""
    stuck = sorted((name for name, share in shares.items() if share > STUCK_FROM), key=lambda name: -shares[name])
    free: list[Text] = [(Mark(refs[name]),) for name, share in shares.items() if not share]
    under = listed(first_few(free, "more arms"))
    rest: Text = (" Under ", *under, " what is wrong keeps its gradient.") if free else ()
    if len(stuck) == 1:
        yield (*_plateau(comparison, refs, stuck[0], shares[stuck[0]]), *rest)
    elif stuck:
        named: list[Text] = [(refs[name], f" {shares[name]:.0%}") for name in stuck]
        arms = listed(first_few(named, "more arms"))
        lead = "Plateaus, where the loss is large but the gradient almost zero: samples wrong and stuck "
        yield (lead, *arms, ".", *rest)
    yield from diverged_at_once(comparison, refs)
    yield from _diverged(comparison, refs)


def _plateau(comparison: Comparison, refs: Refs, name: str, share: float) -> Text:
    loss = comparison.curve(name, OBJECTIVE).mean
    large = f"large ({number(loss[0])}, in the end {number(loss[-1])})" if loss else "large"
    samples = "validation samples" if any(each["val"] for each in comparison.classes) else "samples"
    own = next(len(arm["seeds"]) for arm in comparison.arms if arm["name"] == name)
    seeds = f" (mean of {own} seeds)" if own > 1 else ""
    found = f"{share:.0%} of the {samples}{seeds} are stuck: wrong, with almost no gradient."
    return (refs[name], f" lies on a plateau: the loss stays {large} but is almost flat. {found}")


def _diverged(comparison: Comparison, refs: Refs) -> Iterator[Text]:
    lost = [arm for arm in comparison.arms if arm["diverged"]]
    if lost:
        named: list[Text] = [
            (refs[arm["name"]], f" at {arm['diverged']} of {count(len(arm['seeds']), 'seed')}") for arm in lost
        ]
        yield ("Diverged: ", *joined(first_few(named, "more arms")), ". A lower lr may help.")


def _slower(comparison: Comparison, refs: Refs) -> Text:
    """How soon the arms came near the best one; empty where that does not differ."""
    reached = times_to_target(comparison)
    medians = {name: each.times.median for name, each in reached.items()}
    order: list[ArmSummary] = ranked(comparison)
    if len(order) < 2 or len(set(medians.values())) < 2:
        return ()
    within = f"{NEAR_BEST:.0%} of the best {label_of(comparison.headline)}"
    named: list[Text] = [(refs[arm["name"]], f" {_epochs(medians.get(arm['name']))}") for arm in order]
    return (f"Epochs to {within}: ", *joined(first_few(named, "more arms")), ".")


def _epochs(median: float | None) -> str:
    return "not reached" if median is None else f"{median:g}"
