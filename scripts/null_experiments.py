"""False, missed and reversed verdicts: python scripts/null_experiments.py [PART ...] [--experiments N] [--json FILE]

null: one loss is trained on many seeds, each with data of its own. In a null experiment two disjoint sets of its seeds
stand for two arms, so a verdict of better or worse is wrong; also where one seed in ten collapses (loses 60 points) or
diverges. In a true one the second arm is worse by one standard deviation of the paired difference. `--run RUN` draws
from a run's first arm, and trains nothing.
coverage: two losses are trained on 2,000 seeds of three populations, each seed with data of its own. How often does the
interval over 10 seeds, or over 40, hold the mean difference over all of them?
reversal: two losses are trained on twelve disjoint sets of ten seeds of two data sets, a split for each seed. Does one
set find better what another finds worse? Beside it, the same with one split for each set.

The verdicts are clsbench's own, on the numbers of real records. Exit code 1 where a figure is missed.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import clsbench
from clsbench.analysis.verdicts import verdicts
from clsbench.config.schema import VerdictConfig
from clsbench.results.verdicts import BETTER, WORSE

CONFIG: dict[str, Any] = {
    "name": "null_experiments",
    "dataset": {"name": "moons", "samples": 500, "noise": 0.3, "split_seed": "per_seed"},
    "model": {"name": "mlp", "hidden": [8]},
    "loss": "cross_entropy",
    "optimizer": {"lr": 0.3},
    "train": {"epochs": 5, "seeds": 2000, "device": "cpu"},
}
METRICS = ("test_accuracy", "test_nll", "test_brier")
FAMILIES: tuple[Literal["metric", "comparison"], ...] = ("metric", "comparison")
EXPERIMENTS = 2000
NULL_SEEDS, TRUE_SEEDS = 10, 20
LEAST_FOUND = 0.95
SPOILED_SHARE = 0.1  # of the seeds
# What a spoiled seed adds to each metric; None: it diverged and has no number.
SPOILED: dict[str, dict[str, float] | None] = {
    "collapsing": {"test_accuracy": -0.6, "test_nll": 2.0, "test_brier": 0.6},
    "diverging": None,
}

LOSSES = ["cross_entropy", "mse_softmax"]
POPULATIONS: tuple[dict[str, Any], ...] = (
    {"name": "moons", "samples": 500, "noise": 0.3},
    {"name": "gaussians", "samples": 500},
    {"name": "xor", "samples": 500},
)
COVERED_SEEDS = (10, 40)
LEAST_COVERED = 0.93
REVERSED = ("wine", "breast_cancer")
SETS, SET_SEEDS = 12, 10

Pool = Mapping[str, Sequence[float]]
Values = dict[str, list[float | None]]


def main() -> int:
    asked = arguments()
    parts = {"null": null, "coverage": coverage, "reversal": reversal}
    found = {name: parts[name](asked) for name in asked.parts or parts}
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0 if all(figures["reached"] for figures in found.values()) else 1


def null(asked: argparse.Namespace) -> dict[str, Any]:
    """False and missed verdicts between sets of seeds of one loss."""
    result = clsbench.load(asked.run) if asked.run else clsbench.run(CONFIG, output=asked.output)
    print(f"records: {result.directory}", flush=True)
    figures = measure(pool_of(result), asked.experiments)
    print(f"null: called different in {figures['false_single']:.1%} of {figures['comparisons']:,} comparisons,")
    print(f"      and after Holm in {figures['false_holm']:.1%} of {asked.experiments:,} experiments")
    print(f"      (each at most {most_false(asked.experiments):.1%})")
    for kind, share in figures["false_spoiled"].items():
        print(f"null: with one seed in ten {kind}, in {share:.1%} of experiments")
    for metric in METRICS:
        found = figures["found"][metric]
        print(f"true: {metric} found in {found['single']:.1%} of comparisons, after Holm in {found['holm']:.1%}")
    print(f"      (each comparison in at least {LEAST_FOUND:.0%})")
    return figures


def coverage(asked: argparse.Namespace) -> dict[str, Any]:
    """By population, number of seeds and metric: the share of intervals that hold the difference over all seeds."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for population in POPULATIONS:
        result = _trained(asked, "coverage", {**population, "split_seed": "per_seed"}, 2000)
        pools = pools_of(result, LOSSES)
        found[population["name"]] = by_number = {
            f"{number} seeds": covered(pools, number, asked.experiments) for number in COVERED_SEEDS
        }
        for number, shares in by_number.items():
            listed = ", ".join(f"{metric} {share:.1%}" for metric, share in shares.items())
            print(f"coverage: {population['name']}, {number}: {listed}", flush=True)
    least = min(share for by_number in found.values() for shares in by_number.values() for share in shares.values())
    print(f"      (each at least {LEAST_COVERED:.0%})")
    return {"experiments": asked.experiments, "covered": found, "reached": least >= LEAST_COVERED}


def covered(pools: Sequence[Pool], num_seeds: int, experiments: int) -> dict[str, float]:
    """By metric, how often the interval over some seeds holds the mean difference over all seeds of two pools."""
    chance = random.Random(0)
    first, second = pools
    true = {m: statistics.fmean(first[m]) - statistics.fmean(second[m]) for m in METRICS}
    inside: dict[str, list[bool]] = {metric: [] for metric in METRICS}
    for _ in range(experiments):
        places = chance.sample(range(len(first[METRICS[0]])), num_seeds)
        a, b = (_at(places, pool) for pool in pools)
        for row in _verdicts(a, b, "metric"):
            inside[row["metric"]].append(row["low"] <= true[row["metric"]] <= row["high"])
    return {metric: _share(outcomes) for metric, outcomes in inside.items()}


def reversal(asked: argparse.Namespace) -> dict[str, Any]:
    """By data set, kind of split and metric: the words of disjoint sets of seeds."""
    found: dict[str, dict[str, dict[str, dict[str, int]]]] = {}
    for name in REVERSED:
        own = _trained(asked, "reversal", {"name": name, "split_seed": "per_seed"}, SETS * SET_SEEDS)
        fixed = [{"name": name, "label": f"split {n}", "split_seed": n} for n in range(SETS)]
        shared = _trained(asked, "reversal", fixed, SET_SEEDS)
        sets = {
            "a split for each seed": [_part(own, LOSSES, n * SET_SEEDS) for n in range(SETS)],
            "a split for each set": [_part(shared, [f"{x} dataset=split {n}" for x in LOSSES], 0) for n in range(SETS)],
        }
        found[name] = {how: words_of(each) for how, each in sets.items()}
        for how, by_metric in found[name].items():
            for metric, counts in by_metric.items():
                listed = ", ".join(f"{word} {count}" for word, count in counts.items())
                print(f"reversal: {name}, {how}, {metric}: {listed}", flush=True)
    own_words = [counts for each in found.values() for counts in each["a split for each seed"].values()]
    return {"words": found, "reached": not any({BETTER, WORSE} <= counts.keys() for counts in own_words)}


def words_of(sets: Sequence[tuple[Values, Values]]) -> dict[str, dict[str, int]]:
    """By metric, how many of these pairs of arms got each word, by the rules of a config that says nothing of them."""
    words: dict[str, list[str]] = {metric: [] for metric in METRICS}
    for pair in sets:
        for row in _verdicts(*pair, "comparison"):
            words[row["metric"]].append(row["verdict"])
    return {metric: dict(Counter(each)) for metric, each in words.items()}


def _trained(asked: argparse.Namespace, name: str, dataset: Any, seeds: int) -> Any:
    """Two losses on many seeds, on small networks."""
    train = {**CONFIG["train"], "seeds": seeds, **({"epochs": 20} if name == "reversal" else {})}
    config = {**CONFIG, "name": name, "dataset": dataset, "loss": LOSSES, "train": train, "report": "off"}
    return clsbench.run(config, output=asked.output)


def _part(result: Any, arms: Sequence[str], first: int) -> tuple[Values, Values]:
    """The values of two arms at the seeds of a set."""
    a, b = ({m: result.arms[arm]["metrics"][m]["values"][first : first + SET_SEEDS] for m in METRICS} for arm in arms)
    return a, b


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="How often verdicts see what is not there, and miss what is.")
    parser.add_argument("parts", nargs="*", metavar="PART", help="null, coverage, reversal; by default all")
    parser.add_argument("--experiments", type=int, default=EXPERIMENTS, metavar="N", help="of each kind")
    parser.add_argument("--run", type=Path, metavar="RUN", help="draw from this run's first arm; train nothing")
    parser.add_argument("--output", type=Path, default=Path("runs"), metavar="DIR", help="where the run goes")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser.parse_args()


def most_false(experiments: int) -> float:
    """5%, and 2.5 deviations of a share of 5% among so many: 6.2% among 2,000."""
    return 0.05 + 2.5 * math.sqrt(0.05 * 0.95 / experiments)


def pool_of(result: Any) -> Pool:
    """The values of the first arm by metric, one for each seed that has them."""
    return pools_of(result, [next(iter(result.arms))])[0]


def pools_of(result: Any, arms: Sequence[str]) -> list[Pool]:
    """The values of each arm by metric, paired: of the seeds at which every arm has all of them."""
    columns = [result.arms[arm]["metrics"][metric]["values"] for arm in arms for metric in METRICS]
    known = [*zip(*(values for values in zip(*columns, strict=True) if None not in values), strict=True)]
    return [dict(zip(METRICS, known[n * len(METRICS) :], strict=False)) for n in range(len(arms))]


def measure(pool: Pool, experiments: int) -> dict[str, Any]:
    """The shares of verdicts `better` or `worse` in null experiments, and of true differences found."""
    chance = random.Random(0)
    null = [_null(pool, chance) for _ in range(experiments)]
    spoiled = {
        kind: _share([any(map(_decided, _null(pool, chance, kind)[1].values())) for _ in range(experiments)])
        for kind in SPOILED
    }
    true = [_true(pool, chance) for _ in range(experiments)]
    single = [word for words, _ in null for word in words.values()]
    found = {
        metric: {
            "single": _share([words[metric] == BETTER for words, _ in true]),
            "holm": _share([words[metric] == BETTER for _, words in true]),
        }
        for metric in METRICS
    }
    false_single = _share([_decided(word) for word in single])
    false_holm = _share([any(map(_decided, words.values())) for _, words in null])
    least = min(each["single"] for each in found.values())
    return {
        "experiments": experiments,
        "seeds_in_the_pool": len(pool[METRICS[0]]),
        "comparisons": len(single),
        "false_single": false_single,
        "false_holm": false_holm,
        "false_spoiled": spoiled,
        "found": found,
        "reached": max(false_single, false_holm, *spoiled.values()) <= most_false(experiments) and least >= LEAST_FOUND,
    }


def _null(pool: Pool, chance: random.Random, kind: str | None = None) -> tuple[dict[str, str], dict[str, str]]:
    a, b = _two_arms(pool, NULL_SEEDS, chance)
    return _words(a, b) if kind is None else _words(_spoiled(a, chance, kind), _spoiled(b, chance, kind))


def _spoiled(values: Values, chance: random.Random, kind: str) -> Values:
    """Of an arm, some seeds that collapsed or diverged."""
    lost = [chance.random() < SPOILED_SHARE for _ in values[METRICS[0]]]
    added = SPOILED[kind]
    return {
        metric: [
            value if not is_lost or value is None else None if added is None else value + added[metric]
            for value, is_lost in zip(column, lost, strict=True)
        ]
        for metric, column in values.items()
    }


def _true(pool: Pool, chance: random.Random) -> tuple[dict[str, str], dict[str, str]]:
    """The second arm worse in every metric by a deviation of the difference of two seeds."""
    a, b = _two_arms(pool, TRUE_SEEDS, chance)
    for metric in METRICS:
        shift = math.sqrt(2) * statistics.pstdev(pool[metric])
        sign = -1 if metric == "test_accuracy" else 1
        b[metric] = [None if value is None else value + sign * shift for value in b[metric]]
    return _words(a, b)


def _two_arms(pool: Pool, num_seeds: int, chance: random.Random) -> tuple[Values, Values]:
    places = chance.sample(range(len(pool[METRICS[0]])), 2 * num_seeds)
    return _at(places[:num_seeds], pool), _at(places[num_seeds:], pool)


def _at(places: Sequence[int], pool: Pool) -> Values:
    return {metric: [pool[metric][place] for place in places] for metric in METRICS}


def _words(a: Values, b: Values) -> tuple[dict[str, str], dict[str, str]]:
    """The verdicts on a, each metric by itself, and corrected over them all as in a run."""
    alone, together = ({row["metric"]: row["verdict"] for row in _verdicts(a, b, family)} for family in FAMILIES)
    return alone, together


def _verdicts(a: Values, b: Values, family: Literal["metric", "comparison"]) -> list[Any]:
    arms = [
        {
            "name": name,
            "label": name,
            "seeds": list(range(len(values[METRICS[0]]))),
            "metrics": {m: {"values": values[m]} for m in values},
        }
        for name, values in (("a", a), ("b", b))
    ]
    compared: Any = {"arms": arms, "pairing": [{"arms": ["a", "b"]}]}  # the keys that verdicts read
    return list(verdicts(compared, VerdictConfig(family=family).rules))


def _decided(word: str) -> bool:
    return word in (BETTER, WORSE)


def _share(outcomes: Sequence[bool]) -> float:
    return sum(outcomes) / len(outcomes)


if __name__ == "__main__":
    sys.exit(main())
