"""Checks that the arms of each comparison were paired (promise 1), by the weights and batches of their trials."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from clsbench.config.plan import Arm, Plan, Trial
from clsbench.errors import ClsbenchError
from clsbench.results import Pairing
from clsbench.runs.evidence import Evidence


class PromiseBroken(ClsbenchError):
    """Arms that should have been paired were not: their comparison is invalid."""


def pairing(evidence: Evidence, plan: Plan) -> list[Pairing]:
    """The hashes per comparison: `weights` of all that its arms share, `batches` of all epochs, `data` of all splits.

    Arms with different numbers of outputs share only the hidden layers; `weights` is null if arms share nothing. A
    trial that diverged or failed has fewer epochs; those that it has must agree.

    Raises:
        PromiseBroken: two arms had different initial weights, batches or data.
    """
    trials: dict[int, list[Trial]] = {}
    for trial in plan.trials:
        if trial.number in evidence.weights:
            trials.setdefault(trial.arm.comparison, []).append(trial)
    return [_verified(evidence, arms, trials.get(arms[0].comparison, ())) for arms in plan.comparisons]


def _verified(evidence: Evidence, arms: Sequence[Arm], started_trials: Sequence[Trial]) -> Pairing:
    by_seed: dict[int, list[int]] = {}
    for trial in started_trials:
        by_seed.setdefault(trial.seed, []).append(trial.number)
    weights, batches, data = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()
    shares_weights = False
    for seed, trials in by_seed.items():
        started = [evidence.weights[trial] for trial in trials]
        shared = set.intersection(*(set(parameters) for parameters in started))
        orders = sorted((evidence.batches.get(trial, []) for trial in trials), key=len)
        same_start = all(parameters[key] == started[0][key] for parameters in started for key in shared)
        same_order = all(order == orders[-1][: len(order)] for order in orders)
        seen = {evidence.data[trial] for trial in trials}
        if not (same_start and same_order and len(seen) == 1):
            what = "data" if len(seen) > 1 else "batches" if same_start else "initial weights"
            raise PromiseBroken(f"at seed {seed} the arms of one comparison had different {what}; please report it")
        shares_weights |= bool(shared)
        weights.update("".join(started[0][key] for key in sorted(shared)).encode())
        batches.update("".join(orders[-1]).encode())
        data.update("".join(seen).encode())
    return {
        "arms": [arm.name for arm in arms],
        "weights": weights.hexdigest() if shares_weights else None,
        "batches": batches.hexdigest(),
        "data": data.hexdigest(),
    }
