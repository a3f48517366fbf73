"""The promises, asked of whole runs: independent to the last bit, and repeatable."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import clsbench
import clsbench.shown
from clsbench.registry import catalogue
from clsbench.training.evaluation import GROUP
from tests.promises.curves import MLP, MOONS, TEN, Config, Run, as_text, assert_part, curves

LOSSES = [loss.name for loss in catalogue.losses() if "single_label" in loss.problems]


# Independent: whatever else is in the config.


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dataset", [MOONS, TEN], ids=["moons", "ten"])
def test_each_loss_is_as_alone(run: Run, dataset: Config, name: str) -> None:
    """Beside two other losses and two more seeds, a loss's records are those it has by itself."""
    others = [other for other in LOSSES if other != name][:2]
    whole = run(dataset, loss=[others[0], name, others[1]], seeds=[0, 4, 2], batch_size=7)
    assert_part(run(dataset, loss=name, batch_size=7), whole)


def test_number_of_seeds_does_not_matter(run: Run) -> None:
    """One, three and ten seeds give the same records for the seeds that they share."""
    ten = run(seeds=10, loss=["mse_sigmoid", "cross_entropy"])
    for seeds in (1, 3, [7], [9, 0]):
        assert_part(run(seeds=seeds, loss=["mse_sigmoid", "cross_entropy"]), ten)


def test_trials_measured_in_groups_are_as_alone(run: Run) -> None:
    """A stack too large to be measured at once records what a small one does."""
    many = run(seeds=GROUP + 2, dataset=TEN)
    for seeds in ([0], [GROUP // 2, GROUP // 2 + 1], [GROUP + 1]):
        assert_part(run(seeds=seeds, dataset=TEN), many)


@pytest.mark.parametrize("optimizer", [{"momentum": 0.9, "clip_norm": 1.0}, {"name": "adamw", "weight_decay": 0.1}])
def test_trials_moved_in_groups_are_as_alone(run: Run, monkeypatch: pytest.MonkeyPatch, optimizer: Config) -> None:
    """Where a cache holds the weights of two trials, a lone one, a pair and five, moved by twos, record the same."""
    weights = {"name": "mlp", "hidden": [40, 40]}
    whole = run(seeds=5, model=weights, optimizer=optimizer)
    monkeypatch.setattr("clsbench.training.stack.CACHED", 2 * 2048)
    assert curves(whole) == curves(run(seeds=5, model=weights, optimizer=optimizer))
    for seeds in ([3], [4, 1]):
        assert_part(run(seeds=seeds, model=weights, optimizer=optimizer), whole)


@pytest.mark.parametrize("stack", [1, 2, 3])
def test_size_of_the_stack_does_not_matter(run: Run, stack: int) -> None:
    """Seven trials in stacks of one, two or three are those of one stack."""
    whole = run(seeds=7, batch_size=33, loss=["focal"])
    pieces = run(seeds=7, batch_size=33, loss=["focal"], stack=stack)
    assert -(-7 // stack) == pieces.summary["engine"]["stacks"]
    assert curves(whole) == curves(pieces)


def test_order_does_not_matter(run: Run) -> None:
    """Losses, learning rates and seeds in another order are the same trials."""
    forth = run(loss=["bce", "hinge", "mse_softmax"], optimizer={"lr": [0.01, 0.1, 1.0]}, seeds=[1, 2, 3])
    back = run(loss=["mse_softmax", "hinge", "bce"], optimizer={"lr": [1.0, 0.01, 0.1]}, seeds=[3, 1, 2])
    assert 27 == len(curves(forth))
    assert curves(forth) == curves(back)


@pytest.mark.parametrize(
    ("threads", "model", "optimizer"),
    [
        (1, {"name": "linear"}, {"lr": [0.1, 0.5], "momentum": 0.9, "nesterov": True}),
        (1, {**MLP, "activation": "tanh", "dropout": 0.3}, {"lr": [0.1, 0.5], "momentum": [0.0, 0.9]}),
        (1, {**MLP, "activation": "sigmoid", "batch_norm": True}, {"name": "adam", "lr": [0.01, 0.05]}),
        (
            1,
            {"name": "mlp", "activation": "gelu", "dropout": 0.1, "batch_norm": True},
            {"name": "adamw", "lr": [0.01, 0.1]},
        ),
        (2, {"name": "mlp", "hidden": [130, 65]}, {"lr": [0.1, 0.5], "clip_norm": [0.1, None]}),
        (1, {"name": "mlp", "hidden": [131, 129]}, {"lr": [0.1, 0.5], "momentum": 0.9}),
        (1, MLP, {"lr": [0.1, 0.5], "schedule": {"name": "cosine", "warmup": [0, 1]}}),
        (
            1,
            {**MLP, "init": {"weights": "normal", "bias": "normal"}},
            {"name": "adam", "lr": [0.1, 0.5], "weight_decay": [0.0, 0.1]},
        ),
        (1, MLP, {"name": "adamw", "lr": [0.1, 0.5], "weight_decay": [0.0, 1.0], "decay_biases": False}),
    ],
    ids=["nesterov", "momentum", "adam", "adamw", "clip", "wide", "schedule", "decay", "spared"],
)
def test_model_and_optimizer_do_not_matter(run: Run, threads: int, model: Config, optimizer: Config) -> None:
    """Two losses in two settings and two seeds have each other's company or not, for every layer and update."""
    whole = run(model=model, loss=["mse_softmax", "cross_entropy"], optimizer=optimizer, seeds=[4, 0], threads=threads)
    by_arm: dict[str, list[str]] = {}
    for record in whole.records:
        if record["seed"] == 4:
            by_arm.setdefault(record["arm"], []).append(as_text(record))
    for place in (0, -1):
        part = run(model=model, loss="cross_entropy", optimizer=only(optimizer, place), threads=threads)
        (alone,) = curves(part).values()
        assert alone in by_arm.values()


def only(settings: Config, place: int) -> Config:
    """Of every swept setting, the value at one place."""
    swept = {key: value[place] for key, value in settings.items() if isinstance(value, list)}
    inner = {key: only(value, place) for key, value in settings.items() if isinstance(value, dict)}
    return {**settings, **swept, **inner}


MODELS = st.fixed_dictionaries(
    {"name": st.just("mlp"), "hidden": st.lists(st.integers(1, 40), min_size=1, max_size=2)},
    optional={
        "activation": st.sampled_from(["relu", "tanh", "sigmoid", "gelu"]),
        "batch_norm": st.booleans(),
        "dropout": st.sampled_from([0.0, 0.1, 0.5]),
    },
)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    model=MODELS | st.just({"name": "linear"}),
    losses=st.lists(st.sampled_from(LOSSES), min_size=1, max_size=4, unique=True),
    seeds=st.lists(st.integers(0, 99), min_size=1, max_size=6, unique=True),
    samples=st.integers(30, 400),
    classes=st.integers(2, 10),
    batch_size=st.integers(1, 70),
    optimizer=st.sampled_from(
        [{"name": "sgd", "momentum": 0.5}, {"name": "adam"}, {"name": "adamw", "clip_norm": 0.5}]
    ),
    stack=st.sampled_from(["auto", 1, 2, 3]),
    data=st.data(),
)
def test_nothing_else_matters(
    run: Run,
    model: Config,
    losses: list[str],
    seeds: list[int],
    samples: int,
    classes: int,
    batch_size: int,
    optimizer: Config,
    stack: str | int,
    data: st.DataObject,
) -> None:
    """Of any run, any part run by itself has the same records."""
    same = {"model": model, "batch_size": batch_size, "optimizer": {"lr": 0.05, **optimizer}, "epochs": 1}
    dataset = {"name": "blobs", "samples": samples, "classes": classes}
    whole = run(dataset, loss=losses, seeds=seeds, stack=stack, **same)
    part = run(dataset, loss=data.draw(st.sampled_from(losses)), seeds=[data.draw(st.sampled_from(seeds))], **same)
    assert_part(part, whole)


LAYERS = [
    {**MLP, "activation": "tanh", "dropout": 0.3},
    {"name": "mlp", "activation": "gelu", "batch_norm": True},
    {"name": "mlp", "hidden": [130, 65], "activation": "sigmoid"},
]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("model", LAYERS, ids=["dropout", "norm", "wide"])
def test_neighbours_do_not_matter_in_bfloat16(run: Run, model: Config, threads: int) -> None:
    """Layers in half the bits make other records, near to those in float32, and each is still as alone."""
    same = {"model": model, "threads": threads, "batch_size": 33, "precision": "bfloat16"}
    whole = run(loss=["mse_softmax", "cross_entropy"], seeds=[4, 0, 2], **same)
    assert "bfloat16" == whole.summary["engine"]["precision"]
    assert_part(run(loss="cross_entropy", seeds=[2], **same), whole)
    assert_part(run(loss="mse_softmax", seeds=[0, 4], **same), whole)
    exact = run(loss=["mse_softmax", "cross_entropy"], seeds=[4, 0, 2], **{**same, "precision": "float32"})
    for ours, theirs in zip(whole.records, exact.records, strict=True):
        if ours["epoch"] == 0:
            assert as_text(ours) == as_text(theirs)
        else:
            assert pytest.approx(theirs["train_loss"], rel=0.02) == ours["train_loss"] != theirs["train_loss"]


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_convolutions_are_as_alone(run: Run, precision: str) -> None:
    """A convolutional network beside another loss and seed has the records that it has by itself."""
    images, cnn = {"name": "digits", "limit": 250}, {"name": "cnn", "channels": [4, 6], "hidden": 16}
    whole = run(images, cnn, ["mse_softmax", "cross_entropy"], seeds=[4, 0], precision=precision)
    assert_part(run(images, cnn, "cross_entropy", precision=precision), whole)


def test_divergence_is_no_neighbours_business(run: Run) -> None:
    """Beside a trial that diverges, the others' records are what they are without it."""
    whole = run(loss=["mse_logits", "cross_entropy"], optimizer={"lr": [0.1, 1e10]}, seeds=[0, 4])
    assert_part(run(loss="mse_logits"), whole)
    bad = [record for record in whole.records if record["loss"] == "mse_logits" and record["lr"] == 1e10]
    assert ["running", "running", "diverged", "diverged"] == [record["status"] for record in bad]
    assert 2 == whole.arms["mse_logits lr=10000000000.0"]["diverged"]
    assert [None, None] == whole.arms["mse_logits lr=10000000000.0"]["metrics"]["test_accuracy"]["values"]
    assert 0 == whole.arms["mse_logits lr=0.1"]["diverged"]


# Repeatable.


def test_same_config_gives_the_same_records(run: Run) -> None:
    """A second run of a config, and a run of the first one's own config.yaml, repeat its bytes."""
    model = {**MLP, "dropout": 0.2, "batch_norm": True}
    loss = [{"name": "focal", "gamma": 1.5}, {"name": "bce", "outputs": 1, "lr": 0.05, "label": "one output"}]
    first = run(model=model, loss=loss, optimizer={"lr": 0.3, "clip_norm": 1.0}, seeds=[3, 1])
    again = run(model=model, loss=loss, optimizer={"lr": 0.3, "clip_norm": 1.0}, seeds=[3, 1])
    by_file = clsbench.run(first.directory / "config.yaml", output=first.directory.parent.parent)
    assert first.directory != again.directory != by_file.directory
    assert curves(first) == curves(again) == curves(by_file)


@pytest.mark.parametrize(
    ("dataset", "model"),
    [
        (MOONS, {**MLP, "dropout": 0.5}),
        ({"name": "digits", "limit": 100}, {"name": "cnn", "channels": [2], "hidden": 4}),
    ],
    ids=["stacked", "one after the other"],
)
def test_global_randomness_does_not_matter(run: Run, dataset: Config, model: Config) -> None:
    """What the user has drawn before is no part of a run, nor does a run touch what comes next."""
    first = run(model=model, dataset=dataset)
    torch.manual_seed(123)
    before = torch.get_rng_state()
    again = run(model=model, dataset=dataset)
    assert torch.equal(before, torch.get_rng_state())
    assert curves(first) == curves(again)
