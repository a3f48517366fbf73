"""Which arm is better, by which metric, and whether the seeds suffice to say so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from clsbench.analysis.classes import classes_of, is_skewed, problem_of
from clsbench.analysis.failures import failed_seeds, more_failures
from clsbench.analysis.pairs import MOST_PAIRS, Pair, families, judged_pairs, num_pairs
from clsbench.analysis.statistics import LEVEL, PairedDifference, holm, paired_difference, seeds_to_settle
from clsbench.analysis.test_set import SampleSpread, Spreads, over_test_set, unknown
from clsbench.metrics.measures import SCALED, direction, judged, margin_of, scaled_field
from clsbench.results import ArmSummary, Compared, Judged, Pairs, Rules, ScaledVerdict, Verdict
from clsbench.results.verdicts import BETTER, EQUIVALENT, FAILURES, REVERSED, UNDECIDED, WORSE, OverTestSet

_ROUNDING = 1e-12  # 0.91 - 0.9 is within 0.01


def verdicts(
    summary: Compared,
    rules: Rules,
    asked: Collection[Pair] = (),
    metrics: Collection[str] = (),
    spreads: Spreads = unknown,
) -> list[Verdict]:
    """The `verdicts` of a summary: the pairs of `judged_pairs`, by every metric of `judged`, and by failed seeds.

    A metric for skewed classes judges only where they are, or where it is among the `metrics` that are asked for.

    A row's `difference` is the mean of a - b over the seeds at which both have a number, a before b as in the summary's
    `arms`, and the word says what a is. A metric that one of them never has, because its loss gives none or all its
    seeds diverged, gives no row; where either arm failed at a seed, a row `failures` compares their shares of them.

    Holm's correction is over the rows of one family: its verdicts show a difference by chance in at most one of twenty.
    The intervals of a family cover all their differences in nineteen of twenty (Bonferroni's correction).

    A row's `scaled` judges the same pair by the metric after temperature scaling, by the same margin. These verdicts
    are corrected among themselves, so that they change no row.

    Args:
        summary: its `arms`, `pairing` and `data`, as `summary.json` has them.
        rules: the margins, the family of a correction, and the baseline.
        asked: pairs to judge in any case.
        metrics: metrics to judge by in any case.
        spreads: of the differences over test samples.
    """
    arms = {arm["name"]: arm for arm in summary["arms"]}

    def metrics_for(arm: str) -> list[str]:
        dataset = arms[arm].get("dataset", "")
        skewed, of_problem = is_skewed(classes_of(summary, dataset)), judged(problem_of(summary, dataset))
        return [name for name, each in of_problem.items() if skewed or not each.skewed or name in metrics]

    failed = {name: failed_seeds(arm, summary.get("data")) for name, arm in arms.items()}
    found = [
        difference
        for a, b in judged_pairs(summary, asked, rules["baseline"])
        for difference in _differences(arms[a], arms[b], metrics_for(a), failed)
    ]
    rescaled = [scaled for each in found if (scaled := _rescaled(arms[each.a], arms[each.b], each.metric)) is not None]
    after = {(row["a"], row["b"], row["metric"]): _scaled(row) for row in _rows(summary, rescaled, rules, unknown)}
    return [
        {**row, "scaled": after.get((row["a"], row["b"], f"{row['metric']}{SCALED}"))}
        for row in _rows(summary, found, rules, spreads)
    ]


def judgement(
    compared: Compared,
    rules: Rules,
    asked: Collection[Pair] = (),
    metrics: Collection[str] = (),
    spreads: Spreads = unknown,
) -> Judged:
    """The same with `verdicts`, their `rules`, and `pairs`: so many pairs were `judged`, of so many in `all`."""
    pairs: Pairs = {
        "judged": len(judged_pairs(compared, asked, rules["baseline"])),
        "all": num_pairs(compared),
    }
    found = verdicts(compared, rules, asked, metrics, spreads)
    return {**compared, "rules": rules, "pairs": pairs, "verdicts": found}


def are_judged(summary: Judged, rules: Rules, asked: Collection[Pair], metrics: Collection[str]) -> bool:
    """Whether these rules, pairs and metrics need no further verdicts."""
    known = {frozenset((row["a"], row["b"])) for row in summary["verdicts"]}
    has_pairs = (rules["baseline"] is None and num_pairs(summary) <= MOST_PAIRS) or all(
        frozenset(pair) in known for pair in asked
    )
    has_metrics = {row["metric"] for row in summary["verdicts"]} >= set(metrics)
    return summary["rules"] == rules and has_pairs and has_metrics


def verdict(paired: PairedDifference, p_holm: float | None, metric: str, margin: float, level: float = LEVEL) -> str:
    """The verdict on a difference a - b: a difference that chance explains badly, one within the margin, or neither.

    Args:
        paired: the difference over seeds.
        p_holm: its p-value, corrected.
        metric: the field of a record; it knows which direction is better.
        margin: the largest negligible difference, in the metric's units.
        level: the chance that its interval misses the true difference.
    """
    if p_holm is not None and p_holm < LEVEL:
        return BETTER if (paired.difference > 0) == (_direction(metric) == "higher") else WORSE
    return EQUIVALENT if _is_within(paired, margin, level) else UNDECIDED


def seen_from(row: Verdict, arm: str) -> Verdict:
    """A row of a pair with `arm`, reversed if necessary so that its verdict is on `arm`."""
    if row["a"] == arm:
        return row
    scaled, of_samples = row["scaled"], row["test_set"]
    turned = {
        **_turned(row),
        "scaled": None if scaled is None else {**scaled, **_turned(scaled)},
        "test_set": None if of_samples is None else {**of_samples, **_turned_ends(of_samples)},
    }
    return cast(Verdict, {**row, **turned, "a": row["b"], "b": row["a"]})


def _turned(row: Verdict | ScaledVerdict) -> dict[str, Any]:
    """The difference of b - a, and the verdict on b."""
    return {"difference": 0.0 - row["difference"], **_turned_ends(row), "verdict": REVERSED[row["verdict"]]}


def _turned_ends(row: Verdict | ScaledVerdict | OverTestSet) -> dict[str, float | None]:
    low, high = (None if end is None else 0.0 - end for end in (row["high"], row["low"]))  # 0.0 - 0.0 has no sign
    return {"low": low, "high": high}


@dataclass(frozen=True)
class _Difference:
    """A pair of arms by one metric; `lossy` is the one of them that has no number at more seeds than the other."""

    a: str
    b: str
    metric: str
    paired: PairedDifference
    lossy: str | None = None


def _differences(
    a: ArmSummary, b: ArmSummary, metrics: Iterable[str], failed: dict[str, dict[int, float]]
) -> Iterator[_Difference]:
    yield from filter(None, (_difference(a, b, metric) for metric in metrics))
    paired = more_failures(failed[a["name"]], failed[b["name"]])
    if paired is not None:
        yield _Difference(a["name"], b["name"], FAILURES, paired)


def _difference(a: ArmSummary, b: ArmSummary, metric: str) -> _Difference | None:
    """The two arms by a metric; None if they have no seed at which both have a number."""
    theirs = set(b["seeds"])
    seeds = [seed for seed in a["seeds"] if seed in theirs]  # arms of two runs may have others too
    columns = [[values[seed] for seed in seeds] for values in (_by_seed(a, metric), _by_seed(b, metric))]
    paired = paired_difference(*columns)
    if paired is None:
        return None
    lost = [column.count(None) for column in columns]
    lossy = None if lost[0] == lost[1] else a["name"] if lost[0] > lost[1] else b["name"]
    return _Difference(a["name"], b["name"], metric, paired, lossy)


def _rescaled(a: ArmSummary, b: ArmSummary, metric: str) -> _Difference | None:
    """The two arms by a metric after temperature scaling; None if it has none."""
    scaled = scaled_field(metric)
    return None if scaled is None else _difference(a, b, scaled)


def _rows(summary: Compared, found: list[_Difference], rules: Rules, spreads: Spreads) -> Iterator[Verdict]:
    """The rows of a summary: the differences with the correction of their families."""
    family = families(summary, [(each.a, each.metric) for each in found], rules)
    corrected: list[float | None] = [None] * len(found)
    for one in dict.fromkeys(family):
        places = [place for place, of in enumerate(family) if of == one]
        for place, p in zip(places, holm([found[place].paired.p for place in places]), strict=True):
            corrected[place] = p
    tests = Counter(of for of, each in zip(family, found, strict=True) if each.paired.p is not None)
    for each, p_holm, of in zip(found, corrected, family, strict=True):
        spread = spreads(each.a, each.b, each.metric)
        yield _row(each, p_holm, max(1, tests[of]), _margin(each.metric, rules), spread)


def _row(
    each: _Difference, p_holm: float | None, num_tests: int, margin: float, spread: SampleSpread | None
) -> Verdict:
    level = LEVEL / num_tests
    low, high = each.paired.interval(level) or (None, None)
    if each.metric == FAILURES and low is not None and high is not None:
        low, high = max(low, -1.0), min(high, 1.0)  # a difference of shares
    word = verdict(each.paired, p_holm, each.metric, margin, level)
    if each.lossy is not None and word != (WORSE if each.lossy == each.a else BETTER):
        word = UNDECIDED  # the seeds that are left speak for the arm that lost more
    needed = seeds_to_settle(each.paired, margin, num_tests=num_tests) if each.lossy is None else None
    return {
        "a": each.a,
        "b": each.b,
        "metric": each.metric,
        "difference": each.paired.difference,
        "low": low,
        "high": high,
        "n": each.paired.n,
        "p": each.paired.p,
        "p_holm": p_holm,
        "p_flip": each.paired.p_flip,
        "verdict": word,
        "negligible": word in (BETTER, WORSE) and _is_within(each.paired, margin, level),
        "seeds_needed": needed if word == UNDECIDED else None,
        "scaled": None,
        "test_set": over_test_set(each.paired.difference, spread, level),
    }


def _scaled(row: Verdict) -> ScaledVerdict:
    return {
        "difference": row["difference"],
        "low": row["low"],
        "high": row["high"],
        "p_holm": row["p_holm"],
        "verdict": row["verdict"],
    }


def _is_within(paired: PairedDifference, margin: float, level: float) -> bool:
    interval = paired.interval(level)
    return interval is not None and max(-interval[0], interval[1]) <= margin + _ROUNDING


def _margin(metric: str, rules: Rules) -> float:
    """The negligible difference in the metric's units: that of the rules, else the metric's own; 0 for failures.

    Temperature scaling leaves it as it is.
    """
    unscaled = metric.removesuffix(SCALED)
    return rules["margin"].get(unscaled.removeprefix("test_"), margin_of(unscaled))


def _direction(metric: str) -> str | None:
    return "lower" if metric == FAILURES else direction(metric)


def _by_seed(arm: ArmSummary, metric: str) -> dict[int, float | None]:
    statistic = arm["metrics"].get(metric)
    values: list[float | None] = [None] * len(arm["seeds"]) if statistic is None else statistic["values"]
    return dict(zip(arm["seeds"], values, strict=True))
