"""Checks that the arms of each comparison were paired (promise 1), by the weights and batches of their trials."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from clsbench.config.arms import Arm
from clsbench.config.plan import Plan, Trial
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
    return [paired(evidence, arms, trials.get(arms[0].comparison, ())) for arms in plan.comparisons]


def paired(evidence: Evidence, arms: Sequence[Arm], started_trials: Sequence[Trial]) -> Pairing:
    """The hashes of one comparison, by the trials of its arms that have evidence; errors as `pairing`."""
    by_seed: dict[int, list[int]] = {}
    for trial in started_trials:
        by_seed.setdefault(trial.seed, []).append(trial.number)
    weights, batches, data = hashlib.sha256(), hashlib.sha256(), hashlib.sha256()
    shares_weights = False
    for seed, trials in by_seed.items():
        if what := unlike(evidence, trials):
            raise PromiseBroken(f"at seed {seed} the arms of one comparison had different {what}; please report it")
        first, shared = evidence.weights[trials[0]], _shared(evidence, trials)
        shares_weights |= bool(shared)
        weights.update("".join(first[key] for key in sorted(shared)).encode())
        batches.update("".join(_orders(evidence, trials)[-1]).encode())
        data.update(evidence.data[trials[0]].encode())
    return {
        "arms": [arm.name for arm in arms],
        "weights": weights.hexdigest() if shares_weights else None,
        "batches": batches.hexdigest(),
        "data": data.hexdigest(),
    }


def unlike(evidence: Evidence, trials: Sequence[int]) -> str | None:
    """Which of data, initial weights and batches differs between trials of one seed; None where they are paired."""
    if len({evidence.data[trial] for trial in trials}) > 1:
        return "data"
    first, shared = evidence.weights[trials[0]], _shared(evidence, trials)
    if any(evidence.weights[trial][key] != first[key] for trial in trials for key in shared):
        return "initial weights"
    *shorter, longest = _orders(evidence, trials)
    return "batches" if any(order != longest[: len(order)] for order in shorter) else None


def _shared(evidence: Evidence, trials: Sequence[int]) -> set[str]:
    """The parameters that the trials all have."""
    return set.intersection(*(set(evidence.weights[trial]) for trial in trials))


def _orders(evidence: Evidence, trials: Sequence[int]) -> list[list[str]]:
    """The hashes of each trial's batches, the longest last."""
    return sorted((evidence.batches.get(trial, []) for trial in trials), key=len)
