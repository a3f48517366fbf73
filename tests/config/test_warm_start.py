"""The `train.warm_start` section: what is read, and every mistake in its place."""

from __future__ import annotations

import pytest
import yaml

from clsbench.config.dump import as_yaml
from clsbench.config.reader import read_mapping, read_text
from tests.config.reading import mistakes, read


def test_defaults_of_a_warm_start_are_those_of_the_contract() -> None:
    """An empty section is 30 epochs on rotated labels at rate 1; without the section there is none."""
    train = read("train: {warm_start: {}}").to_dict()["train"]
    assert {"labels": "rotated", "epochs": 30, "lr": 1.0} == train["warm_start"]
    assert read("{}").train.warm_start is None


@pytest.mark.parametrize("labels", ["rotated", "true"])
def test_warm_start_reads_back_as_itself(labels: str) -> None:
    """`labels: true` is the truth value, with and without quotes in what a run keeps."""
    experiment = read(f"train: {{warm_start: {{labels: {labels}, epochs: 3}}}}")
    again = read_text(as_yaml(experiment.to_dict()), "g", ())
    assert experiment == again == read_mapping(yaml.safe_load(as_yaml(experiment.to_dict())))


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("{labels: false}", "f:1:30: train.warm_start.labels: must be 'rotated' or True, got false"),
        ("{epochs: 0}", "f:1:30: train.warm_start.epochs: must be at least 1, got 0"),
        ("{lr: -1}", "f:1:26: train.warm_start.lr: must be a number above 0, got -1"),
        ("{epoch: 3}", "f:1:22: train.warm_start.epoch: unknown key; did you mean 'epochs'?"),
    ],
)
def test_mistakes_of_a_warm_start_stand_where_they_are(section: str, expected: str) -> None:
    """Each value that cannot be is refused with its place."""
    assert [expected] == mistakes(f"train: {{warm_start: {section}}}")


@pytest.mark.parametrize("loss", ["mse_class_index", "{name: bce, outputs: 1}"])
@pytest.mark.parametrize("dataset", ["moons", "{name: csv, path: unread.csv, target: kind}"])
def test_other_outputs_than_cross_entropys_are_refused(dataset: str, loss: str) -> None:
    """One output for all classes cannot start from what cross-entropy trained; known before any data is opened."""
    text = f"dataset: {dataset}\nloss: [cross_entropy, {loss}]\ntrain: {{warm_start: {{}}}}"
    name = "bce" if "bce" in loss else loss
    assert [
        f"f:2:23: loss: {name} has another number of outputs than cross-entropy, which trains the warm start; "
        "give it one for each class, or leave out train.warm_start"
    ] == mistakes(text)
