"""The promises where steps are compiled: the same bits in any company, in any part, in a stack of any size."""

from __future__ import annotations

from typing import Any

import pytest

from clsbench.experiment import Result
from clsbench.training.step import Steps
from tests.compiled import PARTS, TRAIN
from tests.promises.curves import MLP, MOONS, TEN, Config, Run, assert_part

ADAMW: Config = {"name": "adamw", "lr": 0.01, "weight_decay": 2.0}
DEEP: Config = {"model": {**MLP, "hidden": [32, 13]}, "optimizer": ADAMW, "batch_size": 67, "threads": 1}
DROPOUT: Config = {**PARTS, **TRAIN, "model": {**PARTS["model"], "hidden": [32, 13]}}
HALF: Config = {"precision": "bfloat16", "optimizer": {"name": "rmsprop", "clip_norm": 1.0}, "batch_size": 267}


@pytest.mark.compiler
@pytest.mark.parametrize(
    ("dataset", "losses", "how"),
    [
        (MOONS, ["cross_entropy", "mse_softmax"], DEEP),
        (TEN, ["hinge", "bce"], {"threads": 2}),
        (TEN, ["cross_entropy"], {**HALF, "threads": 2, "epochs": 4}),
    ],
    ids=["two", "ten", "bfloat16"],
)
def test_compiled_trials_do_not_know_each_other(run: Run, dataset: Config, losses: list[str], how: Config) -> None:
    """Compiled, one or two losses on three seeds record what one loss on one seed records alone."""
    same = {"dataset": dataset, "batch_size": 67, "compile": "on", "optimizer": {"momentum": 0.9}, **how}
    together = run(loss=losses, seeds=[4, 0, 7], **same)
    assert "compiled" == together.summary["engine"]["mode"]
    assert_part(run(loss=losses[0], seeds=[7], **same), together)
    assert_part(run(loss=losses[-1], seeds=[0, 4], **same), together)


@pytest.mark.compiler
def test_a_graph_trains_part_after_part(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials of a stack of which each call of a graph trains two record what they record in a call for all.

    Those of a part have other settings than those of the next, and some of them diverge.
    """
    same: Config = {**PARTS, **TRAIN, "optimizer": {"momentum": 0.9, "lr": [0.01, 1e30, 0.1]}}
    at_once = run(seeds=4, **same)
    assert {"finished", "diverged"} == {record["status"] for record in at_once.records if record["status"] != "running"}
    monkeypatch.setattr("clsbench.training.compiled.TRIALS_AT_ONCE", 2)
    parts: list[slice] = []
    of = Steps.of
    monkeypatch.setattr(Steps, "of", lambda steps, trials: parts.append(trials) or of(steps, trials))
    assert_part(run(seeds=4, **same), at_once)
    assert [slice(start, start + 2) for start in range(0, 12, 2)] == parts


@pytest.mark.slow
@pytest.mark.compiler
@pytest.mark.parametrize("how", [{**PARTS, **TRAIN}, {**DEEP, "compile": "on"}], ids=["even", "filled"])
def test_the_size_of_a_compiled_stack_is_not_in_the_numbers(run: Run, how: Config) -> None:
    """Any number of seeds has the bits of the others, also where the most take more than one call of the graph.

    Also where an epoch's last batch is filled up.
    """
    parts, whole = in_stacks(run, **how)
    assert "compiled" == whole.summary["engine"]["mode"]
    for part in parts:
        assert_part(part, whole)


@pytest.mark.slow
@pytest.mark.compiler
@pytest.mark.parametrize(
    "how", [DROPOUT, {"dataset": TEN, "loss": "cross_entropy", **HALF}], ids=["dropout", "bfloat16"]
)
def test_a_library_has_the_bits_of_a_traced_graph(run: Run, monkeypatch: pytest.MonkeyPatch, how: Config) -> None:
    """Where steps can be no library they are traced in every process, and nothing in the records tells it."""
    how = {"compile": "on", "seeds": 3, **how}
    library = run(**how)
    monkeypatch.setattr("clsbench.training.compiled.library_of", lambda *_: None)
    assert_part(run(**how), library)


def test_the_size_of_a_stack_is_not_in_the_numbers(run: Run) -> None:
    """The same for eager steps."""
    parts, whole = in_stacks(run)
    for part in parts:
        assert_part(part, whole)


def in_stacks(run: Run, **how: Any) -> tuple[list[Result], Result]:
    """Runs of several numbers of seeds, each in one stack, and one of the most."""
    how = {"optimizer": {"momentum": 0.9}, "batch_size": 67, "epochs": 1, **how}
    return [run(seeds=number, **how) for number in (20, 1, 2, 3, 16, 17, 128)], run(seeds=130, **how)


@pytest.mark.compiler
def test_compiled_steps_go_where_eager_ones_go(run: Run) -> None:
    """Compiled and eager training differ by rounding alone; a trial that diverges is frozen in both."""
    lr = [0.01, 1e30]
    for how in (
        # A bias before batch normalisation has no gradient but rounding, which Adam would scale up to its rate.
        {**DROPOUT, "optimizer": {"momentum": 0.9, "lr": lr}},
        {**DEEP, "optimizer": {"name": "adam", "lr": lr}},
        {**DEEP, "optimizer": {**ADAMW, "lr": lr}},
        {**DEEP, "optimizer": {**ADAMW, "lr": lr, "decay_biases": False}},
        {**DEEP, "optimizer": {"momentum": 0.9, "lr": lr}, "model": {**DEEP["model"], "dropout": 0.2}},
    ):
        eager, compiled = (run(**{**how, "compile": mode}) for mode in ("off", "on"))
        assert len(eager.records) == len(compiled.records)
        for ours, theirs in zip(eager.records, compiled.records, strict=True):
            for key in ("trial", "epoch", "step", "status"):
                assert ours[key] == theirs[key]
            for key in ("train_loss", "val_nll", "test_brier", "logit_grad_norm"):  # these do not jump
                expected = None if ours[key] is None else pytest.approx(ours[key], rel=1e-3, abs=1e-4)
                assert expected == theirs[key]
