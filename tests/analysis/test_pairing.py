"""The check that arms were paired, by the evidence of their trials."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from clsbench.analysis.pairing import PromiseBroken, pairing
from clsbench.config.plan import make_plan
from clsbench.experiment import read
from clsbench.runs.evidence import Evidence


def honest(*losses: str) -> tuple[Evidence, Any]:
    """What two seeds of each loss would leave behind, honestly paired, and their plan."""
    plan = make_plan(read({"loss": list(losses), "train": {"seeds": 2}}))
    evidence = Evidence()
    for trial in plan.trials:
        weights = {"hidden [4]": f"h{trial.seed}", f"last [{trial.arm.loss.name}]": "any"}
        evidence.started([trial.number], 0, {trial.number: weights}, {trial.number: f"data {trial.seed}"})
        for epoch in (1, 2):
            evidence.add_batches({trial.number: f"order {trial.seed} {epoch}"})
    return evidence, plan


def test_honest_pairing_is_accepted() -> None:
    """Arms whose shared layers and batches agree are one entry, also where one diverged after an epoch."""
    evidence, plan = honest("bce", "hinge")
    before = pairing(evidence, plan)
    evidence.batches[3].pop()
    assert before == pairing(evidence, plan)
    assert [["bce", "hinge"]] == [entry["arms"] for entry in before]


@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (
            lambda evidence: evidence.started([3], 2, {3: {"hidden [4]": "another"}}, {3: "data 1"}),
            "seed 1 .* initial weights",
        ),
        (lambda evidence: evidence.batches.update({2: ["order 0 1", "another"]}), "seed 0 .* batches"),
        (lambda evidence: evidence.batches.update({2: ["order 0 2", "order 0 1"]}), "seed 0 .* batches"),
        (lambda evidence: evidence.data.update({3: "other"}), "seed 1 .* data"),
    ],
    ids=["weights", "batches", "order", "data"],
)
def test_broken_pairing_fails_the_run(tamper: Callable[[Evidence], None], message: str) -> None:
    """A trial that started or saw otherwise than its partner raises, with the seed and what differed."""
    evidence, plan = honest("bce", "hinge")
    tamper(evidence)
    with pytest.raises(PromiseBroken, match=message):
        pairing(evidence, plan)
