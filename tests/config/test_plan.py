"""From an experiment to comparisons, arms, trials and stacks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

import clsbench.experiment  # noqa: F401 - registers all that there is
from clsbench.config.memory import BATCHES, MAX_STACK, MEASURED, STACK_BYTES
from clsbench.config.plan import MAX_TRIALS, Plan, make_plan
from clsbench.config.reader import read_mapping
from clsbench.errors import ConfigError
from clsbench.problems import Posed, SingleLabel
from clsbench.registry import model
from clsbench.training.evaluation import forward_slices
from clsbench.training.step import UNROLLED


def plan(**tree: Any) -> Plan:
    return make_plan(read_mapping(tree))


def names(**tree: Any) -> list[str]:
    return [arm.name for arm in plan(**tree).arms]


def test_trials_are_numbered_in_plan_order() -> None:
    """Arm by arm in the order of the grid, and inside an arm seed by seed as listed."""
    made = plan(loss=["bce", "hinge"], train={"seeds": [7, 3]})
    assert [(0, "bce", 7), (1, "bce", 3), (2, "hinge", 7), (3, "hinge", 3)] == [
        (trial.number, trial.arm.name, trial.seed) for trial in made.trials
    ]
    assert 4 * 20 == made.num_trial_epochs


def test_lone_arm_is_called_by_its_loss() -> None:
    """What is not swept is not in the name, not even a value unlike the default."""
    assert ["focal"] == names(loss={"name": "focal", "gamma": 5}, optimizer={"lr": 0.3}, train={"batch_size": 7})
    assert ["sharp"] == names(loss={"name": "focal", "gamma": 5, "label": "sharp"})


def test_swept_settings_are_in_the_name_sorted_and_as_in_json() -> None:
    """`key=value` with the last part of the dotted name, whole numbers whole, null as null, datasets by label."""
    assert ["mse_softmax lr=0.3", "mse_softmax lr=1"] == names(loss="mse_softmax", optimizer={"lr": [0.3, 1]})
    assert ["hinge clip_norm=null", "hinge clip_norm=0.5"] == names(loss="hinge", optimizer={"clip_norm": [None, 0.5]})
    made = names(loss="bce", optimizer={"momentum": [0, 0.9], "lr": [1e-3, 10]})
    assert ["bce lr=0.001 momentum=0", "bce lr=0.001 momentum=0.9"] == made[:2]
    made = names(
        dataset=["moons", {"name": "circles", "label": "rings"}],
        model=[{"name": "mlp", "init": {"weights": "normal", "scale": [1, 5.0]}}, "linear"],
        loss="bce",
        train={"batch_size": [16, 32]},
        optimizer={"schedule": {"warmup": [0, 2]}},
    )
    assert 2 * 3 * 2 * 2 == len(made)
    assert "bce batch_size=16 dataset=moons model=mlp scale=1 warmup=0" == made[0]
    assert "bce batch_size=32 dataset=rings model=linear warmup=2" == made[-1]
    assert "bce batch_size=32 dataset=moons model=mlp scale=5.0 warmup=0" in made


def test_comparisons_share_dataset_model_init_scale_and_batch_size() -> None:
    """A comparison holds all losses and optimizer settings of one ground, and nothing of another."""
    made = plan(
        dataset=["moons", "circles"],
        model={"name": "mlp", "init": {"weights": "normal", "scale": [1, 2]}},
        loss=["bce", "hinge"],
        train={"batch_size": [16, 32]},
        optimizer={"lr": [0.1, 1.0]},
    )
    grounds = [{(a.dataset.name, a.scale, a.batch_size) for a in arms} for arms in made.comparisons]
    assert [1] * 8 == [len(ground) for ground in grounds]
    assert 8 == len(set.union(*grounds))
    assert [4] * 8 == [len(arms) for arms in made.comparisons]
    assert {("bce", 0.1), ("bce", 1.0), ("hinge", 0.1), ("hinge", 1.0)} == {
        (arm.loss.name, arm.lr) for arm in made.comparisons[5]
    }


def test_learning_rate_of_a_loss_replaces_the_sweep() -> None:
    """A loss with a rate of its own is trained at that alone; the others are swept."""
    made = plan(loss=["bce", {"name": "hinge", "lr": 7}], optimizer={"lr": [0.1, 1.0]})
    assert [("bce lr=0.1", 0.1), ("bce lr=1.0", 1.0), ("hinge", 7.0)] == [(arm.name, arm.lr) for arm in made.arms]


def test_setting_names_reduction_weight_and_rate() -> None:
    """Wherever a loss is named, reduction, weight and learning rate can be printed with it."""
    (arm,) = plan(loss={"name": "bce", "weight": 2, "reduction": "mean", "lr": 3}).arms
    assert "reduction=mean, label_smoothing=0.0, weight=2, lr=3" == arm.setting


@pytest.mark.parametrize(
    "tree",
    [
        {"loss": ["focal", {"name": "focal", "gamma": 1}]},
        {"loss": ["focal", {"name": "hinge", "label": "focal"}]},
        {"loss": "focal", "optimizer": {"lr": [0.1, 0.1]}},
        {"loss": ["focal", {"name": "focal", "label": "focal lr=0.1", "lr": 1}], "optimizer": {"lr": [0.1, 1]}},
        {"dataset": ["moons", {"name": "moons", "noise": 0.5}]},
    ],
)
def test_arms_of_one_name_are_refused(tree: dict[str, Any]) -> None:
    """Two arms that could not be told apart are a mistake of the config, and labels are the way out."""
    with pytest.raises(ConfigError, match=r"2 arms are called '.*'; give their entries distinct labels"):
        read_mapping(tree)
    labelled = {"loss": ["focal", {"name": "focal", "gamma": 1, "label": "soft"}]}
    assert ["focal", "soft"] == names(**labelled)


def test_grid_of_a_million_trials_is_refused_with_the_limit() -> None:
    """Counting comes before multiplying out: the refusal is immediate and names the limit."""
    sweep = [n / 1000 for n in range(1, 101)]
    with pytest.raises(ConfigError, match=f"2,000,000 trials; the limit is {MAX_TRIALS:,}"):
        plan(optimizer={"lr": sweep, "momentum": sweep}, train={"seeds": 100})
    with pytest.raises(ConfigError, match=r"8,589,934,590 trials; the limit is 100,000"):
        plan(train={"seeds": 2**32 - 1})
    assert MAX_TRIALS == len(plan(loss="bce", train={"seeds": MAX_TRIALS}).trials)


def stacks(**tree: Any) -> list[list[int]]:
    return [[trial.number for trial in stack] for stack in plan(**tree).stacks()]


def test_stack_holds_one_loss_with_all_that_may_differ_by_trial() -> None:
    """Seed, rate, momentum, decay and init scale share a stack; loss, its options and batch size do not."""
    together = {
        "model": {"name": "mlp", "init": {"weights": "normal", "scale": [1, 2]}},
        "optimizer": {"lr": [0.1, 1.0], "momentum": [0, 0.9], "weight_decay": [0, 0.1]},
        "train": {"seeds": 3},
    }
    assert [list(range(48))] == stacks(**together, loss="bce")
    assert [[0, 1], [2, 3]] == stacks(loss=["bce", "hinge"], train={"seeds": 2})
    assert [[0, 1]] == stacks(loss=["bce", {"name": "bce", "label": "b", "lr": 9, "weight": 2}], train={"seeds": 1})
    assert [[0], [1]] == stacks(loss=["bce", {"name": "bce", "label": "b", "reduction": "mean"}], train={"seeds": 1})
    assert [[0], [1]] == stacks(loss="bce", train={"seeds": 1, "batch_size": [8, 16]})
    assert [[0], [1]] == stacks(loss="bce", dataset=["moons", "circles"], train={"seeds": 1})
    assert [[0], [1]] == stacks(loss="bce", model=["mlp", "linear"], train={"seeds": 1})


def test_splits_by_seed_share_a_stack_if_they_are_alike() -> None:
    """With `per_seed` the seeds train together, except those whose splits turn out to have other sizes or shapes."""
    per_seed = {"name": "moons", "split_seed": "per_seed"}
    made = plan(dataset=per_seed, loss="bce", optimizer={"lr": [0.1, 1.0]}, train={"seeds": [7, 3, 5, 6]})
    assert [7, 3, 5, 6] * 2 == [trial.dataset.split_seed for trial in made.trials]
    assert {"per_seed"} == {trial.arm.dataset.split_seed for trial in made.trials}
    assert [list(range(8))] == [[trial.number for trial in stack] for stack in made.stacks()]
    alike, larger, wider = (
        Posed((2,), SingleLabel(2), sizes=(60, 20, 20)),
        Posed((2,), SingleLabel(2), sizes=(61, 20, 19)),
        Posed((3,), SingleLabel(2), sizes=(60, 20, 20)),
    )
    posed = {trial.data_key: known for trial, known in zip(made.trials, (alike, larger, alike, wider), strict=False)}
    opened = replace(made, posed=posed).stacks()
    assert [[0, 2, 4, 6], [1, 5], [3, 7]] == [[trial.number for trial in stack] for stack in opened]


def test_stack_is_cut_in_pieces() -> None:
    """`train.stack` bounds the pieces, which are of like size; without it the engine's own bound does."""
    assert [[0, 1], [2, 3], [4, 5, 6]] == stacks(loss="bce", train={"seeds": 7, "stack": 3})
    assert [150, 150] == [len(stack) for stack in stacks(loss="bce", train={"seeds": 300})]
    assert [MAX_STACK] == [len(stack) for stack in stacks(loss="bce", train={"seeds": MAX_STACK})]


def largest(optimizer: str = "sgd", batch_size: int = 32, **tree: Any) -> int:
    train = {"seeds": 4 * MAX_STACK, "batch_size": batch_size}
    return max(map(len, stacks(optimizer={"name": optimizer}, loss="bce", train=train, **tree)))


def test_stack_of_large_networks_is_cut_to_the_budget() -> None:
    """A network of 64 MB is trained a few at a time, fewer with Adam's state or a huge batch, and never none."""
    mnist = {"dataset": {"name": "mnist", "test_fraction": None}}
    wide = {**mnist, "model": {"name": "mlp", "hidden": [4096, 3072]}}
    state = 3 * 4 * (785 * 4096 + 4097 * 3072 + 3073 * 10)
    assert STACK_BYTES / (2 * state) * 0.8 < largest(**wide) <= STACK_BYTES / (2 * state)
    assert largest("adam", **wide) < largest(**wide)
    assert largest(batch_size=48_000, **mnist) < largest(**mnist) == MAX_STACK
    assert 1 == largest(**mnist, model={"name": "mlp", "hidden": [30_000, 30_000]})


def test_data_that_must_be_opened_bound_the_stack_then() -> None:
    """A table's columns are counted once it is opened; the trials are the same, in smaller pieces."""
    made = plan(dataset={"name": "csv", "path": "a.csv"}, model="mlp", loss="bce", train={"seeds": MAX_STACK})
    key = made.trials[0].data_key
    opened = replace(made, posed={key: Posed((2**20,), SingleLabel(2))}).stacks()
    assert max(map(len, opened)) < MAX_STACK == len(made.stacks()[0])


def test_state_of_a_trial_is_counted_without_making_it() -> None:
    """Weights, gradients and what the optimizer keeps, 4 bytes each; unknown where the columns are."""
    mlp = {"name": "mlp", "hidden": [32, 32]}
    for optimizer, copies in (("sgd", 3), ("adam", 4)):
        made = plan(dataset="moons", model=mlp, loss="cross_entropy", optimizer={"name": optimizer})
        assert 4 * copies * (3 * 32 + 33 * 32 + 33 * 2) == made.state_bytes(made.arms[0])
    made = plan(dataset={"name": "csv", "path": "a.csv"}, model=mlp, loss="bce")
    assert made.state_bytes(made.arms[0]) is None


def test_budget_knows_the_engine() -> None:
    """What is measured at once, and the batches of one graph, are those that the engine has."""
    most = max(rows.stop - rows.start for number in range(1, 3000) for rows in forward_slices(number))
    assert most <= MEASURED < 1.01 * most
    assert BATCHES == UNROLLED[-1]


def test_stacked_model_tells_its_size() -> None:
    """A model that would be stacked by the hundred without a known size is refused where it is registered."""
    with pytest.raises(ValueError, match="model 'mine' is stacked: give its size"):
        model("mine", stacked=True)(lambda shape, num_outputs: None)


def test_convolutions_go_one_at_a_time() -> None:
    """A model that takes no trial axis is never stacked, whatever is asked for."""
    assert [[0], [1], [2]] == stacks(
        dataset="fake_data", model="cnn", loss="cross_entropy", train={"seeds": 3, "stack": 9}
    )
