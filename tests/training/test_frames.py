"""Frames: what is kept of a run while it trains, for its page, is what the trained networks give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import clsbench
from clsbench.data.scene import SIDE
from clsbench.runs.directory import RunDirectory
from clsbench.runs.replay import Replay
from clsbench.training.frames import frame_epochs

CONFIG = {
    "name": "framed",
    "dataset": {"name": "moons", "samples": 120, "normalize": "none"},
    "model": {"name": "mlp", "hidden": [8]},
    "loss": ["mse_softmax", "cross_entropy", {"name": "bce", "outputs": 1}, "mse_class_index"],
    "train": {"epochs": 3, "seeds": [4, 7]},
    "report": {"figures": False},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> clsbench.Result:
    return clsbench.run(CONFIG, output=tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def replay(run: clsbench.Result) -> Replay:
    found = RunDirectory(run.directory).replay(list(run.summary["data"] or ()))
    assert found is not None
    return found


def test_every_arm_has_the_frames_of_its_first_seed(replay: Replay) -> None:
    """Trials 0, 2, 4 and 6, at epoch 0 and after each of three; class numbers as regression have no margin."""
    assert [0, 2, 4, 6] == sorted(replay.trials)
    assert all([0, 1, 2, 3] == of["epochs"].tolist() for of in replay.trials.values())
    assert [True, True, True, False] == ["margins" in replay.trials[number] for number in (0, 2, 4, 6)]


@pytest.mark.parametrize("trial", [0, 2])
def test_marbles_are_the_trained_networks_samples(run: clsbench.Result, replay: Replay, trial: int) -> None:
    """The last frame's margins, losses and gradients are those of the kept weights, by PyTorch's own functions."""
    scene, last = replay.scenes["moons"], {name: of[-1] for name, of in replay.trials[trial].items()}
    module, _ = clsbench.load_model(run.directory, trial)
    logits = module(torch.from_numpy(scene.inputs)).detach().double().requires_grad_()
    targets = torch.from_numpy(scene.targets)
    p = logits.softmax(-1)
    losses = (
        (p - torch.nn.functional.one_hot(targets, 2)).square().sum(-1)
        if trial == 0
        else torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    )
    (gradients,) = torch.autograd.grad(losses.sum(), logits)
    true = p.gather(1, targets[:, None]).squeeze(1)
    expected = {
        "losses": losses,
        "gradients": gradients.norm(dim=1),
        "margins": true.logit(),
        "confidence": p.amax(-1),
    }
    for name, of in expected.items():
        torch.testing.assert_close(of.detach().float(), torch.from_numpy(last[name]), rtol=1e-4, atol=1e-5)
    assert p.argmax(-1).tolist() == last["predicted"].tolist()
    kept = sum(float(parameter.detach().double().square().sum()) for parameter in module.parameters())
    assert kept**0.5 == pytest.approx(float(last["weights"]))


def test_surface_is_the_prediction_at_every_point(run: clsbench.Result, replay: Replay) -> None:
    """128 shades a class: the class is the network's, and more certain points have a higher shade."""
    axes = replay.scenes["moons"].axes
    assert axes is not None
    points = np.stack([np.tile(axes[0], SIDE), np.repeat(axes[1], SIDE)], 1).astype(np.float32)
    module, _ = clsbench.load_model(run.directory, 2)
    p = module(torch.from_numpy(points)).detach().softmax(-1)
    surface = replay.trials[2]["surface"][-1]
    assert (SIDE, SIDE) == surface.shape
    assert p.argmax(-1).tolist() == (surface.ravel() // 128).tolist()
    np.testing.assert_allclose(2 * p.amax(-1) - 1, surface.ravel() % 128 / 127, atol=0.005)


def test_frames_are_bounded_and_denser_at_the_start() -> None:
    """A thousand epochs have at most 41 frames: before and after training, a quarter of them in the first 63 epochs."""
    epochs = sorted(frame_epochs(1000))
    assert (0, 1000) == (epochs[0], epochs[-1])
    assert len(epochs) <= 41
    assert 10 <= sum(epoch <= 63 for epoch in epochs)


def test_report_off_keeps_neither_frames_nor_figures(tmp_path: Path, run: clsbench.Result) -> None:
    """Records are the same, and nothing to look at is written."""
    off = clsbench.run({**CONFIG, "report": "off"}, output=tmp_path)
    assert [{**r, "seconds": 0} for r in run.records] == [{**r, "seconds": 0} for r in off.records]
    names = {path.name for path in off.directory.iterdir()}
    assert not names & {"replay.npz", "report.html", "curves.png"}
