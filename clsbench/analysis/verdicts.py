"""Which arm is better, by which metric, and whether the seeds suffice to say so."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from clsbench.analysis.statistics import LEVEL, PairedDifference, holm, paired_difference, seeds_to_settle
from clsbench.config.verdicts import BETTER, NO_DIFFERENCE, TOO_FEW_SEEDS, WORSE
from clsbench.metrics.measures import direction, judged

Row = dict[str, Any]
Pair = tuple[str, str]

MOST_PAIRS = 500  # up to so many pairs of a run, all are judged

_ROUNDING = 1e-12  # 0.91 - 0.9 is within 0.01


def verdicts(summary: Mapping[str, Any], asked: Collection[Pair] = ()) -> list[Row]:
    """The `verdicts` of a summary: the pairs of `judged_pairs`, by every metric of `judged`.

    A row is `{a, b, metric, difference, low, high, n, p, p_holm, verdict}`, a before b as in the summary's `arms`;
    `difference` is the mean of a - b over the seeds at which both have a number, and the word says what a is. A metric
    that one of them never has, because its loss gives none or all its seeds diverged, gives no row.

    Holm's correction is over all rows: a whole run shows a difference by chance in at most one run of twenty.

    Args:
        summary: its `arms` and `pairing`, as `summary.json` has them.
        asked: pairs to judge in any case.
    """
    arms = {arm["name"]: arm for arm in summary["arms"]}
    rows = [row for a, b in judged_pairs(summary, asked) for row in _rows(arms[a], arms[b])]
    for row, p_holm in zip(rows, holm([row["p"] for row in rows]), strict=True):
        row["p_holm"] = p_holm
        row["verdict"] = verdict(_paired(row), p_holm, row["metric"])
    return rows


def judged_pairs(summary: Mapping[str, Any], asked: Collection[Pair] = ()) -> list[Pair]:
    """The pairs of arms of one comparison that are judged: all of them, where a run has at most `MOST_PAIRS`.

    Beyond that, each arm is judged against the first of its comparison (chosen by the order of the config, not by
    results), and the pairs that are asked for are judged too.

    Returns:
        Each pair once, a before b as in the summary's `arms`, comparison by comparison.
    """
    place = {arm["name"]: number for number, arm in enumerate(summary["arms"])}
    compared = [sorted(entry["arms"], key=place.__getitem__) for entry in summary["pairing"]]
    if num_pairs(summary) <= MOST_PAIRS:
        return [pair for names in compared for pair in itertools.combinations(names, 2)]
    comparison_of = {name: number for number, names in enumerate(compared) for name in names}
    found: list[dict[Pair, None]] = [dict.fromkeys((names[0], other) for other in names[1:]) for names in compared]
    for a, b in asked:
        if comparison_of[a] == comparison_of[b]:
            found[comparison_of[a]][(a, b) if place[a] < place[b] else (b, a)] = None
    return [pair for pairs in found for pair in sorted(pairs, key=lambda pair: (place[pair[0]], place[pair[1]]))]


def judgement(summary: Mapping[str, Any], asked: Collection[Pair] = ()) -> dict[str, Any]:
    """`verdicts` and `pairs` of a summary; `pairs` is `{judged, all}`: so many pairs of arms were judged of so many."""
    judged = len(judged_pairs(summary, asked))
    return {"verdicts": verdicts(summary, asked), "pairs": {"judged": judged, "all": num_pairs(summary)}}


def judged_too(summary: Mapping[str, Any], asked: Collection[Pair]) -> dict[str, Any]:
    """The changes of a summary if further pairs are asked for; empty if they are judged already."""
    judged = {frozenset((row["a"], row["b"])) for row in summary["verdicts"]}
    if num_pairs(summary) <= MOST_PAIRS or all(frozenset(pair) in judged for pair in asked):
        return {}
    return judgement(summary, asked)


def num_pairs(summary: Mapping[str, Any]) -> int:
    """How many pairs of arms a run's comparisons have."""
    return sum(math.comb(len(entry["arms"]), 2) for entry in summary["pairing"])


def verdict(paired: PairedDifference, p_holm: float | None, metric: str) -> str:
    """The verdict on a difference a - b.

    A constant difference has no p, so it is never `better` or `worse`, however large: it shows that the test set is
    coarse or that the seeds change nothing, not that a further seed would agree. Within the tolerance it is
    `no difference`.
    """
    if p_holm is not None and p_holm < LEVEL:
        return BETTER if (paired.difference > 0) == (direction(metric) == "higher") else WORSE
    if paired.low is None or paired.high is None:
        return TOO_FEW_SEEDS
    farthest = max(-paired.low, paired.high)
    return NO_DIFFERENCE if farthest <= tolerance_of(metric) + _ROUNDING else TOO_FEW_SEEDS


def seeds_needed(row: Row, rows: Sequence[Row]) -> int | None:
    """About how many seeds in all would settle a row of `rows` that has too few; None for others, or if unknown."""
    if row["verdict"] != TOO_FEW_SEEDS:
        return None
    num_tests = sum(other["p"] is not None for other in rows)
    return seeds_to_settle(_paired(row), tolerance_of(row["metric"]), num_tests=num_tests)


def seen_from(row: Row, arm: str) -> Row:
    """A row of a pair with `arm`, reversed if necessary so that its verdict is on `arm`."""
    if row["a"] == arm:
        return row
    low, high = (None if end is None else 0.0 - end for end in (row["high"], row["low"]))  # 0.0 - 0.0 has no sign
    turned = {"a": row["b"], "b": row["a"], "difference": 0.0 - row["difference"], "low": low, "high": high}
    return {**row, **turned, "verdict": {BETTER: WORSE, WORSE: BETTER}.get(row["verdict"], row["verdict"])}


def tolerance_of(metric: str) -> float:
    """The negligible difference in the metric's units; 0 for a metric that is not registered here."""
    known = judged().get(metric)
    return 0.0 if known is None or known.tolerance is None else known.tolerance


def _rows(a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Row]:
    for metric in judged():
        ours, theirs = _by_seed(a, metric), _by_seed(b, metric)
        paired = paired_difference(list(ours.values()), [theirs.get(seed) for seed in ours])
        if paired is not None:
            yield {"a": a["name"], "b": b["name"], "metric": metric, **vars(paired)}


def _by_seed(arm: Mapping[str, Any], metric: str) -> dict[int, float | None]:
    values = (arm["metrics"].get(metric) or {}).get("values") or [None] * len(arm["seeds"])
    return dict(zip(arm["seeds"], values, strict=True))


def _paired(row: Row) -> PairedDifference:
    return PairedDifference(*(row[key] for key in ("difference", "low", "high", "n", "p")))
