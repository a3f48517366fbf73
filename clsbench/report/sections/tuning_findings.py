"""The findings of tuning in sentences: arms that no setting helps, warnings, and the cost."""

from __future__ import annotations

from collections.abc import Iterator

from clsbench.analysis.curves import Comparison
from clsbench.metrics.measures import direction, is_share, label_of
from clsbench.report.document import ArmRef, Paragraph, Text, joined
from clsbench.report.sections.arms import Refs, tabled
from clsbench.report.text import count, count_of_each, duration, first_few
from clsbench.results import ArmTuning, SettingResult, Tuning

FAR_BEHIND = 0.05  # of accuracy: a loss that no setting brings nearer is reported


def findings(comparison: Comparison, refs: Refs, tuned: Tuning) -> Iterator[Paragraph]:
    """Arms that no setting brings near the best, warnings, and the cost of tuning."""
    for text in _far_behind(comparison, refs, tuned):
        yield Paragraph(text)
    for text in (*_diverged(comparison, refs, tuned), *_at_edge(comparison, refs, tuned)):
        yield Paragraph(text, "warning")
    for sentence in (_cost(comparison, tuned), *_held_out(comparison, tuned)):
        yield Paragraph((sentence,))


def tuned_arms(comparison: Comparison, tuned: Tuning) -> dict[str, ArmTuning]:
    """The arms of a comparison that are in tables, as tuning has them, by name."""
    found = {arm["name"]: arm for arm in tuned["arms"]}
    return {arm["name"]: found[arm["name"]] for arm in tabled(comparison) if arm["name"] in found}


def chosen_row(arm: ArmTuning) -> SettingResult:
    """What was measured at the setting that was chosen for an arm."""
    return next(row for row in arm["sensitivity"] if row["settings"] == arm["chosen"])


def setting_value(value: float | str | None) -> str:
    """Three digits, and 10000 rather than 1e+04; a word as it is."""
    if isinstance(value, str):
        return value
    return "null" if value is None else f"{float(f'{value:.3g}'):g}"


def _far_behind(comparison: Comparison, refs: Refs, tuned: Tuning) -> Iterator[Text]:
    """Which arms no setting brings near the best arm's best: a finding that no single setting could show."""
    if not is_share(tuned["metric"]) or direction(tuned["metric"]) != "higher":
        return
    best: dict[str, float] = {}
    for name, arm in tuned_arms(comparison, tuned).items():
        means = [row["mean"] for row in arm["sensitivity"] if row["mean"] is not None and not row["diverged"]]
        if means:
            best[name] = max(means)
    if not best:
        return
    leader = max(best, key=best.__getitem__)
    behind: list[Text] = [
        (refs[name], f" ({mean:.1%})") for name, mean in best.items() if best[leader] - mean >= FAR_BEHIND
    ]
    if behind:
        points = f" within {100 * FAR_BEHIND:.0f} percentage points of "
        end = f" ({best[leader]:.1%}) in {label_of(tuned['metric'])}."
        yield (
            "No setting of the grid brings ",
            *joined(first_few(behind, "more arms"), " or "),
            points,
            refs[leader],
            end,
        )


def _diverged(comparison: Comparison, refs: Refs, tuned: Tuning) -> Iterator[Text]:
    by_number: dict[int, list[ArmRef]] = {}
    for name, arm in tuned_arms(comparison, tuned).items():
        by_number.setdefault(chosen_row(arm)["diverged"], []).append(refs[name])
    in_all = count(len(tuned["seeds"]), "tuning seed")
    for lost, arms in by_number.items():
        if lost:
            named = joined(first_few(arms, "more arms"))
            yield ("even at the setting chosen for ", *named, f", {lost} of {in_all} diverged.")


def _at_edge(comparison: Comparison, refs: Refs, tuned: Tuning) -> Iterator[Text]:
    places: dict[tuple[str, float | str | None], list[ArmRef]] = {}
    for name, arm in tuned_arms(comparison, tuned).items():
        for key in arm["at_edge"]:
            places.setdefault((key, arm["chosen"][key]), []).append(refs[name])
    for (key, value), arms in places.items():
        end = f" is at the edge of the grid ({setting_value(value)}): a better one may be outside."
        yield (f"the best {key} for ", *joined(first_few(arms, "more arms")), end)


def _cost(comparison: Comparison, tuned: Tuning) -> str:
    seeds = tuned["seeds"]
    of_each = count_of_each([len(arm["sensitivity"]) for arm in tuned["arms"]], "setting")
    return (
        f"Tuning cost {count(tuned['trials'], 'trial')} ({count(len(tuned['arms']), 'arm')} x "
        f"{of_each} x {count(len(seeds), 'seed')}, from {seeds[0]}) and "
        f"{duration(tuned['seconds'])} of training{'; no test data were used' if _is_blind(comparison, tuned) else ''}."
    )


def _is_blind(comparison: Comparison, tuned: Tuning) -> bool:
    """Whether tuning used no sample that is tested."""
    # An older run, which held nothing out, may have tuned on what it tested at another seed.
    return bool(tuned["data"]) or not comparison.tests_vary


def _held_out(comparison: Comparison, tuned: Tuning) -> Iterator[str]:
    """What was left to tune on, where every seed tests other samples of one set."""
    data = (tuned["data"] or {}).get(comparison.dataset)
    if data and data["held_out"]:
        yield (
            f"Every seed has a test set of its own: {count(data['held_out'], 'sample')} that some seed tests were held "
            f"out, and tuning trained on {data['train']:,} and validated on {data['val']:,}."
        )
