"""The atlas of losses: python scripts/atlas.py [--run RUN] [--data-dir DIR] [--output FILE] [KEY=VALUE ...]

Runs configs/atlas/atlas.yaml (with 3,000 images of MNIST too, where DIR, torchvision's root, holds it) and writes what
came out: the picture of mean ranks, the matrix of wins and losses, the best loss of every comparison, what holds and
what does not. `--run` writes a finished run. Overrides make it smaller: train.seeds=2 train.epochs=2.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import clsbench
from clsbench.analysis.across import across
from clsbench.analysis.by import across_by
from clsbench.analysis.statistics import LEVEL
from clsbench.experiment import read
from clsbench.metrics.measures import direction, label_of
from clsbench.report.text import duration
from clsbench.result import trained_plan
from clsbench.results import Across, Rules
from clsbench.results.verdicts import BETTER, WORSE

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "configs" / "atlas" / "atlas.yaml"
PAGE = ROOT / "docs" / "atlas.md"
MNIST = {"name": "mnist", "limit": 3000}


def main() -> int:
    asked = arguments()
    result = clsbench.load(asked.run) if asked.run else train(asked.overrides, asked.data_dir)
    picture = asked.output.parent / "images" / "atlas.svg"
    picture.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(result.directory / "ranks.svg", picture)
    asked.output.write_text(page(result), encoding="utf-8")
    print(f"wrote {asked.output} and {picture}")
    return 0


def train(overrides: Sequence[str], data_dir: Path | None) -> clsbench.Result:
    tree = read(CONFIG, overrides).to_dict()
    if data_dir is not None and (data_dir / "MNIST" / "raw").is_dir():
        tree["dataset"] = [*tree["dataset"], {**MNIST, "data_dir": os.fspath(data_dir.resolve())}]
    return clsbench.run(tree)


def page(result: clsbench.Result) -> str:
    """The atlas as Markdown."""
    summary = result.summary
    plan, rules = trained_plan(result), summary["rules"]
    found = None if rules is None else across(plan, summary["arms"], summary["data"], rules)
    if found is None or rules is None:
        raise SystemExit("the run has no page over several comparisons; give one of several data sets")
    seeds, tuning = len(summary["arms"][0]["seeds"]), summary["tuning"]
    budget = f"{len(tuning['arms'][0]['sensitivity'])} settings of {', '.join(tuning['grid'])}" if tuning else "none"
    lines = [
        "# The atlas of losses",
        "",
        "Written by `python scripts/atlas.py` from [its config](../configs/atlas/atlas.yaml): "
        f"{len(found['arms'])} losses, {len(plan.experiment.dataset)} data sets, {len(plan.experiment.model)} models, "
        f"{seeds} seeds, tuning of each arm: {budget}. {len(plan.trials):,} trials"
        + (f", and {tuning['trials']:,} of tuning" if tuning else "")
        + f"; {duration(summary['wall_seconds'] or 0.0)} by the clock.",
        "",
        f"![Mean ranks in {label_of(found['metric'])}](images/atlas.svg)",
        "",
        *_ranking(found),
        "",
        "## What holds",
        "",
        *_told(found),
        "",
        "## What does not",
        "",
        *_untold(found),
        *_by_model(result, rules),
        "",
        "## Who wins against whom",
        "",
        f"In how many of {len(found['blocks'])} comparisons the row's loss is better / equal / worse than the "
        f"column's, by a margin of {found['margin']:g} in {label_of(found['metric'])}.",
        "",
        *_matrix(found),
        "",
        "## Every comparison",
        "",
        *_comparisons(result, found),
        "",
        "## Limits",
        "",
        "- One headline metric decides. By NLL or Brier score, which losses without probabilities do not have, another "
        "loss may lead.",
        "- Networks are small, data sets are small or generated, and training is SGD with momentum for a fixed number "
        "of epochs. Nothing here speaks of large images or texts.",
        "- Wilcoxon's test takes comparisons for independent; two models on one data set are not quite.",
        "- Options of losses are at their defaults; only the learning rate was tuned.",
        "- A linear model cannot separate circles, spirals and xor; which loss leads there says little.",
        "- MNIST has one test set for all seeds; the others are split or drawn anew for each.",
        "",
    ]
    return "\n".join(lines)


def _ranking(found: Across) -> Iterator[str]:
    yield f"| loss | mean rank | mean {label_of(found['metric'])} |"
    yield "|---|---|---|"
    for arm in _ordered(found):
        mean = "-" if arm["mean"] is None else f"{arm['mean']:.3f}"
        yield f"| {arm['name']} | {arm['mean_rank']:.2f} | {mean} |"


def _told(found: Across) -> Iterator[str]:
    """The pairs that Wilcoxon's test tells apart, by the better one."""
    better: dict[str, list[str]] = {}
    for pair in found["pairs"]:
        for word, winner, loser in ((BETTER, pair["a"], pair["b"]), (WORSE, pair["b"], pair["a"])):
            if pair["verdict"] == word:
                better.setdefault(winner, []).append(loser)
    for arm in _ordered(found):
        if arm["name"] in better:
            yield f"- {arm['name']} is better than {', '.join(better[arm['name']])}."
    if not better:
        yield "- No pair of losses is told apart by Wilcoxon's test with Holm's correction."


def _untold(found: Across) -> Iterator[str]:
    best, *others = [arm["name"] for arm in _ordered(found)]
    apart = {frozenset((pair["a"], pair["b"])) for pair in found["pairs"] if pair["p_holm"] < LEVEL}
    near = [name for name in others if frozenset((best, name)) not in apart]
    yield f"- Of {len(found['pairs'])} pairs {len(apart)} are told apart; of the others the test says nothing."
    if near:
        yield f"- {best} has the best mean rank, and is not told apart from {', '.join(near)}."


def _by_model(result: clsbench.Result, rules: Rules) -> Iterator[str]:
    """Whether the order is the same under each model."""
    plan = trained_plan(result)
    if len({arm.model.title for arm in plan.arms}) < 2:
        return
    for where, each in across_by("model", plan, result.summary["arms"], result.summary["data"], rules).items():
        first, second, *_ = _ordered(each)
        ranks = f"{first['name']} ({first['mean_rank']:.2f}) before {second['name']} ({second['mean_rank']:.2f})"
        yield f"- With {where.replace('=', ' ')} alone the order begins with {ranks}."


def _matrix(found: Across) -> Iterator[str]:
    names = [arm["name"] for arm in _ordered(found)]
    cells = {(pair["a"], pair["b"]): (pair["win"], pair["tie"], pair["loss"]) for pair in found["pairs"]}
    cells |= {(b, a): (loss, tie, win) for (a, b), (win, tie, loss) in cells.items()}
    yield f"| | {' | '.join(names)} |"
    yield f"|---|{'---|' * len(names)}"
    for row in names:
        counted = ("-" if row == column else "/".join(map(str, cells[row, column])) for column in names)
        yield f"| **{row}** | {' | '.join(counted)} |"


def _comparisons(result: clsbench.Result, found: Across) -> Iterator[str]:
    """The best loss of every comparison, with those that end within the margin of it."""
    arms, sign = result.arms, 1 if direction(found["metric"]) == "higher" else -1
    yield f"| comparison | best | {label_of(found['metric'])} | within {found['margin']:g} of it |"
    yield "|---|---|---|---|"
    for name, block in zip(found["blocks"], trained_plan(result).comparisons, strict=True):
        means = {arm.alike: _mean(arms[arm.name]["metrics"], found["metric"]) for arm in block}
        known = {alike: mean for alike, mean in means.items() if mean is not None}
        if not known:
            yield f"| {name} | - | - | - |"
            continue
        best = max(known, key=lambda alike: sign * known[alike])
        near = [alike for alike, mean in known.items() if alike != best and abs(mean - known[best]) <= found["margin"]]
        yield f"| {name} | {best} | {known[best]:.3f} | {', '.join(near) or '-'} |"


def _mean(metrics: Mapping[str, Any], metric: str) -> float | None:
    mean: float | None = metrics[metric]["mean"] if metric in metrics else None
    return mean


def _ordered(found: Across) -> list[Any]:
    return sorted(found["arms"], key=lambda arm: arm["mean_rank"])


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--run", type=Path, help="a finished run of the config, instead of a new one")
    parser.add_argument("--data-dir", type=Path, help="torchvision's root, where it holds MNIST")
    parser.add_argument("--output", type=Path, default=PAGE)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
