"""Which arm is better, by which metric, and whether the seeds suffice to say so."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Sequence

from clsbench.analysis.classes import classes_of, is_skewed
from clsbench.analysis.statistics import LEVEL, PairedDifference, holm, paired_difference, seeds_to_settle
from clsbench.config.verdicts import BETTER, NO_DIFFERENCE, TOO_FEW_SEEDS, WORSE
from clsbench.metrics.measures import direction, judged
from clsbench.results import ArmSummary, Compared, Judged, Pairs, Verdict

Pair = tuple[str, str]

MOST_PAIRS = 500  # up to so many pairs of a run, all are judged

_ROUNDING = 1e-12  # 0.91 - 0.9 is within 0.01


def verdicts(summary: Compared, asked: Collection[Pair] = (), metrics: Collection[str] = ()) -> list[Verdict]:
    """The `verdicts` of a summary: the pairs of `judged_pairs`, by every metric of `judged`.

    A metric for skewed classes judges only where they are, or where it is among the `metrics` that are asked for.

    A row is `{a, b, metric, difference, low, high, n, p, p_holm, verdict}`, a before b as in the summary's `arms`;
    `difference` is the mean of a - b over the seeds at which both have a number, and the word says what a is. A metric
    that one of them never has, because its loss gives none or all its seeds diverged, gives no row.

    Holm's correction is over all rows: a whole run shows a difference by chance in at most one run of twenty.

    Args:
        summary: its `arms`, `pairing` and `data`, as `summary.json` has them.
        asked: pairs to judge in any case.
        metrics: metrics to judge by in any case.
    """
    arms = {arm["name"]: arm for arm in summary["arms"]}

    def metrics_for(arm: str) -> list[str]:
        skewed = is_skewed(classes_of(summary, arms[arm].get("dataset", "")))
        return [name for name, each in judged().items() if skewed or not each.skewed or name in metrics]

    pairs = judged_pairs(summary, asked)
    found = [row for a, b in pairs for row in _differences(arms[a], arms[b], metrics_for(a))]
    corrected = holm([paired.p for *_, paired in found])
    return [
        {
            "a": a,
            "b": b,
            "metric": metric,
            "difference": paired.difference,
            "low": paired.low,
            "high": paired.high,
            "n": paired.n,
            "p": paired.p,
            "p_holm": p_holm,
            "verdict": verdict(paired, p_holm, metric),
        }
        for (a, b, metric, paired), p_holm in zip(found, corrected, strict=True)
    ]


def judged_pairs(summary: Compared, asked: Collection[Pair] = ()) -> list[Pair]:
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


def judgement(compared: Compared, asked: Collection[Pair] = (), metrics: Collection[str] = ()) -> Judged:
    """The same with `verdicts` and `pairs`: so many pairs were `judged`, of so many in `all`."""
    pairs: Pairs = {"judged": len(judged_pairs(compared, asked)), "all": num_pairs(compared)}
    return {**compared, "pairs": pairs, "verdicts": verdicts(compared, asked, metrics)}


def are_judged(summary: Judged, asked: Collection[Pair], metrics: Collection[str]) -> bool:
    """Whether the pairs and metrics that are asked for need no further verdicts."""
    known = {frozenset((row["a"], row["b"])) for row in summary["verdicts"]}
    has_pairs = num_pairs(summary) <= MOST_PAIRS or all(frozenset(pair) in known for pair in asked)
    return has_pairs and {row["metric"] for row in summary["verdicts"]} >= set(metrics)


def num_pairs(summary: Compared) -> int:
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


def seeds_needed(row: Verdict, rows: Sequence[Verdict]) -> int | None:
    """About how many seeds in all would settle a row of `rows` that has too few; None for others, or if unknown."""
    if row["verdict"] != TOO_FEW_SEEDS:
        return None
    num_tests = sum(other["p"] is not None for other in rows)
    return seeds_to_settle(_paired(row), tolerance_of(row["metric"]), num_tests=num_tests)


def seen_from(row: Verdict, arm: str) -> Verdict:
    """A row of a pair with `arm`, reversed if necessary so that its verdict is on `arm`."""
    if row["a"] == arm:
        return row
    low, high = (None if end is None else 0.0 - end for end in (row["high"], row["low"]))  # 0.0 - 0.0 has no sign
    return {
        **row,
        "a": row["b"],
        "b": row["a"],
        "difference": 0.0 - row["difference"],
        "low": low,
        "high": high,
        "verdict": {BETTER: WORSE, WORSE: BETTER}.get(row["verdict"], row["verdict"]),
    }


def tolerance_of(metric: str) -> float:
    """The negligible difference in the metric's units; 0 for a metric that is not registered here."""
    known = judged().get(metric)
    return 0.0 if known is None or known.tolerance is None else known.tolerance


def _differences(
    a: ArmSummary, b: ArmSummary, metrics: Iterable[str]
) -> Iterator[tuple[str, str, str, PairedDifference]]:
    for metric in metrics:
        ours, theirs = _by_seed(a, metric), _by_seed(b, metric)
        paired = paired_difference(list(ours.values()), [theirs.get(seed) for seed in ours])
        if paired is not None:
            yield a["name"], b["name"], metric, paired


def _by_seed(arm: ArmSummary, metric: str) -> dict[int, float | None]:
    statistic = arm["metrics"].get(metric)
    values: list[float | None] = [None] * len(arm["seeds"]) if statistic is None else statistic["values"]
    return dict(zip(arm["seeds"], values, strict=True))


def _paired(row: Verdict) -> PairedDifference:
    return PairedDifference(row["difference"], row["low"], row["high"], row["n"], row["p"])
