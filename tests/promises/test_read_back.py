"""What a run keeps is what it trained: networks, records and summary."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import clsbench
import clsbench.shown
from clsbench.config.plan import make_plan
from clsbench.data.dividing import divided
from clsbench.data.raw import as_raw
from clsbench.execution.opening import load_data
from clsbench.experiment import read
from clsbench.registry import catalogue
from tests.promises.curves import CNN, MLP, MOONS, TEN, Config, Run


@pytest.mark.parametrize(
    ("dataset", "model", "loss"),
    [
        (MOONS, {"name": "mlp", "batch_norm": True, "dropout": 0.3, "activation": "gelu"}, "mse_softmax"),
        (MOONS, {"name": "linear"}, {"name": "bce", "outputs": 1}),
        (TEN, MLP, "mse_class_index"),
        ({"name": "digits", "limit": 300}, CNN, "hinge"),
    ],
    ids=["mlp", "one-output", "class-index", "cnn"],
)
def test_loaded_model_predicts_as_recorded(run: Run, dataset: Config, model: Config, loss: Any) -> None:
    """Every trial's weights and normalisation are kept: on raw test samples its classes have the recorded accuracy."""
    result = run(dataset, model, [loss, "cross_entropy"], seeds=[4, 0])
    plan = make_plan(read(result.directory / "config.yaml"))
    data = load_data(plan.trials, torch.device("cpu"))
    for trial in plan.trials:
        entry = trial.dataset
        raw = as_raw(catalogue.get("dataset", entry.name).factory(entry.split_seed, **entry.options))
        test = divided(raw, entry.val_fraction, entry.test_fraction, entry.split_seed, entry.limit)[0].test
        samples, targets = test.features[test.rows], [raw.class_names[label] for label in test.labels]
        module, predict = clsbench.load_model(result.directory, trial.number)
        last = [record for record in result.records if record["trial"] == trial.number][-1]
        assert not module.training
        assert len(targets) == len(module(data[entry.key].test.x))
        classes, probabilities = predict(samples)
        right = [ours == target for ours, target in zip(classes, targets, strict=True)]
        assert last["test_accuracy"] == sum(right) / len(right)
        assert (probabilities is None) == (last["test_nll"] is None)
        if probabilities is not None:
            given = probabilities[range(len(targets)), [raw.class_names.index(target) for target in targets]]
            assert pytest.approx(last["test_nll"], rel=1e-5) == float(-np.log(given).mean())


def test_run_is_read_back_as_it_was(run: Run) -> None:
    """`load` finds the records and the summary that `run` gave."""
    result = run(loss=["bce", "hinge"])
    again = clsbench.load(result.directory)
    assert (result.records, result.summary) == (again.records, again.summary)
    assert ["bce", "hinge"] == list(again.arms)
