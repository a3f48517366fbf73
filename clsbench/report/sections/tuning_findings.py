"""The findings of tuning in sentences: arms that no setting helps, warnings, and the cost."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from clsbench.analysis.curves import Comparison
from clsbench.analysis.summary import over_seeds
from clsbench.config.extension import merged_axes
from clsbench.metrics.measures import direction, is_share, label_of
from clsbench.report.document import ArmRef, Paragraph, Text, joined, listed
from clsbench.report.sections.arms import Refs, tabled
from clsbench.report.text import (
    count,
    count_of_each,
    duration,
    first_few,
    percent,
    setting_value,
    setting_values,
    size_of_setting,
    tuning_seeds,
)
from clsbench.results import ArmTuning, SeedChoice, SettingResult, Settings, Statistic, Tuning

FAR_BEHIND = 0.05  # of accuracy: a loss that no setting brings nearer is reported


def findings(comparison: Comparison, refs: Refs, tuned: Tuning) -> Iterator[Paragraph]:
    """Arms that no setting brings near the best, warnings, and the cost of tuning."""
    for text in (*_far_behind(comparison, refs, tuned), *_extended(comparison, refs, tuned)):
        yield Paragraph(text)
    for text in (*_diverged(comparison, refs, tuned), *_at_edge(comparison, refs, tuned)):
        yield Paragraph(text, "warning")
    for sentence in (_cost(comparison, tuned), *_held_out(comparison, tuned)):
        yield Paragraph((sentence,))


def tuned_arms(comparison: Comparison, tuned: Tuning) -> dict[str, ArmTuning]:
    """The arms of a comparison that are in tables, as tuning has them, by name."""
    found = {arm["name"]: arm for arm in tuned["arms"]}
    return {arm["name"]: found[arm["name"]] for arm in tabled(comparison) if arm["name"] in found}


def is_per_seed(tuned: Tuning) -> bool:
    """Whether each seed was tuned by itself."""
    return any(arm["by_seed"] is not None for arm in tuned["arms"])


def seeds_of(tuned: Tuning) -> str:
    """`3 tuning seeds`, or `20 seeds x 3 tuning seeds`."""
    by_seed = tuned["arms"][0]["by_seed"]
    if by_seed is None:
        return tuning_seeds(len(tuned["seeds"]))
    return tuning_seeds(len(tuned["seeds"]) // len(by_seed), len(by_seed))


def choices(arm: ArmTuning) -> list[SeedChoice]:
    """What was chosen for an arm: at each seed, or once for all, as if at seed 0."""
    if arm["by_seed"] is not None:
        return arm["by_seed"]
    row = next(row for row in arm["sensitivity"] if row["settings"] == arm["chosen"])
    return [
        {
            "seed": 0,
            "chosen": row["settings"],
            "at_edge": arm["at_edge"],
            "extended": arm["extended"],
            "mean": row["mean"],
            "diverged": row["diverged"],
        }
    ]


def at_chosen(arm: ArmTuning) -> Statistic:
    """What was measured at the setting chosen for an arm, by tuning seed; at those chosen by seed, by seed."""
    if arm["by_seed"] is None:
        return next(row for row in arm["sensitivity"] if row["settings"] == arm["chosen"])
    return over_seeds([each["mean"] for each in arm["by_seed"]])


def spans_of(arm: ArmTuning) -> dict[str, str]:
    """The value of each key that was chosen for an arm, or what the values at different seeds span."""
    columns = {key: [each["chosen"][key] for each in choices(arm)] for key in choices(arm)[0]["chosen"]}
    return {key: _span(dict.fromkeys(values)) for key, values in columns.items()}


def _span(values: Collection[float | str | None]) -> str:
    numbers = [value for value in values if isinstance(value, int | float)]
    if 1 < len(numbers) == len(values):
        return f"{setting_value(min(numbers))} to {setting_value(max(numbers))}"
    return " or ".join(map(setting_value, values))


def values_of(comparison: Comparison, tuned: Tuning, key: str) -> list[float | str | None]:
    """The values that arms of a comparison tried of a key: in the grid's order, or by size where it was extended."""
    asked = tuned["grid"][key]
    new = merged_axes(arm["extended"] or {} for arm in tuned_arms(comparison, tuned).values()).get(key, [])
    return sorted([*asked, *new], key=size_of_setting) if new else asked


def _extended(comparison: Comparison, refs: Refs, tuned: Tuning) -> Iterator[Text]:
    """Which values beyond the edges of the grid were tried: by all arms, or, of several runs, by those of each."""
    arms = tuned_arms(comparison, tuned)
    new = merged_axes(arm["extended"] or {} for arm in arms.values())
    if not new:
        return
    if all(_are_alike(arms.values(), key) for key in new):
        seeds = {each["seed"] for arm in arms.values() for each in arm["by_seed"] or () if each["extended"]}
        of_all = max(len(arm["by_seed"] or ()) for arm in arms.values())
        where = f" at {len(seeds)} of {count(of_all, 'seed')}" if seeds else ""
        yield (f"The grid was extended beyond an edge{where}, for all arms alike: {setting_values(new)}.",)
        return
    by_values: dict[str, list[ArmRef]] = {}
    for name, arm in arms.items():
        by_values.setdefault(setting_values(arm["extended"] or {}) or "nothing", []).append(refs[name])
    each = [(f"{told} for ", *listed(first_few(named, "more arms"))) for told, named in by_values.items()]
    yield ("The grid was extended beyond an edge, in each run by itself: ", *joined(each, "; "), ".")


def _are_alike(arms: Iterable[ArmTuning], key: str) -> bool:
    """Whether all arms that have a key tried the same new values of it."""
    values = [set((arm["extended"] or {}).get(key, ())) for arm in arms if tries(arm, key)]
    return all(each == values[0] for each in values)


def tries(arm: ArmTuning, key: str) -> bool:
    """Whether a key is among the settings that the arm tried: a loss may lack an option."""
    return any(key in row["settings"] for row in arm["sensitivity"])


def _far_behind(comparison: Comparison, refs: Refs, tuned: Tuning) -> Iterator[Text]:
    """Which arms no setting brings near the best arm's best: a finding that no single setting could show."""
    if not is_share(tuned["metric"]) or direction(tuned["metric"]) != "higher":
        return
    best: dict[str, float] = {}
    for name, arm in tuned_arms(comparison, tuned).items():
        rows = [at_chosen(arm)] if arm["by_seed"] else [row for row in arm["sensitivity"] if not row["diverged"]]
        means = [row["mean"] for row in rows if row["mean"] is not None]
        if means:
            best[name] = max(means)
    if not best:
        return
    leader = max(best, key=best.__getitem__)
    behind: list[Text] = [
        (refs[name], f" ({percent(mean)})") for name, mean in best.items() if best[leader] - mean >= FAR_BEHIND
    ]
    if behind:
        points = f" within {100 * FAR_BEHIND:.0f} percentage points of "
        end = f" ({percent(best[leader])}) in {label_of(tuned['metric'])}."
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
        by_number.setdefault(sum(each["diverged"] for each in choices(arm)), []).append(refs[name])
    in_all = count(len(tuned["seeds"]), "tuning seed")
    where = "the settings" if is_per_seed(tuned) else "the setting"
    for lost, arms in by_number.items():
        if lost:
            named = joined(first_few(arms, "more arms"))
            yield (f"even at {where} chosen for ", *named, f", {lost} of {in_all} diverged.")


def _at_edge(comparison: Comparison, refs: Refs, tuned: Tuning) -> Iterator[Text]:
    places: dict[tuple[str, str, bool], list[ArmRef]] = {}
    for name, arm in tuned_arms(comparison, tuned).items():
        for key in arm["at_edge"]:
            places.setdefault((key, _edge(arm, key), arm["extended"] is not None), []).append(refs[name])
    for (key, edge, extends), arms in places.items():
        named = joined(first_few(arms, "more arms"))
        ended = "extending ended there, at its budget or a bound"
        hint = ended if extends else "tune.extend=true tries values beyond it"
        yield (f"the best {key} for ", *named, f" is at {edge}: a better one may be outside; {hint}.")


def _edge(arm: ArmTuning, key: str) -> str:
    if (by_seed := arm["by_seed"]) is None:
        return f"the edge of the grid ({spans_of(arm)[key]})"
    times = sum(key in each["at_edge"] for each in by_seed)
    return f"an edge of the grid at {times} of {count(len(by_seed), 'seed')}"


def _cost(comparison: Comparison, tuned: Tuning) -> str:
    asked = [sum(_is_asked(row["settings"], tuned) for row in arm["sensitivity"]) for arm in tuned["arms"]]
    rows = [row for arm in tuned["arms"] for row in arm["sensitivity"] if not _is_asked(row["settings"], tuned)]
    beyond = sum(map(num_tried, rows))
    extra = f", and {count(beyond, 'trial')} beyond the edges" if rows else ""
    return (
        f"Tuning cost {count(tuned['trials'], 'trial')} ({count(len(tuned['arms']), 'arm')} x "
        f"{count_of_each(asked, 'setting')} x {seeds_of(tuned)}, from {tuned['seeds'][0]}{extra}) and "
        f"{duration(tuned['seconds'])} of training{_blindness(comparison, tuned)}."
    )


def num_tried(row: SettingResult) -> int:
    """How many tuning seeds tried a setting."""
    return row["n"] + row["diverged"]


def _is_asked(settings: Settings, tuned: Tuning) -> bool:
    return all(value in tuned["grid"][key] for key, value in settings.items())


def _blindness(comparison: Comparison, tuned: Tuning) -> str:
    """What tuning did not see; nothing is said of an older run, which may have tuned on what another seed tests."""
    if is_per_seed(tuned) and comparison.tests_vary:
        return "; each seed was tuned inside its own split, without its test data"
    return "; no test data were used" if tuned["data"] or not comparison.tests_vary else ""


def _held_out(comparison: Comparison, tuned: Tuning) -> Iterator[str]:
    """What was left to tune on, where every seed tests other samples of one set."""
    data = (tuned["data"] or {}).get(comparison.dataset)
    if data and data["held_out"]:
        yield (
            f"Every seed has a test set of its own: {count(data['held_out'], 'sample')} that some seed tests were held "
            f"out, and tuning trained on {data['train']:,} and validated on {data['val']:,}."
        )
