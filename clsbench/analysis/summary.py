"""What a run came to: the arms' last metrics over seeds, and the evidence that the arms were paired."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clsbench.config.plan import Arm, Plan
from clsbench.errors import ClsbenchError
from clsbench.training.metrics import METRICS

Record = Mapping[str, Any]


class PromiseBroken(ClsbenchError):
    """Arms that should have been paired were not: the comparison is worth nothing."""


def arm_summary(arm: Arm, seeds: Sequence[int], records: Iterable[Record]) -> dict[str, Any]:
    """One arm of `summary.json`, from the last record of each of its trials."""
    last = {record["seed"]: record for record in records if record["arm"] == arm.name}
    rows = [last.get(seed, {}) for seed in seeds]
    return {
        "name": arm.name,
        "loss": arm.loss.name,
        "label": arm.loss.title,
        "setting": arm.setting,
        "dataset": arm.dataset.title,
        "split_seed": arm.dataset.split_seed,
        "model": arm.model.title,
        "batch_size": arm.batch_size,
        "lr": arm.lr,
        "seeds": list(seeds),
        "diverged": sum(row.get("status") == "diverged" for row in rows),
        "metrics": {metric: over_seeds([row.get(metric) for row in rows]) for metric in METRICS},
        "seconds": round(statistics.fmean(row.get("seconds", 0.0) for row in rows), 6),
    }


def over_seeds(values: Sequence[float | None]) -> dict[str, Any]:
    """`{mean, std, n, values}` of a number by seed, None for a seed that has none; std with n - 1."""
    known = [value for value in values if value is not None]
    return {
        "mean": statistics.mean(known) if known else None,  # exact, so that whoever takes it gets the same bits
        "std": statistics.stdev(known) if len(known) > 1 else None,
        "n": len(known),
        "values": list(values),
    }


@dataclass
class Pairing:
    """What each trial really started from and saw: the evidence for promise 1, gathered as it trains."""

    weights: dict[int, Mapping[str, str]] = field(default_factory=dict)
    batches: dict[int, list[str]] = field(default_factory=dict)

    def started(self, weights: Mapping[int, Mapping[str, str]]) -> None:
        self.weights.update(weights)

    def saw(self, batches: Mapping[int, str]) -> None:
        for trial, order in batches.items():
            self.batches.setdefault(trial, []).append(order)

    def verified(self, plan: Plan) -> list[dict[str, Any]]:
        """The hashes per comparison: `weights` of all that its arms share, `batches` of all epochs.

        Arms with another number of outputs share the hidden layers alone; `weights` is null where arms
        share nothing. A trial that diverged saw fewer epochs; those it saw must agree.

        Raises:
            PromiseBroken: two arms started or saw differently.
        """
        return [self._verified(arms, plan) for arms in plan.comparisons]

    def _verified(self, arms: Sequence[Arm], plan: Plan) -> dict[str, Any]:
        names = {arm.name for arm in arms}
        by_seed: dict[int, list[int]] = {}
        for trial in plan.trials:
            if trial.arm.name in names:
                by_seed.setdefault(trial.seed, []).append(trial.number)
        weights, batches = hashlib.sha256(), hashlib.sha256()
        shares_weights = False
        for seed, trials in by_seed.items():
            started = [self.weights[trial] for trial in trials]
            shared = set.intersection(*(set(parameters) for parameters in started))
            orders = sorted((self.batches.get(trial, []) for trial in trials), key=len)
            same_start = all(parameters[key] == started[0][key] for parameters in started for key in shared)
            if not same_start or any(order != orders[-1][: len(order)] for order in orders):
                what = "batches" if same_start else "initial weights"
                raise PromiseBroken(f"at seed {seed} the arms of one comparison had different {what}; please report it")
            shares_weights |= bool(shared)
            weights.update("".join(started[0][key] for key in sorted(shared)).encode())
            batches.update("".join(orders[-1]).encode())
        return {
            "arms": [arm.name for arm in arms],
            "weights": weights.hexdigest() if shares_weights else None,
            "batches": batches.hexdigest(),
        }
