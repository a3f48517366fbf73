"""The seeds at which an arm failed: it diverged, raised, or ended below the majority class."""

from __future__ import annotations

from collections.abc import Mapping
from math import comb

from clsbench.analysis.statistics import PairedDifference, paired_difference
from clsbench.metrics.measures import headline
from clsbench.problems import kind_of
from clsbench.results import ArmSummary, DataSummary


def failed_seeds(arm: ArmSummary, data: Mapping[str, DataSummary] | None) -> dict[int, float]:
    """1 for each seed at which the arm failed, 0 for the others.

    A seed has failed that ended with no metric at all, or whose headline metric is below always answering the most
    frequent class, where that is known.
    """
    known = (data or {}).get(arm.get("dataset", ""))
    values = [statistic["values"] for statistic in arm["metrics"].values()]
    ended = [any(column[place] is not None for column in values) for place in range(len(arm["seeds"]))]
    below = [False] * len(ended)
    if known is not None and known["majority"] is not None:
        statistic = arm["metrics"].get(headline(kind_of({"problem": known["problem"]}), "test"))
        if statistic is not None:
            below = [value is not None and value < known["majority"] for value in statistic["values"]]
    failed = (float(not done or low) for done, low in zip(ended, below, strict=True))
    return dict(zip(arm["seeds"], failed, strict=True))


def more_failures(ours: Mapping[int, float], theirs: Mapping[int, float]) -> PairedDifference | None:
    """The difference of two arms' shares of failed seeds, with the p of McNemar's exact test.

    None where they failed at the same ones of the seeds that both have, or at none.

    Of the seeds at which just one arm failed, each is as likely either's if the arms are alike.

    Source: McNemar 1947, Note on the Sampling Error of the Difference Between Correlated Proportions.
    """
    shares = [(ours[seed], theirs[seed]) for seed in ours if seed in theirs]
    if all(one == other for one, other in shares):
        return None
    paired = paired_difference([one for one, _ in shares], [other for _, other in shares])
    if paired is None or paired.p is None:
        return paired
    alone = [sum(one > other for one, other in shares), sum(one < other for one, other in shares)]
    n = sum(alone)
    p = min(1.0, 2 * sum(comb(n, k) for k in range(min(alone) + 1)) / 2**n)
    return PairedDifference(paired.difference, paired.deviation, paired.n, p, p)
