"""The terrain against the registered losses: what it says of a margin is what they say of the logits."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from clsbench.analysis.terrain import concentrations, marbles, terrain_of
from clsbench.losses.contract import build_loss
from clsbench.problems import SingleLabel
from clsbench.registry import catalogue
from clsbench.training.loop import train
from clsbench.training.settings import StackData, StackSettings, TrialSettings
from clsbench.training.stack import Stack

LANDSCAPES: list[tuple[str, int, dict[str, Any]]] = [
    ("cross_entropy", 10, {}),
    ("mse_softmax", 3, {}),
    ("mse_softmax", 10, {"reduction": "mean"}),
    ("mse_softmax", 2, {"reduction": "half"}),
    ("focal", 5, {"gamma": 1.5}),
    ("focal", 3, {"gamma": 0.0}),
    ("bce", 2, {"outputs": 1}),
    ("mse_sigmoid", 2, {"outputs": 1, "reduction": "half"}),
]


def loss_of(name: str, num_classes: int, options: dict[str, Any]) -> Any:
    defaults = {option.name: option.default for option in catalogue.get("loss", name).options.values()}
    return build_loss(name, SingleLabel(num_classes), defaults | options)


@pytest.mark.parametrize(("name", "num_classes", "options"), LANDSCAPES, ids=str)
@given(data=st.data())
@settings(max_examples=60)
def test_height_and_pull_are_the_losss_own(
    name: str, num_classes: int, options: dict[str, Any], data: st.DataObject
) -> None:
    """Height is the value of the loss and pull minus its gradient on the true logit, to 1e-12 in float64."""
    loss, terrain = loss_of(name, num_classes, options), terrain_of(name, num_classes, options)
    assert terrain is not None
    outputs = loss.num_outputs
    logits = data.draw(st.lists(st.floats(-30, 30), min_size=outputs, max_size=outputs))
    target = data.draw(st.integers(0, num_classes - 1))
    z = torch.tensor([logits], dtype=torch.float64, requires_grad=True)
    value = loss(z, torch.tensor([target]))[0]
    (gradient,) = torch.autograd.grad(value, z)
    slope = gradient[0, target].item() if outputs > 1 else gradient.item() * (1 if target else -1)
    (margin,), (concentration,) = marbles(np.array([logits]), np.array([target]))
    low, high = concentrations(num_classes)
    assert low - 1e-12 <= concentration <= high + 1e-12
    assert pytest.approx(value.item(), rel=1e-12, abs=1e-12) == terrain.height(margin, concentration)
    assert pytest.approx(-slope, rel=1e-12, abs=1e-12) == terrain.pull(margin, concentration)


@given(st.floats(-40, 40), st.floats(0.1, 1))
def test_pull_is_the_slope_of_the_height(margin: float, concentration: float) -> None:
    """At a fixed concentration, the central difference of the height is minus the pull."""
    for name, num_classes, options in LANDSCAPES:
        terrain = terrain_of(name, num_classes, options)
        assert terrain is not None
        up, down = (terrain.height(margin + step, concentration) for step in (1e-5, -1e-5))
        assert pytest.approx((down - up) / 2e-5, abs=1e-6) == terrain.pull(margin, concentration)


def test_lecture_point_is_on_a_slope_and_on_a_plateau() -> None:
    """At logits (-10, 10, -1000) and class 0 cross-entropy is 20 and pulls by 1; squared error is 2 and does not."""
    (margin,), (concentration,) = marbles(np.array([[-10.0, 10.0, -1000.0]]), np.array([0]))
    assert (-20.0, 1.0) == (margin, concentration)
    slope, plateau = terrain_of("cross_entropy", 3), terrain_of("mse_softmax", 3)
    assert slope is not None
    assert plateau is not None
    assert pytest.approx((20.0, 1.0), abs=1e-8) == (slope.height(-20, 1), slope.pull(-20, 1))
    assert pytest.approx(2.0, abs=1e-8) == plateau.height(-20, 1)
    assert pytest.approx(8.245e-9, rel=1e-4) == plateau.pull(-20, 1)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *(("hinge", {}), ("mse_logits", {}), ("bce", {}), ("squentropy", {})),
        *(("cross_entropy", {"label_smoothing": 0.1}), ("cross_entropy", {"temperature": 2.0})),
    ],
    ids=str,
)
def test_other_losses_have_no_terrain(name: str, options: dict[str, Any]) -> None:
    """A loss that the margin does not determine has none."""
    assert terrain_of(name, 3, options) is None


@pytest.mark.parametrize(("name", "metric"), [("cross_entropy", "val_nll"), ("mse_softmax", "val_brier")])
def test_marbles_of_a_trained_network_have_its_loss_as_their_height(name: str, metric: str) -> None:
    """The mean height of the marbles of a trained stack is the loss that evaluation measures, trial by trial."""
    terrain = terrain_of(name, 3)
    assert terrain is not None
    generator = torch.Generator().manual_seed(0)
    data = (torch.randn(40, 4, generator=generator), torch.randint(3, (40,), generator=generator))
    stack = Stack([nn.Linear(4, 3), nn.Linear(4, 3)], stacked=False, device=torch.device("cpu"))
    trials = [TrialSettings(seed=0, lr=0.5), TrialSettings(seed=1, lr=2.0)]
    *_, last = train(stack, trials, loss_of(name, 3, {}), StackData(data, val=data), StackSettings(40, 5))
    with torch.no_grad():
        logits = stack.predictor(slice(0, 2))(data[0]).double().numpy()
    heights = [np.mean(list(map(terrain.height, *marbles(each, data[1].numpy())))) for each in logits]
    assert pytest.approx([row[metric] for row in last.rows if row], rel=1e-6) == heights


def test_terrain_needs_neither_torch_nor_numpy() -> None:
    """The demo starts at once: importing the terrain loads no array library."""
    code = "import sys, clsbench.analysis.terrain as t; t.terrain_of('focal', 3).height(1.0, 1.0)"
    code += "; print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[]\n" == done.stdout
