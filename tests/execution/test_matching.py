"""`weight: match`: losses that start with the same pull on the logits, whatever their scale."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import clsbench
import clsbench.shown
from clsbench.experiment import Result

pytestmark = pytest.mark.usefixtures("same_threads")

Run = Callable[..., Result]

FIRST = {"name": "mse_softmax", "reduction": "mean", "weight": 3}
ROUNDING = 2e-7  # a weight is rounded to float32


@pytest.fixture
def run(tmp_path: Path, undrawn: None) -> Run:

    def small(loss: Any, **rest: Any) -> Result:
        dataset = {"name": "blobs", "samples": 200, "classes": 3, "val_fraction": rest.pop("val_fraction", 0.2)}
        model = rest.pop("model", {"name": "mlp", "hidden": [7]})
        train = {"epochs": 2, "seeds": 3, "device": "cpu", **rest}
        return clsbench.run({"dataset": dataset, "model": model, "loss": loss, "train": train}, output=tmp_path)

    return small


def first_pulls(result: Result) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for record in result.records:
        if record["epoch"] == 0:
            found.setdefault(record["loss"], []).append(record["logit_grad_norm"])
    return found


@pytest.mark.parametrize("val_fraction", [0.2, 0.0])
@pytest.mark.parametrize("model", [{"name": "mlp", "batch_norm": True, "dropout": 0.5}, "linear"])
def test_matched_losses_pull_alike_at_epoch_0(run: Run, model: Any, val_fraction: float) -> None:
    """Seed by seed the recorded gradient norm is that of the first loss, its weight counted, to float32 rounding."""
    names = ["cross_entropy", "hinge", "mse_class_index"]  # the last one has another number of outputs
    losses = [FIRST, *({"name": name, "weight": "match"} for name in names)]
    pulls = first_pulls(run(losses, model=model, val_fraction=val_fraction))
    reference = pulls.pop("mse_softmax")
    assert 3 == len(set(reference))
    for name in names:
        assert pulls[name] == pytest.approx(reference, rel=ROUNDING)


def test_matched_loss_trains_as_if_its_weight_had_been_given(run: Run) -> None:
    """Matching squared error by sum to itself by mean on three classes is a third of it."""
    matched, mean = ({"name": "mse_softmax", "label": how} for how in ("matched", "mean"))
    result = run([{**mean, "reduction": "mean"}, {**matched, "reduction": "sum", "weight": "match"}])
    by_arm = [[r["val_nll"] for r in result.records if r["arm"] == arm] for arm in ("mean", "matched")]
    assert by_arm[0] == pytest.approx(by_arm[1], rel=1e-5)
    assert "reduction=sum, weight=match, lr=0.1" == result.arms["matched"]["setting"]


@pytest.mark.parametrize("changes", [{"stack": 1}, {"stack": 2}, {"seeds": [2]}])
def test_matched_trial_is_the_same_in_any_company(run: Run, changes: dict[str, Any]) -> None:
    """A matched trial's records are the same bytes in another stack, with fewer seeds, beside another loss."""

    def curves(result: Result) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {}
        for record in result.records:
            if record["loss"] == "hinge":
                kept = {key: value for key, value in record.items() if key not in ("trial", "arm", "seconds")}
                found.setdefault(record["seed"], []).append(json.dumps(kept))
        return found

    matched = {"name": "hinge", "weight": "match"}
    whole = curves(run([FIRST, {"name": "hinge", "label": "plain", "lr": 0.7}, matched]))
    part = curves(run([FIRST, matched], **changes))
    assert part
    for seed, lines in part.items():
        assert set(lines) <= set(whole[seed])
