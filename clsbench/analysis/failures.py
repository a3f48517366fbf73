"""The seeds at which an arm failed: it diverged, raised, or ended below always answering one class."""

from __future__ import annotations

from collections.abc import Mapping
from math import comb

from clsbench.analysis.statistics import PairedDifference, paired_difference
from clsbench.metrics.by_class import BALANCED_ACCURACY
from clsbench.results import ArmSummary, DataSummary


def failed_seeds(arm: ArmSummary, data: Mapping[str, DataSummary] | None) -> dict[int, float]:
    """1 for each seed at which the arm failed, 0 for the others.

    A seed has failed that ended with no metric at all, or that collapsed: its balanced accuracy on test data is below
    that of always answering one class, 1 / C. Where classes are equally frequent this is accuracy below the majority's;
    where they are not, an arm that gives up accuracy for the rare ones has not collapsed.
    """
    known = (data or {}).get(arm.get("dataset", ""))
    columns = [statistic["values"] for statistic in arm["metrics"].values()]
    balanced = arm["metrics"].get(f"test_{BALANCED_ACCURACY}")
    tested = sum(each["test"] > 0 for each in (known["classes"] if known is not None else None) or ())
    failed: dict[int, float] = {}
    for place, seed in enumerate(arm["seeds"]):
        reached = None if balanced is None or not tested else balanced["values"][place]
        collapsed = reached is not None and reached * tested < 1
        failed[seed] = float(collapsed or all(column[place] is None for column in columns))
    return failed


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
