"""The loop: a stack of one is a plain PyTorch loop, and a trial that diverges ends alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.testing import assert_close

import clsbench.losses
import clsbench.models
import clsbench.training  # noqa: F401 - the rooms register what they offer
from clsbench.losses.contract import Loss, build_loss
from clsbench.models.initialisation import initial_module
from clsbench.problems import SingleLabel
from clsbench.registry import catalogue
from clsbench.training.epoch import NUMBERS_AT_ONCE, batches_at_once
from clsbench.training.loop import EpochResult, train
from clsbench.training.optimizers import rate_factor
from clsbench.training.rng import generator_for
from clsbench.training.settings import StackData, StackSettings, TrialSettings
from clsbench.training.stack import Stack

CPU = torch.device("cpu")
SIZE, FEATURES, CLASSES, BATCH = 70, 4, 3, 16  # the last batch holds six samples


@pytest.fixture(scope="module")
def data() -> StackData:
    """Three overlapping clouds."""
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(CLASSES, (3, SIZE), generator=generator)
    x = F.one_hot(y, FEATURES) * 2.0 + torch.randn(3, SIZE, FEATURES, generator=generator)
    return StackData(*zip(x, y, strict=True))


def network(seed: int, **options: Any) -> nn.Module:
    def build() -> nn.Module:
        factory = catalogue.get("model", "mlp").factory
        module: nn.Module = factory((FEATURES,), CLASSES, **{"hidden": [8], **options})
        return module

    return initial_module(build, generator_for("weights", seed), weights="default", scale=1.0, bias="default")


def bound(name: str) -> Loss:
    defaults = {option.name: option.default for option in catalogue.get("loss", name).options.values()}
    return build_loss(name, SingleLabel(CLASSES), defaults)


def stack_of(trials: list[TrialSettings], **options: Any) -> Stack:
    return Stack([network(trial.seed, **options) for trial in trials], stacked=True, device=CPU)


def trained(
    stack: Stack, trials: list[TrialSettings], data: StackData, loss: str = "cross_entropy", **how: Any
) -> list[EpochResult]:
    settings = StackSettings(**{"batch_size": BATCH, "epochs": 3, **how})
    return list(train(stack, trials, bound(loss), data, settings))


def rows(results: list[EpochResult], trial: int = 0) -> list[dict[str, Any]]:
    """The rows of one trial, up to its last."""
    return [row for result in results if (row := result.rows[trial]) is not None]


def orders(seed: int, epochs: int) -> Iterator[list[Tensor]]:
    """The batches of each epoch, as `generator_for` has them."""
    for epoch in range(1, epochs + 1):
        order = torch.randperm(SIZE, generator=generator_for("batches", seed, epoch))
        yield list(order.split(BATCH))


HOW: list[tuple[str, type[torch.optim.Optimizer], dict[str, Any], float | None]] = [
    ("sgd", torch.optim.SGD, {"lr": 0.3}, None),
    ("sgd", torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}, 0.5),
    ("sgd", torch.optim.SGD, {"lr": 0.1, "momentum": 0.8, "nesterov": True}, None),
    ("adam", torch.optim.Adam, {"lr": 0.01, "betas": (0.8, 0.99)}, None),
    ("adamw", torch.optim.AdamW, {"lr": 0.01, "weight_decay": 0.1}, None),
    ("rmsprop", torch.optim.RMSprop, {"lr": 0.01, "momentum": 0.5, "centered": True}, None),
]


SPARING: list[tuple[str, type[torch.optim.Optimizer], dict[str, Any], float | None]] = [
    ("sgd", torch.optim.SGD, {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.3}, 0.5),
    ("adam", torch.optim.Adam, {"lr": 0.01, "weight_decay": 0.3}, None),
    ("adamw", torch.optim.AdamW, {"lr": 0.01, "weight_decay": 3.0}, None),
    ("rmsprop", torch.optim.RMSprop, {"lr": 0.01, "weight_decay": 0.3}, None),
]


@pytest.mark.parametrize(
    ("name", "theirs", "settings", "clip_norm", "decay_biases"),
    [*((*how, True) for how in HOW), *((*how, False) for how in SPARING)],
)
def test_stack_of_one_is_a_plain_loop(
    data: StackData, name: str, theirs: Any, settings: dict[str, Any], clip_norm: float | None, decay_biases: bool
) -> None:
    """Losses and weights are those of a loop with `nn.Sequential`, `torch.optim` and the same batches.

    Where weight decay spares biases, these are a parameter group without it.
    """
    options = {key: value for key, value in settings.items() if key != "lr"}
    trial = TrialSettings(3, settings["lr"], options, clip_norm, rate_factor=lambda epoch: 1 / (epoch + 1))
    stack = stack_of([trial], activation="tanh")
    found = rows(trained(stack, [trial], data, optimizer=name, decay_biases=decay_biases))

    plain = nn.Sequential(nn.Linear(FEATURES, 8), nn.Tanh(), nn.Linear(8, CLASSES))
    plain.load_state_dict(dict(zip(plain.state_dict(), network(3).state_dict().values(), strict=True)))
    matrices, biases = ([p for p in plain.parameters() if p.dim() == axes] for axes in (2, 1))
    spared = {} if decay_biases else {"weight_decay": 0.0}
    (x, y), optimizer = data.train, theirs([{"params": matrices}, {"params": biases, **spared}], **settings)
    for epoch, batches in enumerate(orders(3, 3), start=1):
        for group in optimizer.param_groups:
            group["lr"] = settings["lr"] / epoch
        losses, right = 0.0, 0
        for batch in batches:
            logits = plain(x[batch])
            loss = F.cross_entropy(logits, y[batch])
            optimizer.zero_grad()
            loss.backward()
            if clip_norm is not None:
                nn.utils.clip_grad_norm_(plain.parameters(), clip_norm)
            optimizer.step()
            losses += loss.item() * len(batch)
            right += int((logits.argmax(-1) == y[batch]).sum())
        assert pytest.approx(losses / SIZE, rel=1e-5) == found[epoch]["train_loss"]
        assert pytest.approx(found[epoch]["train_nll"], rel=1e-12) == found[epoch]["train_loss"]
        assert pytest.approx(right / SIZE) == found[epoch]["train_accuracy"]
        assert 5 * epoch == found[epoch]["step"]
    weights = [value for name, value in stack.trial_state(0).items() if "mask" not in name]
    assert_close(weights, list(plain.state_dict().values()), rtol=1e-4, atol=1e-5)
    test_logits = plain(data.test[0])
    assert pytest.approx(F.cross_entropy(test_logits, data.test[1]).item(), rel=1e-5) == found[-1]["test_nll"]
    assert pytest.approx((test_logits.argmax(-1) == data.test[1]).float().mean().item()) == found[-1]["test_accuracy"]


@pytest.mark.parametrize(
    ("name", "options"), [("mlp", {"hidden": [8], "batch_norm": True}), ("cnn", {"channels": [4], "hidden": 16})]
)
def test_biases_lie_where_their_parameters_do(name: str, options: dict[str, Any]) -> None:
    """All of a bias is marked, that of batch normalisation too, and nothing of a weight or between parameters."""
    spec = catalogue.get("model", name)
    module: nn.Module = spec.factory((1, 8, 8) if name == "cnn" else (FEATURES,), CLASSES, **options)
    stack = Stack([module], stacked=spec.stacked, device=CPU)
    marked = stack.views(stack.biases[None])
    assert {key: key.endswith("bias") for key in marked} == {key: bool(part.all()) for key, part in marked.items()}
    assert sum(part.numel() for key, part in marked.items() if key.endswith("bias")) == int(stack.biases.sum())


def test_training_learns(data: StackData) -> None:
    """On clouds that can be told apart, every epoch's training loss is below the one before."""
    trial = TrialSettings(seed=0, lr=0.1)
    losses = [row["train_loss"] for row in rows(trained(stack_of([trial]), [trial], data))]
    assert sorted(losses, reverse=True) == losses
    assert 4 == len(set(losses))


def test_epoch_zero_is_before_training(data: StackData) -> None:
    """Its row is the evaluation of the initial weights, with no step taken."""
    trial = TrialSettings(seed=1, lr=0.1)
    first, module = rows(trained(stack_of([trial]), [trial], data))[0], network(1)
    with torch.no_grad():
        for split in ("train", "val", "test"):
            x, y = getattr(data, split)
            assert pytest.approx(F.cross_entropy(module(x), y).item(), rel=1e-5) == first[f"{split}_nll"]
    assert first["train_nll"] == first["train_loss"]
    assert (0, "running") == (first["step"], first["status"])


def test_without_validation_data_its_metrics_are_null(data: StackData) -> None:
    """There is nothing to validate on or to fit a temperature to; diagnostics look at the training data instead."""
    trial = TrialSettings(seed=1, lr=0.1)
    without = rows(trained(stack_of([trial]), [trial], replace(data, val=None)))
    with_train = rows(trained(stack_of([trial]), [trial], replace(data, val=data.train)))
    for bare, full in zip(without, with_train, strict=True):
        assert {None} == {value for name, value in bare.items() if name.startswith("val_")}
        assert {None} == {value for name, value in bare.items() if name.endswith("_ts")}
        full, bare = (
            {name: value for name, value in row.items() if "val_" not in name and not name.endswith("_ts")}
            for row in (full, bare)
        )
        assert full == bare


def test_loss_weight_multiplies_loss_and_gradient(data: StackData) -> None:
    """Twice the loss at half the rate trains alike, and says twice the loss and gradient norm."""
    pair = [TrialSettings(seed=1, lr=0.2), TrialSettings(seed=1, lr=0.1, loss_weight=2.0)]
    results = trained(stack_of(pair), pair, data)
    for plain, heavy in zip(rows(results, 0), rows(results, 1), strict=True):
        for name in ("train_loss", "logit_grad_norm"):
            assert pytest.approx(2 * plain[name], rel=1e-5) == heavy[name]
        assert pytest.approx(plain["test_nll"], rel=1e-5) == heavy["test_nll"]
        assert plain["stuck_share"] == heavy["stuck_share"]


def test_schedule_sets_the_rate_of_an_epoch(data: StackData) -> None:
    """Factors of 0 and 1 by epoch leave the weights and move them."""
    trial = TrialSettings(seed=1, lr=0.1, rate_factor=lambda epoch: [0.0, 1.0, 0.0][epoch])
    nll = [row["test_nll"] for row in rows(trained(stack_of([trial]), [trial], data))]
    assert (True, False, True) == (nll[0] == nll[1], nll[1] == nll[2], nll[2] == nll[3])


def test_batches_of_more_than_all_samples(data: StackData) -> None:
    """A batch size beyond the data is one full batch an epoch."""
    trial = TrialSettings(seed=1, lr=0.1)
    steps = [[row["step"] for row in rows(trained(stack_of([trial]), [trial], data, batch_size=n))] for n in (70, 999)]
    assert [[0, 1, 2, 3]] * 2 == steps


def test_hash_names_the_order_of_batches(data: StackData) -> None:
    """Each epoch and each seed has an order of its own, whatever the rate; epoch 0 has none."""
    trials = [TrialSettings(seed=1, lr=0.1), TrialSettings(seed=2, lr=0.1), TrialSettings(seed=1, lr=0.2)]
    results = trained(stack_of(trials), trials, data)
    assert [] == results[0].batches
    assert all(result.batches[0] == result.batches[2] for result in results[1:])
    assert 6 == len({order for result in results[1:] for order in result.batches})


# Divergence.

WILD = [TrialSettings(seed=0, lr=0.01), TrialSettings(seed=1, lr=1e10), TrialSettings(seed=2, lr=0.02)]


@pytest.mark.parametrize("how", [{}, {"optimizer": "adamw"}])
def test_neighbours_of_a_divergent_trial_do_not_notice(data: StackData, how: dict[str, Any]) -> None:
    """Their rows and weights have the bits that they have without it."""
    options = {} if how else {"momentum": 0.9}
    trials = [TrialSettings(t.seed, t.lr * (1e20 if t.lr > 1 and how else 1), options) for t in WILD]
    together, apart = stack_of(trials), stack_of(trials[::2])
    wild, tame = (trained(s, t, data, "mse_logits", **how) for s, t in ((together, trials), (apart, trials[::2])))
    assert "diverged" == rows(wild, 1)[-1]["status"]
    for place in (0, 1):
        assert rows(tame, place) == rows(wild, 2 * place)
        assert_close(together.trial_state(2 * place), apart.trial_state(place), rtol=0, atol=0)


@pytest.mark.parametrize("settings", [{}, {"momentum": 0.9}, {"weight_decay": 0.1}, {"clip_norm": 1e9}])
def test_divergent_trial_is_frozen_before_its_bad_step(data: StackData, settings: dict[str, Any]) -> None:
    """Its last row says `diverged`, the last finished step and no metric; its weights are those of that step."""
    clip_norm = settings.get("clip_norm")
    options = {key: value for key, value in settings.items() if key != "clip_norm"}
    trials = [replace(t, options=options, clip_norm=clip_norm) if t.seed == 1 else t for t in WILD]
    stack = stack_of(trials)
    results = trained(stack, trials, data, "mse_logits")
    first, last = rows(results, 1)
    step = last.pop("step")
    assert ("running", 0) == (first["status"], first["step"])
    assert "diverged" == last.pop("status")
    assert 1 <= step < 5
    assert {None} == set(last.values())
    assert [None] * 2 == [result.rows[1] for result in results[2:]]

    plain = network(1)
    optimizer = torch.optim.SGD(plain.parameters(), lr=1e10, **options)
    (x, y), loss = data.train, bound("mse_logits")
    for batch in next(orders(1, 1))[:step]:
        optimizer.zero_grad()
        loss(plain(x[batch]), y[batch]).mean().backward()
        if "clip_norm" in settings:
            nn.utils.clip_grad_norm_(plain.parameters(), settings["clip_norm"])
        optimizer.step()
    frozen = stack.trial_state(1)
    assert all(value.isfinite().all() for value in frozen.values())
    assert_close(frozen, dict(plain.state_dict()), rtol=1e-3, atol=1e-3)


def test_running_statistics_are_frozen_too(data: StackData) -> None:
    """Batch normalisation of a divergent trial keeps the finite statistics of its last finished step."""
    trials = [TrialSettings(seed=t.seed, lr=t.lr * (1e28 if t.lr > 1 else 1)) for t in WILD]
    stack = stack_of(trials, batch_norm=True)
    results = trained(stack, trials, data, "hinge")
    step, state = rows(results, 1)[-1]["step"], stack.trial_state(1)
    assert "diverged" == rows(results, 1)[-1]["status"]
    assert all(value.isfinite().all() for value in state.values())
    plain = network(1, batch_norm=True).train()
    (x, y), loss = data.train, bound("hinge")
    optimizer = torch.optim.SGD(plain.parameters(), lr=1e38)
    for batch in next(orders(1, 1))[:step]:
        optimizer.zero_grad()
        loss(plain(x[batch]), y[batch]).mean().backward()
        optimizer.step()
    # The gradient of a bias that is normalised away is zero but for rounding, here times 1e38.
    expected = {name: value for name, value in plain.state_dict().items() if name != "1.bias"}
    assert_close({name: state[name] for name in expected}, expected, rtol=1e-3, atol=1e-3)


def test_trial_that_cannot_be_measured_has_diverged(data: StackData) -> None:
    """A last step of an epoch into the void is no `finished` with made-up holes, but `diverged` with its step."""
    trial = TrialSettings(seed=1, lr=1e38)
    for epochs in (1, 3):
        results = trained(stack_of([trial]), [trial], data, "hinge", batch_size=SIZE, epochs=epochs)
        assert ["running", "diverged"] == [row["status"] for row in rows(results)]
        assert [0, 1] == [row["step"] for row in rows(results)]
        assert (None, None) == (rows(results)[-1]["train_loss"], rows(results)[-1]["test_accuracy"])


def test_trial_that_starts_without_a_finite_loss_takes_no_step(data: StackData) -> None:
    """A trial whose loss is not finite before training diverges at epoch 0, with its initial weights."""
    trials = [TrialSettings(seed=0, lr=0.1), TrialSettings(seed=1, lr=0.1)]
    stack = stack_of(trials)
    with torch.no_grad():
        stack.weights[1] *= 1e30
    start = stack.trial_state(1)
    results = trained(stack, trials, data, "mse_logits")
    assert [("diverged", 0, None)] == [(r["status"], r["step"], r["train_loss"]) for r in rows(results, 1)]
    assert ["running"] * 3 + ["finished"] == [row["status"] for row in rows(results, 0)]
    assert_close(stack.trial_state(1), start, rtol=0, atol=0)


def test_training_ends_with_its_last_trial(data: StackData) -> None:
    """When every trial has diverged no further epoch is trained."""
    trials = [TrialSettings(seed=0, lr=1e10), TrialSettings(seed=1, lr=1e10)]
    assert [0, 1] == [result.epoch for result in trained(stack_of(trials), trials, data, "mse_logits", epochs=50)]


def test_clipping_saves_from_divergence(data: StackData) -> None:
    """A rate that diverges without clipping does not with a tight one, side by side."""
    trials = [TrialSettings(seed=0, lr=3.0), TrialSettings(seed=0, lr=3.0, clip_norm=0.01)]
    results = trained(stack_of(trials), trials, data, "mse_logits", epochs=10)
    assert ["diverged", "finished"] == [rows(results, trial)[-1]["status"] for trial in (0, 1)]


def test_step_schedule_over_epochs(data: StackData) -> None:
    """A step schedule of gamma so small that it stops the training does so at its epoch."""
    trial = TrialSettings(
        seed=1, lr=0.1, rate_factor=lambda epoch: rate_factor("step", epoch, 4, warmup=1, step=2, gamma=1e-30)
    )
    nll = [row["test_nll"] for row in rows(trained(stack_of([trial]), [trial], data, epochs=5))]
    assert [False, False, False, True, True] == [math.isclose(a, b) for a, b in itertools.pairwise(nll)]


def test_batches_that_are_looked_up_alone_are_the_same(data: StackData, monkeypatch: pytest.MonkeyPatch) -> None:
    """Losses, orders and weights have the bits that they have if an epoch's are looked up together, with dropout."""
    trials = [TrialSettings(seed=0, lr=0.1), TrialSettings(seed=1, lr=0.2)]
    together, alone = (stack_of(trials, dropout=0.5, batch_norm=True) for _ in range(2))
    expected = trained(together, trials, data)
    monkeypatch.setattr("clsbench.training.epoch.NUMBERS_AT_ONCE", 1)
    found = trained(alone, trials, data)
    assert [result.batches for result in expected] == [result.batches for result in found]
    for trial in range(2):
        assert [row["train_loss"] for row in rows(expected, trial)] == [row["train_loss"] for row in rows(found, trial)]
    assert together.weights.equal(alone.weights)


@pytest.mark.parametrize("hidden", [8, 3000])
def test_what_is_looked_up_together_is_bounded(data: StackData, hidden: int) -> None:
    """Batches, dropout masks and logits of several steps hold at most so many numbers, however wide the layers are."""
    trials = [TrialSettings(seed, lr=0.1) for seed in range(3)]
    stack, loss = stack_of(trials, hidden=[hidden, hidden], dropout=0.5), bound("cross_entropy")
    x, batch_size = data.train[0], 32
    number = batches_at_once(stack, loss, x, batch_size)
    masks = stack.dropout_masks([0, 1, 2], (1, 0), batch_size)
    one_step = sum(mask.numel() for mask in masks.values()) + 3 * batch_size * (x[0].numel() + loss.num_outputs)
    assert number * one_step <= NUMBERS_AT_ONCE < (number + 1) * one_step
