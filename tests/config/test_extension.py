"""How tuning's grids grow beyond an edge: the next value, its bounds, the budget, and for whom."""

from __future__ import annotations

from typing import Any

import pytest

from clsbench.config.extension import Edge, axes_at, candidates, extended, extension, merged_axes
from clsbench.config.plan import Extension, Ground, Plan, tuning_plan
from clsbench.config.schema import Experiment
from tests.config.reading import read

ALL = Ground(0, None)


def tuned(text: str, grid: str, **more: Any) -> Experiment:
    keys = "".join(f", {key}: {value}" for key, value in more.items())
    return read(f"tune: {{grid: {{{grid}}}, extend: true{keys}}}\n{text}")


def plan_of(experiment: Experiment) -> Plan:
    plan = tuning_plan(experiment)
    assert plan is not None
    return plan


def grown(experiment: Experiment, edges: dict[str, set[Edge]], rounds: int = 1, ground: Ground = ALL) -> dict[str, Any]:
    """The new values of some rounds in which the best stays on the same edges."""
    plan, tune = plan_of(experiment), experiment.tune
    assert tune is not None
    for _ in range(rounds):
        if new := extension(experiment, plan, {ground: edges}):
            plan = extended(experiment, plan, new)
    axes = axes_at(tune, plan.extensions, ground)
    return {key: list(axes[key][len(tune.grid.axes[key]) :]) for key in edges}


@pytest.mark.parametrize(
    ("values", "edge", "following"),
    [
        ([0.01, 0.1, 1.0], "high", 10.0),
        ([1.0, 0.01, 0.1], "low", 0.001),
        ([0.1, 0.3, 1, 3], "high", 9.0),
        ([1e-3, 1e-2, 0], "high", 0.1),
        ([0, 1e-4], "high", 2e-4),
        ([0, 1, 2], "high", 3),
        ([1, 2, 3], "low", 0),
        ([0.1, 0.2, 0.3], "high", 0.4),
        ([1, 10], "high", 100),
        ([1, 10], "low", 0.1),
        ([None, 1.0, 5.0], "low", 0.2),
        ([2.0, 3.0], "high", 4.5),
    ],
)
def test_the_next_value_continues_the_spacing(values: list[Any], edge: Edge, following: float) -> None:
    """By the step where steps are equal or a ratio has no meaning, else by the ratio; null is no number."""
    found = next(candidates(values, edge))
    assert (following, type(following)) == (found, type(found))


def test_one_value_has_no_spacing() -> None:
    """Beyond a single value, or one beside null, nothing is known to come next."""
    assert [] == [*candidates([1.0], "high"), *candidates([None, 1.0], "low"), *candidates([1e-320, 1e300], "high")]


@pytest.mark.parametrize(
    ("text", "grid", "edge", "new"),
    [
        ("", "lr: [0.1, 0.2, 0.3]", "low", [0.05]),  # a step would come to 0
        ("", "momentum: [0, 0.9]", "high", []),
        ("", "momentum: [0.5, 0.7]", "high", [0.98]),
        ("optimizer: {nesterov: true}", "momentum: [0.2, 0.4, 0.6]", "low", [0.1]),
        ("", "warmup: [2, 4, 6]", "high", [8]),
        ("", "warmup: [1, 2, 4]", "low", [0]),
        ("", "step: [5, 10, 20]", "low", [2]),
        ("", "step: [1, 2]", "low", []),
        ("loss: cross_entropy", "label_smoothing: [0, 0.4, 0.8]", "high", []),
        ("loss: focal", "gamma: [1, 2, 3]", "low", [0]),
        ("optimizer: {schedule: {name: step}}\nloss: focal", "gamma: [1, 2, 3]", "low", [0.5]),
    ],
)
def test_new_values_keep_to_what_a_config_may_have(text: str, grid: str, edge: Edge, new: list[float]) -> None:
    """The bounds of the option, whole numbers where it takes nothing else, and what its neighbours ask for."""
    assert {grid.partition(":")[0]: new} == grown(tuned(text, grid), {grid.partition(":")[0]: {edge}})


def test_a_grid_grows_to_twice_its_settings() -> None:
    """Three values become six and no more, in whichever direction; a round that would go beyond is not begun."""
    assert {"lr": [10.0, 100.0, 1000.0]} == grown(tuned("", "lr: [0.01, 0.1, 1.0]"), {"lr": {"high"}}, rounds=9)
    assert {"lr": [0.001, 10.0, 0.0001]} == grown(tuned("", "lr: [0.01, 0.1, 1.0]"), {"lr": {"high", "low"}}, rounds=9)
    two = tuned("", "lr: [0.1, 1.0], weight_decay: [0.01, 0.1]")
    assert {"lr": [10.0], "weight_decay": []} == grown(two, {"lr": {"high"}, "weight_decay": {"high"}})
    assert {"lr": [10.0, 100.0], "weight_decay": []} == grown(two, {"lr": {"high"}, "weight_decay": {"high"}}, rounds=9)


def test_the_budget_is_that_of_each_arm() -> None:
    """No arm tries more than twice its own settings: of one that also tries another option, six become twelve."""
    both = tuned("loss: [focal, hinge]", "lr: [0.1, 1.0], gamma: [1, 2, 3]")
    assert {"lr": [10.0], "gamma": [4]} == grown(both, {"lr": {"high"}, "gamma": {"high"}}, rounds=9)
    assert {"gamma": [4, 5, 6]} == grown(both, {"gamma": {"high"}}, rounds=9)


def test_all_arms_of_a_comparison_grow_together_and_keep_their_numbers() -> None:
    """Each of its losses tries the new value on the same seeds, after what was planned; another comparison does not."""
    experiment = tuned("loss: [bce, hinge]\ntrain: {batch_size: [8, 16]}", "lr: [0.1, 1.0]", seeds=2)
    before = plan_of(experiment)
    after = extended(experiment, before, {Ground(1, None): {"lr": (10.0,)}})
    assert before.trials == after.trials[: len(before.trials)]
    assert len(before.trials) == after.since
    assert list(range(len(after.trials))) == [trial.number for trial in after.trials]
    new = [(each.arm.loss.name, each.arm.batch_size, each.arm.lr, each.seed) for each in after.trials[after.since :]]
    assert [(loss, 16, 10.0, seed) for loss in ("bce", "hinge") for seed in (10000, 10001)] == new
    assert [trial for stack in after.stacks() for trial in stack] == list(after.trials[after.since :])
    assert 2 == len(after.comparisons)
    assert [4, 6] == [len(arms) for arms in after.comparisons]


def test_a_plan_that_grew_is_that_of_the_whole_grid() -> None:
    """What is tried after two rounds is what the grid written out would try, no setting twice."""
    grid = "lr: [0.1, 1.0], momentum: [0.2, 0.4]"
    experiment = tuned("loss: [focal, bce]", grid, seeds=2)
    rounds: list[Extension] = [{ALL: {"lr": (10.0,)}}, {ALL: {"lr": (0.01,), "momentum": (0.8,)}}]
    plan = plan_of(experiment)
    for new in rounds:
        plan = extended(experiment, plan, new)
    whole = plan_of(tuned("loss: [focal, bce]", "lr: [0.1, 1.0, 10.0, 0.01], momentum: [0.2, 0.4, 0.8]", seeds=2))
    of_both = [sorted((trial.arm.name, trial.seed) for trial in each.trials) for each in (plan, whole)]
    assert of_both[1] == of_both[0]
    assert {"lr": [10.0, 0.01], "momentum": [0.8]} == merged_axes(each[ALL] for each in plan.extensions)


def test_a_seed_that_tunes_by_itself_grows_by_itself() -> None:
    """Only its own tuning seeds try the new value, inside its own split; another seed's budget is its own."""
    experiment = tuned("train: {seeds: [3, 7]}", "lr: [0.1, 1.0]", seeds=2, protocol="per_arm_per_seed")
    plan = plan_of(experiment)
    after = extended(experiment, plan, {Ground(0, 7): {"lr": (10.0,)}})
    assert {(10007, 7), (20007, 7)} == {(trial.seed, trial.tunes) for trial in after.trials[after.since :]}
    assert {Ground(0, 3): {"lr": (10.0,)}} == extension(experiment, plan, {Ground(0, 3): {"lr": {"high"}}})
    both = extended(experiment, after, {Ground(0, 3): {"lr": (10.0,)}})
    names = [arm.name for arm in both.arms]
    assert len(names) == len(set(names)) == 2 * 3
