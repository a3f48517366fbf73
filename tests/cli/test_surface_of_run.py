"""`clsbench surface RUN`: the losses at the start and at the ends are those of the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import clsbench
from clsbench.analysis.planes import HIGH, LOW
from clsbench.config.plan import make_plan
from clsbench.config.reader import read_file
from clsbench.execution.opening import load_data

Invoke = Callable[..., Any]
Fails = Callable[..., str]


def config(warm_start: Any = None) -> dict[str, Any]:
    third = {"name": "bce", "outputs": 1 if warm_start is None else None}
    return {
        "name": "seen",
        "dataset": {"name": "moons", "samples": 60},
        "model": {"name": "mlp", "hidden": [4], "batch_norm": True},
        "loss": ["cross_entropy", "mse_softmax", third],
        "optimizer": {"name": "sgd", "lr": 0.5},
        "train": {"epochs": 3, "seeds": 1, "device": "cpu", "compile": "off", "warm_start": warm_start},
        "report": "off",
    }


@pytest.fixture(scope="module", params=[None, {"labels": "rotated", "epochs": 2, "lr": 1.0}], ids=["cold", "warm"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clsbench.run(config(request.param), output=tmp_path_factory.mktemp("runs")).directory


def test_the_start_and_the_ends_have_the_losses_of_the_run(run: Path, invoke: Invoke) -> None:
    """At (0, 0) that of epoch 0, at (1, 0) and (0, 1) those of the trained networks; one output has no place there."""
    answer = invoke("surface", run, "--json")
    (plane,) = json.loads(answer.stdout)["planes"]
    assert ("cross_entropy", "mse_softmax") == (plane["across"], plane["up"])
    warm = "rotated" in (run / "config.yaml").read_text()
    assert {"cross_entropy", "mse_softmax", *(["bce"] if warm else [])} == plane["heights"].keys()
    assert 36 == plane["samples"]
    for name, (start, _, _) in plane["at_ends"].items():
        (record,) = [r for r in clsbench.load(run).records if r["arm"] == name and r["epoch"] == 0]
        assert pytest.approx(record["train_loss"], rel=1e-6) == start
    trial = make_plan(read_file(run / "config.yaml", ())).trials[0]
    split = load_data([trial], torch.device("cpu"))[trial.data_key].train
    for number in (0, 1):
        module, _ = clsbench.load_model(run, number)
        with torch.no_grad():
            expected = F.cross_entropy(module(split.x), split.y).item()
        assert pytest.approx(expected, rel=1e-5) == plane["at_ends"]["cross_entropy"][1 + number]


def test_the_grid_meets_the_points(run: Path, invoke: Invoke) -> None:
    """The rows fall from b = 1.5, the columns rise from a = -0.5; where a point is on the grid it has the same loss."""
    (plane,) = json.loads(invoke("surface", run, "--json").stdout)["planes"]
    side = len(plane["heights"]["cross_entropy"])
    a = [LOW + (HIGH - LOW) * place / (side - 1) for place in range(side)]
    zero, one = (min(range(side), key=lambda place, to=to: abs(a[place] - to)) for to in (0.0, 1.0))
    assert (0.0, 1.0) == (a[zero], a[one])
    for name, heights in plane["heights"].items():
        found = (heights[side - 1 - zero][zero], heights[side - 1 - zero][one], heights[side - 1 - one][zero])
        assert pytest.approx(plane["at_ends"][name], rel=1e-5) == list(found)


def test_the_picture_names_the_points(run: Path, invoke: Invoke, tmp_path: Path) -> None:
    """In the terminal with S, A and B, within 80 columns; and as a file."""
    lines = invoke("surface", run).stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert all(any(letter in line[6:38] for line in lines[3:11]) for letter in "SAB")
    assert 0 == invoke("surface", run, "--png", tmp_path / "a.png").exit_code
    assert (tmp_path / "a.svg").stat().st_size > 1000


def test_what_has_no_plane_is_refused(run: Path, fails: Fails, tmp_path: Path) -> None:
    """A lone arm, other arguments beside a run, and a folder that is no run."""
    lone = {**config(), "loss": "cross_entropy"}
    alone = clsbench.run(lone, output=tmp_path).directory
    assert "needs two arms of one comparison" in fails(2, "surface", alone)
    assert "takes no other LOSS, no --at and no --from" in fails(2, "surface", run, "focal")
    assert fails(6, "surface", tmp_path)
