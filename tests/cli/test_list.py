"""`clsbench list`: kinds, names and their options."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from clsbench.registry import PROBLEMS, catalogue

Fails = Callable[..., str]
Invoke = Callable[..., Any]


@pytest.mark.parametrize("kind", ["problems", "datasets", "models", "losses", "optimizers", "metrics"])
def test_list_of_a_kind_is_that_kind(kind: str, invoke: Invoke) -> None:
    """Every component of the kind is listed, and those of no other."""
    listed = json.loads(invoke("list", kind, "--json").stdout)
    assert {component["kind"] for component in listed} == {component["kind"] for component in listed[:1]}
    text = invoke("list", kind).stdout
    assert text.startswith(kind)
    assert all(f"  {component['name']}" in text for component in listed)
    assert listed == json.loads(invoke("list", listed[0]["kind"], "--json").stdout)


def test_list_of_everything(invoke: Invoke) -> None:
    """Without a word all kinds are listed, as text and as JSON."""
    text = invoke("list").stdout
    for word in (
        "problems",
        "datasets",
        "models",
        "losses",
        "optimizers",
        "metrics",
        "mnist",
        "cnn",
        "hinge",
        "adamw",
        "ece",
    ):
        assert word in text
    registered = sum(len(catalogue.all(kind)) for kind in ("dataset", "model", "loss", "optimizer", "metric"))
    assert len(PROBLEMS) + registered == len(json.loads(invoke("list", "--json").stdout))


def test_list_of_losses_pairs_problems_activations_and_losses(invoke: Invoke) -> None:
    """As the lecture's closing table does: every loss under each problem that it serves, by its last activation."""
    rows = re.sub(r",\s+", ",", invoke("list", "losses").stdout.partition("last activation")[2]).splitlines()
    found = {tuple(row.split()[:2]): row.split()[2].split(",") for row in rows[1:-1]}
    listed = json.loads(invoke("list", "losses", "--json").stdout)
    words = {"softmax": "softmax", "sigmoid": "sigmoid", "identity": "none"}
    paired = [((problem, words[each["link"]]), each["name"]) for each in listed for problem in each["problems"]]
    assert sorted(paired) == sorted((pair, name) for pair, names in found.items() for name in names)
    assert {"bce", "mse_sigmoid"} == set(found["multi_label", "sigmoid"])
    assert "last activation sigmoid" in invoke("list", "bce").stdout


def test_list_of_a_problem_has_its_losses_and_metrics(invoke: Invoke, fails: Fails) -> None:
    """Its headline first, and nothing of another; a dataset of the same name is shown as well."""
    text = invoke("list", "regression").stdout
    assert ["problem regression", "dataset regression"] == re.findall("^(?:problem|dataset) .*", text, re.MULTILINE)
    assert "metrics, the headline first: rmse, mae, r2, logit_grad_norm\n" in text
    (labels,) = json.loads(invoke("list", "multi_label", "--json").stdout)
    assert {"sigmoid": ["bce", "mse_sigmoid"]} == labels["losses"]
    rows = [line.split() for line in invoke("list", "metrics").stdout.splitlines()]
    assert 1 == sum(row[:1] == ["macro_f1"] for row in rows)
    assert "unknown name 'multilable'; did you mean 'multilabel'?" == fails(2, "list", "multilable")


def test_list_of_one_shows_its_options(invoke: Invoke, fails: Fails) -> None:
    """A name or an alias gives help and options with their types, bounds and defaults; a misspelling the nearest."""
    answer = invoke("list", "CrossEntropyLoss")
    for text in (
        "loss cross_entropy (also CrossEntropyLoss, categorical_crossentropy)",
        "label_smoothing",
        "default 0.0",
    ):
        assert text in answer.stdout
    (focal,) = json.loads(invoke("list", "focal", "--json").stdout)
    assert {"type": "a number, at least 0", "required": False, "default": 2.0} == focal["options"]["gamma"]
    assert {"type": "a number, above 0, below 1 or null", "required": False, "default": None} == focal["options"][
        "alpha"
    ]
    (table,) = json.loads(invoke("list", "csv", "--json").stdout)
    assert {"type": "a path", "required": True} == table["options"]["path"]
    assert "unknown name 'focl'; did you mean 'focal'?" == fails(2, "list", "focl")
    assert "unknown name 'lossess'; did you mean 'losses'?" == fails(2, "list", "lossess")
    assert "unknown name 'zzzz'; `clsbench list` shows all there are" == fails(2, "list", "zzzz")


def test_list_of_one_names_the_keys_that_each_of_its_kind_takes(invoke: Invoke) -> None:
    """Beside its own options: `weight` of a loss, `limit` of a dataset, `init` of a model."""
    for name, kind, known in (("hinge", "loss", "weight"), ("csv", "dataset", "limit"), ("linear", "model", "init")):
        text = " ".join(invoke("list", name).stdout.split())
        (keys,) = re.findall(f"every {kind} also takes (.*); `clsbench list KEY` shows one$", text)
        assert known in keys.split(", ")
        assert all(f"{kind}.{key}" in invoke("list", f"{kind}.{key}").stdout for key in keys.split(", "))
    assert "also takes" not in invoke("list", "accuracy").stdout
