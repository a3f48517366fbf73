"""Sweeps over the options of losses and models: settings, names of arms, and what never sweeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import clsbench
from clsbench.config.dump import as_yaml
from clsbench.config.plan import make_plan
from clsbench.config.reader import read_mapping
from clsbench.errors import ConfigError
from tests.config.reading import read


def names(text: str, *overrides: str) -> list[str]:
    return [arm.name for arm in make_plan(read(text, *overrides)).arms]


def test_list_in_an_option_is_a_sweep() -> None:
    """Each value is an arm, named by it; another loss, and an option that does not sweep, have none of it."""
    text = "loss: [{name: focal, gamma: [0.5, 1, 2]}, bce]\noptimizer: {lr: [0.1, 0.3]}"
    assert [
        *("focal gamma=0.5 lr=0.1", "focal gamma=0.5 lr=0.3", "focal gamma=1.0 lr=0.1", "focal gamma=1.0 lr=0.3"),
        *("focal gamma=2.0 lr=0.1", "focal gamma=2.0 lr=0.3", "bce lr=0.1", "bce lr=0.3"),
    ] == names(text)
    assert [{"gamma": gamma} for gamma in (0.5, 1.0, 2.0)] == [
        {"gamma": arm.loss.options["gamma"]} for arm in make_plan(read(text, "optimizer.lr=1")).arms[:3]
    ]
    assert ["focal", "bce"] == names(text, "loss.0.gamma=[3]", "optimizer.lr=1")


def test_swept_models_are_comparisons_of_their_own() -> None:
    """Arms are compared on one model: each setting of its options begins another comparison."""
    plan = make_plan(read("model: {name: mlp, dropout: [0, 0.5], activation: [relu, tanh]}\nloss: bce"))
    assert [["bce activation=relu dropout=0.0"], ["bce activation=relu dropout=0.5"]] == [
        [arm.name for arm in arms] for arms in (plan.comparisons[0], plan.comparisons[1])
    ]
    assert 4 == len(plan.comparisons)


def test_settings_that_end_alike_are_named_in_full() -> None:
    """A loss's gamma and the schedule's are told apart."""
    text = "loss: {name: focal, gamma: [1, 2]}\noptimizer: {schedule: {name: step, gamma: [0.1, 0.5]}}"
    assert "focal loss.gamma=1.0 optimizer.gamma=0.1" == names(text)[0]
    assert 4 == len(set(names(text)))


def test_sweep_is_written_and_read_back() -> None:
    """A run's config keeps the list, and gives the same experiment."""
    experiment = read("loss: {name: focal, gamma: [0.5, 2]}\nmodel: {name: mlp, dropout: [0.0, 0.1]}")
    written: dict[str, Any] = experiment.to_dict()
    assert ([0.5, 2.0], [0.0, 0.1]) == (written["loss"]["gamma"], written["model"]["dropout"])
    assert experiment == read(as_yaml(written)) == read_mapping(written)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("loss: {name: focal, gamma: [1, -1]}", "f:1:32: loss.gamma: must be at least 0.0, got -1"),
        ("loss: {name: focal, gamma: [1, 1]}", "f:1:28: loss.gamma: a value is listed twice: [1.0, 1.0]"),
        ("loss: {name: focal, gamma: []}", "f:1:28: loss.gamma: an empty list; give at least one value"),
        ("model: {name: mlp, hidden: [[8], [16]]}", "f:1:29: model.hidden: must be a whole number, got [8]"),
        ("dataset: {name: moons, noise: [0.1, 0.2]}", "f:1:31: dataset.noise: must be a number, got [0.1, 0.2]"),
        ("dataset: iris\nloss: {name: bce, outputs: [null, 1]}", "f:2:7: loss: bce does not fit iris"),
        ("loss: [{name: focal, gamma: [1, 2]}, {name: focal, label: focal gamma=1.0}]",
         "f:1:1: 2 arms are called 'focal gamma=1.0'; give their entries distinct labels"),
    ],
)  # fmt: skip
def test_mistaken_sweep_is_told(text: str, mistake: str) -> None:
    """A wrong value stands at its place in the list; lists by nature and datasets' options do not sweep."""
    with pytest.raises(ConfigError) as caught:
        read(text)
    assert any(told.startswith(mistake) for told in caught.value.mistakes), caught.value.mistakes


def test_swept_losses_train_as_entries_of_their_own(tmp_path: Path) -> None:
    """A sweep has the records of as many entries, and every network is measured under each setting."""
    data, train = {"name": "moons", "samples": 60}, {"epochs": 1, "seeds": 1}
    common = {"dataset": data, "model": "linear", "train": train, "report": "off"}
    swept = clsbench.run({**common, "loss": {"name": "focal", "gamma": [0.5, 2.0]}}, output=tmp_path)
    single = clsbench.run(
        {**common, "loss": [{"name": "focal", "label": f"focal gamma={g}", "gamma": g} for g in (0.5, 2.0)]},
        output=tmp_path,
    )
    assert ["focal gamma=0.5", "focal gamma=2.0"] == list(swept.arms) == list(single.arms)
    strip = [[{**record, "seconds": 0} for record in result.records] for result in (swept, single)]
    assert strip[0] == strip[1]
    crossed = [result.arms["focal gamma=2.0"]["cross"]["losses"] for result in (swept, single)]
    assert crossed[0] == crossed[1]
