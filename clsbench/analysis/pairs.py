"""Which pairs of arms are judged, and which verdicts share one correction."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Sequence

from clsbench.results import ArmSummary, Compared, Rules

Pair = tuple[str, str]

MOST_PAIRS = 500  # up to so many pairs of a run, all are judged


def judged_pairs(summary: Compared, asked: Collection[Pair] = (), baseline: str | None = None) -> list[Pair]:
    """The pairs of arms of one comparison that are judged: all of them, where a run has at most `MOST_PAIRS`.

    With a `baseline` (an arm, or a loss by its label), these are the pairs with it, in comparisons that have it. Beyond
    `MOST_PAIRS`, each arm is judged against the first of its comparison (chosen by the order of the config, not by
    results). The pairs that are asked for are judged too.

    Returns:
        Each pair once, a before b as in the summary's `arms`, comparison by comparison.
    """
    arms = {arm["name"]: arm for arm in summary["arms"]}
    place = {name: number for number, name in enumerate(arms)}
    compared = [sorted(entry["arms"], key=place.__getitem__) for entry in summary["pairing"]]
    all_of_them = num_pairs(summary) <= MOST_PAIRS
    found: list[dict[Pair, None]] = []
    for names in compared:
        bases = references([arms[name] for name in names], baseline)
        pairs = itertools.combinations(names, 2)
        everything = all_of_them and not any(is_baseline(arms[name], baseline) for name in names)
        found.append(dict.fromkeys(pair for pair in pairs if everything or bases & set(pair)))
    comparison_of = {name: number for number, names in enumerate(compared) for name in names}
    for a, b in asked:
        if comparison_of[a] == comparison_of[b]:
            found[comparison_of[a]][(a, b) if place[a] < place[b] else (b, a)] = None
    return [pair for pairs in found for pair in sorted(pairs, key=lambda pair: (place[pair[0]], place[pair[1]]))]


def is_baseline(arm: ArmSummary, baseline: str | None) -> bool:
    return baseline is not None and baseline in (arm["name"], arm["label"])


def references(arms: Sequence[ArmSummary], baseline: str | None) -> set[str]:
    """Where not all pairs of a comparison's arms are judged, those that the others are judged against."""
    return {arm["name"] for arm in arms if is_baseline(arm, baseline)} or {arm["name"] for arm in arms[:1]}


def num_pairs(summary: Compared) -> int:
    """How many pairs of arms a run's comparisons have."""
    return sum(math.comb(len(entry["arms"]), 2) for entry in summary["pairing"])


def families(summary: Compared, rows: Sequence[tuple[str, str]], rules: Rules) -> list[tuple[object, ...]]:
    """For each row, an arm and a metric, the family whose verdicts are corrected together."""
    comparison_of = {name: number for number, entry in enumerate(summary["pairing"]) for name in entry["arms"]}
    of: dict[str, tuple[bool, bool]] = {"run": (False, False), "comparison": (True, False), "metric": (True, True)}
    by_comparison, by_metric = of[rules["family"]]
    return [(comparison_of[arm] if by_comparison else None, metric if by_metric else None) for arm, metric in rows]
