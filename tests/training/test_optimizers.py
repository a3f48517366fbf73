"""The written-out updates against `torch.optim`, trial by trial, and the schedules against its schedulers."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

import clsbench.training  # noqa: F401 - registers the optimizers
from clsbench.registry import catalogue
from clsbench.training.layout import PART
from clsbench.training.optimizers import clipped, initial_state, rate_factor
from clsbench.training.settings import TrialSettings, clip_norms, column, stacked_options

STEPS = 50
Given = dict[str, Any]  # one trial's settings, those of `torch.optim` and `clip_norm`

SGD: list[Given] = [
    {"lr": 0.1},
    {"lr": 0.1, "momentum": 0.9},
    {"lr": 0.05, "weight_decay": 0.1},
    {"lr": 0.1, "clip_norm": 0.5},
    {"lr": 0.03, "momentum": 0.5, "weight_decay": 0.01, "clip_norm": 2.0},
]
NESTEROV: list[Given] = [
    {"lr": 0.1, "momentum": 0.9, "nesterov": True},
    {"lr": 0.03, "momentum": 0.5, "weight_decay": 0.1, "clip_norm": 1.0, "nesterov": True},
]
ADAM: list[Given] = [
    {"lr": 0.1},
    {"lr": 0.01, "betas": (0.5, 0.9), "eps": 1e-3},
    {"lr": 0.1, "weight_decay": 0.1},
    {"lr": 0.1, "clip_norm": 0.5, "betas": (0.0, 0.99)},
]
RMSPROP: list[Given] = [
    {"lr": 0.01},
    {"lr": 0.01, "alpha": 0.5, "eps": 1e-3},
    {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.1},
    {"lr": 0.01, "clip_norm": 0.5, "alpha": 0.0},
]
CENTERED: list[Given] = [{**trial, "centered": True, "eps": 1e-2} for trial in RMSPROP[:3]]
FAMILIES: list[tuple[str, type[torch.optim.Optimizer], list[Given]]] = [
    ("sgd", torch.optim.SGD, SGD),
    ("sgd", torch.optim.SGD, NESTEROV),
    ("adam", torch.optim.Adam, ADAM),
    ("adamw", torch.optim.AdamW, ADAM),
    ("rmsprop", torch.optim.RMSprop, RMSPROP),
    ("rmsprop", torch.optim.RMSprop, CENTERED),
]
NAMES = ["sgd", "nesterov", "adam", "adamw", "rmsprop", "centered"]
families = pytest.mark.parametrize(("name", "theirs", "trials"), FAMILIES, ids=NAMES)


def slopes(weights: Tensor) -> Tensor:
    """The gradient of a bumpy bowl: sum over weights of c w^2 / 2 - 2 cos w, with curvatures c from 0.1 to 2."""
    return torch.linspace(0.1, 2.0, weights.shape[-1], dtype=weights.dtype) * weights + 2 * weights.sin()


def start(trial: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(2 * PART, generator=torch.Generator().manual_seed(trial), dtype=dtype)


Move = Callable[..., None]


def move(name: str, trials: list[Given], weights: Tensor) -> Move:
    """A step of a stack of trials, `(weights, gradients, factor of the rate)`, clipped where a trial asks for it."""
    own = [{key: value for key, value in trial.items() if key not in ("lr", "clip_norm")} for trial in trials]
    options, state = stacked_options(name, own, weights), initial_state(name, weights)
    rate = column([trial["lr"] for trial in trials], weights)
    norms = clip_norms([TrialSettings(0, trial["lr"], clip_norm=trial.get("clip_norm")) for trial in trials], weights)

    def step(weights: Tensor, gradients: Tensor, factor: float = 1.0) -> None:
        gradients = gradients if norms is None else clipped(gradients, norms)
        catalogue.get("optimizer", name).factory(weights, gradients, state, lr=factor * rate, **options)

    return step


def stacked_path(name: str, trials: list[Given], starts: list[int], dtype: torch.dtype = torch.float32) -> Tensor:
    """`[STEPS, T, P]`: where a stack of trials goes."""
    weights, path = torch.stack([start(s, dtype) for s in starts]), []
    step = move(name, trials, weights)
    for _ in range(STEPS):
        step(weights, slopes(weights))
        path.append(weights.clone())
    return torch.stack(path)


def reference_path(theirs: Callable[..., torch.optim.Optimizer], trial: Given, begin: int) -> Tensor:
    """`[STEPS, P]`: where PyTorch's optimizer goes."""
    weights, path = torch.nn.Parameter(start(begin, torch.float64)), []
    optimizer = theirs([weights], **{"weight_decay": 0.0, **{k: v for k, v in trial.items() if k != "clip_norm"}})
    for _ in range(STEPS):
        weights.grad = slopes(weights.detach())
        if "clip_norm" in trial:
            torch.nn.utils.clip_grad_norm_([weights], trial["clip_norm"])
        optimizer.step()
        path.append(weights.detach().clone())
    return torch.stack(path)


@families
def test_updates_are_pytorchs(name: str, theirs: type[torch.optim.Optimizer], trials: list[Given]) -> None:
    """On one trial, fifty steps of each update go where `torch.optim` goes, clipping as `clip_grad_norm_` does."""
    for trial in trials:
        expected = reference_path(theirs, trial, 0)
        assert 0.1 < (expected[-1] - expected[0]).abs().max()
        # In double precision, where rounding hides nothing; PyTorch adds clipping's 1e-6 as we do.
        assert_close(stacked_path(name, [trial], [0], torch.float64)[:, 0], expected, rtol=1e-9, atol=1e-9)


@families
def test_each_trial_has_its_own_settings(name: str, theirs: type[torch.optim.Optimizer], trials: list[Given]) -> None:
    """Trials of unlike settings in one stack go, to the last bit, where they go without each other."""
    together = stacked_path(name, trials, list(range(len(trials))))
    for place, trial in enumerate(trials):
        alone = stacked_path(name, [trial, trial], [place, place])
        assert torch.equal(alone[:, 0], together[:, place])
        assert torch.equal(alone[:, 0], alone[:, 1])


def test_adamw_decays_apart_from_the_gradient() -> None:
    """Where the gradient is zero, AdamW shrinks the weights by 1 - lr decay, and Adam does not stay so modest."""
    trials, ends = [{"lr": 0.1, "weight_decay": 0.5}], {}
    for name in ("adam", "adamw"):
        weights = torch.ones(1, PART)
        move(name, trials, weights)(weights, torch.zeros(1, PART))
        ends[name] = weights
    assert_close(ends["adamw"], torch.full((1, PART), 0.95))
    assert_close(ends["adam"], torch.full((1, PART), 0.9))


def test_clipping_one_trial_leaves_its_neighbour() -> None:
    """A trial that is not clipped moves as alone beside one that is, even where its squared norm overflows."""
    for size in (1.0, 1e25):
        gradients = torch.stack([torch.full((PART,), 3.0), torch.full((PART,), size)])
        alone, together = torch.zeros(1, PART), torch.zeros(2, PART)
        move("sgd", [{"lr": 0.5}], alone)(alone, gradients[1:])
        move("sgd", [{"lr": 0.5, "clip_norm": 1.0}, {"lr": 0.5}], together)(together, gradients)
        assert torch.equal(alone[0], together[1])
        assert pytest.approx(0.5, rel=1e-5) == together[0].norm().item()


@pytest.mark.parametrize("name", [component.name for component in catalogue.all("optimizer")])
def test_rate_zero_stands_still(name: str) -> None:
    """A frozen trial, with rate and gradient zero, keeps its weights to the last bit, whatever its options."""
    uncommon = {"weight_decay": 0.3, "momentum": 0.9, "centered": True}
    known, weights = catalogue.get("optimizer", name).options, start(0)[None]
    step = move(name, [{"lr": 0.1, **{key: value for key, value in uncommon.items() if key in known}}], weights)
    for _ in range(3):
        step(weights, slopes(weights))
    before = weights.clone()
    step(weights, torch.zeros_like(weights), 0.0)
    assert torch.equal(before, weights)


def test_centered_rmsprop_outlives_rounding() -> None:
    """A gradient that never changes has a deviation of zero, whose rounding below zero makes no weight NaN."""
    weights = torch.zeros(1, PART)
    step = move("rmsprop", [{"lr": 0.1, "centered": True, "alpha": 0.5}], weights)
    for _ in range(STEPS):
        step(weights, torch.linspace(0.1, 3.0, PART)[None])
    assert weights.isfinite().all()


def test_numbers_come_as_columns_and_others_as_they_are() -> None:
    """A number is a column, in double precision where that is asked for; one that no trial uses is left out."""
    weights, trials = torch.zeros(2, PART), [{"alpha": 0.9, "centered": True}, {"alpha": 0.5, "centered": True}]
    options = stacked_options("rmsprop", trials, weights)
    assert (True, None) == (options["centered"], options["momentum"])
    assert torch.equal(torch.tensor([[0.9], [0.5]], dtype=torch.float64), options["alpha"])
    assert torch.equal(torch.full((2, 1), 1e-8), options["eps"])
    assert [(2, 1)] * 2 == [beta.shape for beta in stacked_options("adam", [{}, {}], weights)["betas"]]


def test_options_of_trials_are_the_optimizers() -> None:
    """An option that the optimizer lacks is refused by name, and so are trials that differ in what is no number."""
    weights = torch.zeros(2, PART)
    with pytest.raises(ValueError, match="'sgd' has no option 'momentun' of a trial; did you mean 'momentum'"):
        stacked_options("sgd", [{}, {"momentun": 0.9}], weights)
    with pytest.raises(ValueError, match="trials of a stack must share options that are not numbers"):
        stacked_options("sgd", [{}, {"nesterov": True}], weights)


# Schedules.


def factors(schedule: str, epochs: int, warmup: int = 0, step: int = 10, gamma: float = 0.1) -> list[float]:
    return [rate_factor(schedule, e, epochs, warmup=warmup, step=step, gamma=gamma) for e in range(epochs)]


@pytest.mark.parametrize("epochs", [1, 2, 7, 30])
@pytest.mark.parametrize(("step", "gamma"), [(1, 0.9), (3, 0.5), (10, 0.1)])
def test_schedules_are_pytorchs(epochs: int, step: int, gamma: float) -> None:
    """Step decay and cosine equal `StepLR` and `CosineAnnealingLR`, stepped once an epoch; constant is 1."""
    schedulers = torch.optim.lr_scheduler
    for name, make in (
        ("step", lambda optimizer: schedulers.StepLR(optimizer, step, gamma)),
        ("cosine", lambda optimizer: schedulers.CosineAnnealingLR(optimizer, epochs)),
    ):
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        scheduler, expected = make(optimizer), []
        for _ in range(epochs):
            expected.append(scheduler.get_last_lr()[0])
            optimizer.step()
            scheduler.step()
        assert pytest.approx(expected) == factors(name, epochs, step=step, gamma=gamma)
    assert [1.0] * epochs == factors("constant", epochs, step=step, gamma=gamma)


def test_warm_up_rises_in_equal_steps() -> None:
    """Three epochs of warm-up are at 1/4, 2/4 and 3/4 of the rate; the fourth has it whole."""
    assert [0.25, 0.5, 0.75, 1.0, 1.0] == factors("constant", 5, warmup=3)


@pytest.mark.parametrize("name", ["step", "cosine"])
def test_schedules_start_after_the_warm_up(name: str) -> None:
    """What follows the warm-up is the whole schedule over the epochs that are left."""
    assert factors(name, 9, step=2) == factors(name, 12, warmup=3, step=2)[3:]


@pytest.mark.parametrize("warmup", [5, 7])
def test_warm_up_may_outlast_the_training(warmup: int) -> None:
    """A warm-up of all epochs or more rises to the end."""
    rising = factors("cosine", 5, warmup=warmup)
    assert [pytest.approx(1 / (warmup + 1))] * 4 == [b - a for a, b in itertools.pairwise(rising)]
