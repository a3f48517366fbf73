"""Arms over several comparisons: which is better over data sets and models, each of which counts once."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from clsbench.analysis.statistics import LEVEL, holm
from clsbench.config.arms import Arm
from clsbench.config.plan import Plan
from clsbench.metrics.measures import direction, headline, margin_of
from clsbench.problems import kind_of
from clsbench.results import Across, AcrossArm, AcrossPair, ArmSummary, DataSummary, Rules
from clsbench.results.verdicts import BETTER, UNDECIDED, WORSE

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Matrix = npt.NDArray[np.float64]

FEWEST_BLOCKS = 5  # with fewer comparisons no test over them can tell two arms apart
MOST_ARMS = 40  # of more, the pairs say nothing that anybody reads
RESAMPLES = 2_000  # of the seeds, for intervals of the mean over comparisons
DRAWS = 20_000  # of the posterior
PRIOR = 0.5  # strength of the pseudo-observation of no difference


def across(
    plan: Plan, arms: Sequence[ArmSummary], data: Mapping[str, DataSummary] | None, rules: Rules
) -> Across | None:
    """The arms that every comparison of a plan has, over all comparisons, by their headline metric on test data.

    None for one comparison or one such arm, where comparisons pose problems of different kinds, or beyond `MOST_ARMS`.

    An arm's value in a comparison is its mean over seeds; one without any is worse than all that have one.
    """
    summaries, blocks = {arm["name"]: arm for arm in arms}, plan.comparisons
    kinds = {known["problem"] for known in (data or {}).values()}
    names = [[arm.alike for arm in block] for block in blocks]
    everywhere = set(names[0]).intersection(*names)
    shared = [name for name in names[0] if name in everywhere]
    if len(blocks) < 2 or not 2 <= len(shared) <= MOST_ARMS or len(kinds) != 1:
        return None
    metric = headline(kind_of({"problem": kinds.pop()}), "test")
    margin = rules["margin"].get(metric.removeprefix("test_"), margin_of(metric))
    by_arm = [[_values(summaries[_of(block, name).name], metric) for block in blocks] for name in shared]
    sign = 1.0 if direction(metric) == "higher" else -1.0
    gains = _gains(by_arm, sign)
    return {
        "metric": metric,
        "margin": margin,
        "blocks": [_ground(block[0], plan) for block in blocks],
        "arms": [
            _arm(name, float(rank), values)
            for name, rank, values in zip(shared, mean_ranks(gains), by_arm, strict=True)
        ],
        "friedman_p": friedman(gains),
        "pairs": list(_pairs(shared, gains, margin)),
    }


def mean_ranks(gains: Matrix) -> Matrix:
    """`[B, A] -> [A]`: the mean over blocks of an arm's rank in it, 1 for the highest gain, equal ones sharing theirs.

    Source: Demsar 2006, Statistical Comparisons of Classifiers over Multiple Data Sets.
    """
    ranks: Matrix = _ranks(-gains).mean(axis=0)
    return ranks


def friedman(gains: Matrix) -> float | None:
    """`[B, A]`: the p of Friedman's test that all arms rank alike; None for fewer than three arms or two blocks.

    Source: Friedman 1937, The Use of Ranks to Avoid the Assumption of Normality.
    """
    if gains.shape[0] < 2 or gains.shape[1] < 3:
        return None
    if (gains == gains[:, :1]).all():
        return 1.0
    from scipy.stats import friedmanchisquare

    return float(friedmanchisquare(*gains.T).pvalue)


def signed_rank(differences: Sequence[float]) -> float:
    """The two-sided p of Wilcoxon's signed-rank test; blocks without a difference are left out.

    Source: Wilcoxon 1945, Individual Comparisons by Ranking Methods.
    """
    if len(differences) < FEWEST_BLOCKS:  # too few to import scipy.stats for, half a second
        return _exact_signed_rank([difference for difference in differences if difference])
    from scipy.stats import wilcoxon

    return float(wilcoxon(differences).pvalue) if any(differences) else 1.0


def _exact_signed_rank(differences: Sequence[float]) -> float:
    """The share of all choices of signs whose signed ranks add up to as much as those found, up or down."""
    import numpy as np

    signs = np.array([*itertools.product((1, -1), repeat=len(differences))])
    ranks = _ranks(abs(np.array(differences)))
    return float((abs(signs @ ranks) >= abs(_rank_sum(differences))).mean())


def _ranks(values: Matrix) -> Matrix:
    """The rank of each value on the last axis, 1 for the lowest, equal ones sharing theirs."""
    one, other = values[..., :, None], values[..., None, :]
    ranks: Matrix = (one > other).sum(axis=-1) + ((one == other).sum(axis=-1) + 1) / 2
    return ranks


def bayesian_signed_rank(differences: Sequence[float], margin: float) -> tuple[float, float, float]:
    """The probabilities that a further block finds a - b above the margin, within it, below it: which is likeliest.

    The posterior of a Dirichlet process: weights on the blocks' differences and, as prior, on no difference. In each
    draw the largest of the three shares of Walsh averages wins; the probabilities are the shares of draws won.

    Source: Benavoli, Corani, Demsar and Zaffalon 2017, Time for a Change, section 4.2.
    """
    import numpy as np

    values = np.array([0.0, *differences])
    sums = values[:, None] + values
    above, below = (_beyond(sign * sums, 2 * margin) for sign in (1, -1))
    weights = np.random.default_rng(0).dirichlet([PRIOR, *np.ones(len(differences))], DRAWS)
    up, down = (((weights @ region) * weights).sum(axis=1) for region in (above, below))
    likeliest = np.argmax([up, 1 - up - down, down], axis=0)
    likeliest[up == down] = 1  # arms that are equal everywhere, by a margin of 0
    won = np.bincount(likeliest, minlength=3) / DRAWS
    return float(won[0]), float(won[1]), float(won[2])


def groups(found: Across) -> list[tuple[str, ...]]:
    """The largest sets of arms, next to each other by rank, of which no two are told apart by Wilcoxon's test."""
    order = [arm["name"] for arm in sorted(found["arms"], key=lambda arm: arm["mean_rank"])]
    apart = {frozenset((pair["a"], pair["b"])) for pair in found["pairs"] if pair["p_holm"] < LEVEL}
    spans: list[tuple[str, ...]] = []
    for start in range(len(order)):
        end = start + 1
        while end < len(order) and not any(frozenset((order[end], name)) in apart for name in order[start:end]):
            end += 1
        if end - start > 1 and not any(set(order[start:end]) <= set(span) for span in spans):
            spans.append(tuple(order[start:end]))
    return spans


def _gains(values: Sequence[Sequence[Sequence[float]]], sign: float) -> Matrix:
    """`[B, A]`: the mean over seeds of each arm in each block, times `sign`; minus infinity without a number."""
    import numpy as np

    means = [[sign * sum(block) / len(block) if block else -math.inf for block in of_arm] for of_arm in values]
    return np.array(means).T


def _pairs(names: Sequence[str], gains: Matrix, margin: float) -> Iterator[AcrossPair]:
    pairs = list(itertools.combinations(range(len(names)), 2))
    differences = [_differences(gains, *pair) for pair in pairs]
    raw = [signed_rank(each) for each in differences]
    for (a, b), each, p, p_holm in zip(pairs, differences, raw, holm(raw), strict=True):
        yield _pair((names[a], names[b]), each, p, p_holm or 0.0, margin)


def _arm(name: str, rank: float, values: Sequence[Sequence[float]]) -> AcrossArm:
    mean = sum(sum(block) / len(block) for block in values) / len(values) if all(values) else None
    low, high = _interval(values) if all(len(block) > 1 for block in values) else (None, None)
    return {"name": name, "mean_rank": rank, "mean": mean, "low": low, "high": high}


def _interval(values: Sequence[Sequence[float]]) -> tuple[float, float]:
    """The bootstrap interval of the mean over blocks of the means over seeds, seeds drawn within each block.

    Source: Agarwal et al. 2021, Deep Reinforcement Learning at the Edge of the Statistical Precipice, section 4.1.
    """
    import numpy as np

    rng = np.random.default_rng(0)
    drawn = np.mean(
        [np.array(block)[rng.integers(0, len(block), (RESAMPLES, len(block)))].mean(axis=1) for block in values], axis=0
    )
    low, high = np.quantile(drawn, [LEVEL / 2, 1 - LEVEL / 2])
    return float(low), float(high)


def _pair(names: tuple[str, str], differences: Sequence[float], p: float, p_holm: float, margin: float) -> AcrossPair:
    better, equivalent, worse = bayesian_signed_rank(differences, margin)
    win, loss = (sum(sign * difference > margin for difference in differences) for sign in (1, -1))
    return {
        "a": names[0],
        "b": names[1],
        "win": win,
        "tie": len(differences) - win - loss,
        "loss": loss,
        "p": p,
        "p_holm": p_holm,
        "p_better": better,
        "p_equivalent": equivalent,
        "p_worse": worse,
        "verdict": (BETTER if _rank_sum(differences) > 0 else WORSE) if p_holm < LEVEL else UNDECIDED,
    }


def _rank_sum(differences: Sequence[float]) -> float:
    """Wilcoxon's statistic: above 0 where a is the better one, which the mean ranks among other arms may not say."""
    import numpy as np

    values = np.array([difference for difference in differences if difference])
    return float(np.sign(values) @ _ranks(abs(values)))


def _differences(gains: Matrix, a: int, b: int) -> list[float]:
    """a - b in each block; where one of them has no number, more than in any other block."""
    pairs = [(float(x), float(y)) for x, y in gains[:, [a, b]]]
    most = 1 + max((abs(x - y) for x, y in pairs if math.isfinite(x - y)), default=0.0)
    return [0.0 if x == y else x - y if math.isfinite(x - y) else math.copysign(most, x - y) for x, y in pairs]


def _beyond(sums: Matrix, limit: float) -> Matrix:
    """1 where a sum is above the limit, a half where it is on it."""
    import numpy as np

    return np.where(sums > limit, 1.0, np.where(sums == limit, 0.5, 0.0))


def _of(block: Sequence[Arm], alike: str) -> Arm:
    return next(arm for arm in block if arm.alike == alike)


def _values(arm: ArmSummary, metric: str) -> list[float]:
    statistic = arm["metrics"].get(metric)
    return [] if statistic is None else [value for value in statistic["values"] if value is not None]


def _ground(arm: Arm, plan: Plan) -> str:
    """What the arms of a comparison share and other comparisons do not: its dataset, its model, its batch size."""

    def parts(each: Arm) -> tuple[str, ...]:
        batch = f"batch_size={each.batch_size}"
        return each.dataset.title, each.model.title, f"scale={each.scale:g}", batch

    columns = zip(*map(parts, plan.arms), strict=True)
    told = (own for own, column in zip(parts(arm), columns, strict=True) if len(set(column)) > 1)
    return ", ".join(told) or f"comparison {arm.comparison + 1}"
