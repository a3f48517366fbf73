"""The `tune` section and matched weights: what is read, what is planned, and every mistake in its place."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from clsbench.config.dump import as_yaml
from clsbench.config.grid import settings_for
from clsbench.config.plan import MAX_TRIALS, make_plan, tuning_plan
from clsbench.config.reader import read_mapping
from clsbench.metrics.measures import on_split
from clsbench.problems import SingleLabel
from tests.config.reading import mistakes, read


def grid(text: str, optimizer: str = "sgd") -> dict[str, Any]:
    experiment = read(f"tune: {{grid: {{{text}}}}}\noptimizer: {{name: {optimizer}}}")
    assert experiment.tune is not None
    return experiment.tune.grid.axes


def test_defaults_of_tuning_are_those_of_the_contract() -> None:
    """An empty `tune` tunes the learning rate over three decades, on three seeds, by accuracy, arm by arm."""
    tune = {"grid": {"lr": [0.01, 0.1, 1.0]}, "seeds": 3, "metric": "val_accuracy", "protocol": "per_arm"}
    tune |= {"extend": False}
    assert tune == read("tune: {}").to_dict()["tune"]
    assert read("{}").tune is None


def test_log_is_so_many_values_with_both_ends() -> None:
    """`log(1e-3, 1, 7)` is seven values, each the same factor over the last, the ends exact."""
    (values,) = grid('lr: "log(1e-3, 1, 7)"').values()
    assert 7 == len(values)
    assert (1e-3, 1.0) == (values[0], values[-1])
    assert [10**0.5] * 6 == pytest.approx([after / before for before, after in pairwise(values)])
    assert {"lr": (0.1, 1.0, 10.0, 100.0, 1000.0, 10000.0)} == grid("lr: 'log(0.1,10000,6)'")
    assert {"eps": (1e-8, 1.0)} == grid('eps: " log( 1e-8 , 1 , 2 ) "', "adam")


@pytest.mark.parametrize(
    "text",
    ["log(1, 0.1, 3)", "log(0, 1, 3)", "log(1, 1, 3)", "log(0.1, 1, 1)", "log(0.1, 1, 2.5)", "log(0.1, 1, 1001)",
     "log(0.1, 1)", "log(nan, 1, 3)", "log(1, inf, 3)", "log(a, 1, 3)", "log(__import__('os'), 1, 3)", "0.1", "lin"],
)  # fmt: skip
def test_text_that_is_no_log_is_refused_with_the_form(text: str) -> None:
    """What is neither a list nor a log of two bounds and a count says so, where it stands."""
    (mistake,) = mistakes(f'tune: {{grid: {{lr: "{text}"}}}}')
    rule = "must be a list of numbers, or log(LOW, HIGH, N) with 0 < LOW < HIGH and N from 2 to 1000"
    assert mistake.startswith(f"f:1:19: tune.grid.lr: {rule}, got ")


def test_grid_takes_every_sweepable_number_in_one_order() -> None:
    """The grid's keys are the optimizer's and the schedule's; settings multiply out in that order, the last fastest."""
    for name, own in (("sgd", "lr momentum weight_decay"), ("adamw", "lr weight_decay eps")):
        keys = (*own.split(), "clip_norm", "warmup", "step", "gamma")
        assert keys == tuple(read(f"optimizer: {{name: {name}}}").optimizer.swept)
        text = ", ".join(f"{key}: [1]" for key in reversed(keys)).replace("momentum: [1]", "momentum: [0.5]")
        assert keys == tuple(grid(text, name))
    experiment = read("tune: {grid: {momentum: [0, 0.9], lr: [1, 2]}}")
    assert experiment.tune is not None
    expected = [{"lr": lr, "momentum": momentum} for lr in (1, 2) for momentum in (0, 0.9)]
    assert expected == settings_for(experiment, experiment.loss[0])
    assert {"clip_norm": (None, 1)} == grid("clip_norm: [null, 1]")


def test_metrics_to_tune_by_are_recorded_and_have_a_direction() -> None:
    """What `tune.metric` may name is a validation metric of a record, of which more or less is better."""
    for name, known in on_split("val", SingleLabel).items():
        if known.by_class:
            assert [
                f"f:1:16: tune.metric: {name} has a number for each class; use val_balanced_accuracy, their mean recall"
            ] == (mistakes(f"tune: {{metric: {name}}}"))
            continue
        dataset = "grades" if name == "val_class_mae" else "moons"
        assert name == read(f"dataset: {dataset}\ntune: {{metric: {name}}}").tune.metric
        assert known.better is not None


def test_tune_section_reads_back_as_itself() -> None:
    """What config.yaml keeps of it, logs multiplied out, is the same experiment."""
    text = 'tune: {grid: {lr: "log(1e-3, 1, 4)", clip_norm: [null, 1]}, protocol: shared}\nloss: [bce, hinge]\n'
    once = read(text)
    again = read(as_yaml(once.to_dict()))
    assert once == again
    assert yaml.safe_load(as_yaml(once.to_dict())) == once.to_dict()


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("tune: 3", "f:1:7: tune: must be a mapping of keys, got 3"),
        ("tune: {grid: {}}", "f:1:14: tune.grid: an empty grid; give values for one or more of lr, momentum, "
         "weight_decay, clip_norm, warmup, step, gamma, class_weight, M, delta, k, label_smoothing, temperature"),
        ("tune: {grid: {lr: []}}", "f:1:19: tune.grid.lr: an empty list; give at least one value"),
        ("tune: {grid: {lr: [0.1, 0]}}", "f:1:25: tune.grid.lr: must be a number above 0, got 0"),
        ("tune: {grid: {lr: [1, 1.0]}}", "f:1:19: tune.grid.lr: a value is listed twice: [1, 1.0]"),
        ("tune: {grid: {momentun: [0]}}", "f:1:15: tune.grid.momentun: unknown key; did you mean 'momentum'?"),
        ("tune: {grid: {warmup: [1.5]}}", "f:1:24: tune.grid.warmup: must be a whole number, got 1.5"),
        ("tune: {gird: {lr: [1]}}", "f:1:8: tune.gird: unknown key; did you mean 'grid'?"),
        ("tune: {seeds: 0}", "f:1:15: tune.seeds: must be at least 1, got 0"),
        ("tune: {extend: 2}", "f:1:16: tune.extend: must be true or false, got 2"),
        ("tune: {metric: test_accuracy}", "f:1:16: tune.metric: unknown validation metric 'test_accuracy'; "
         "did you mean 'val_accuracy'?"),
        ("tune: {protocol: each}", "f:1:18: tune.protocol: must be 'per_arm', 'shared' or "
         "'per_arm_per_seed', got 'each'"),
        ("tune: {}\noptimizer: {lr: [1, 2]}",
         "f:2:17: optimizer.lr: lr is tuned, so it cannot be swept too; drop one of the two"),
        ("tune: {grid: {gamma: [0.5]}}\noptimizer: {schedule: {gamma: [1, 2]}}",
         "f:2:31: optimizer.schedule.gamma: gamma is tuned, so it cannot be swept too; drop one of the two"),
        ("tune: {}\nloss: [bce, {name: hinge, lr: 1}]",
         "f:2:31: loss.lr: lr is tuned, so a loss cannot bring its own; drop one of the two"),
        ("tune: {}\ndataset: {name: moons, val_fraction: 0}",
         "f:2:38: dataset.val_fraction: `tune` goes by validation data; give a fraction above 0"),
        ("tune: {grid: {momentum: [0.9]}}\noptimizer: {name: adam}",
         "f:1:25: tune.grid.momentum: adam has no momentum; sgd and rmsprop have it"),
        ("tune: {metric: val_nll}\nloss: hinge",
         "f:1:16: tune.metric: hinge gives no probabilities, so no val_nll; "
         "use val_accuracy or val_balanced_accuracy or val_macro_f1"),
        ("tune: {metric: val_auroc}\ndataset: digits",
         "f:1:16: tune.metric: val_auroc is for two classes, and there are 10; use val_balanced_accuracy"),
        ("tune: {}\ntrain: {seeds: [3, 10002]}",
         "f:2:16: train.seeds: seed 10002 is one of tuning's own, 10000 to 10002; name others"),
        ("tune: {}\ntrain: {seeds: 10001}",
         "f:2:16: train.seeds: seed 10000 is one of tuning's own, 10000 to 10002; name others"),
        ("tune: {protocol: per_arm_per_seed}\ntrain: {seeds: [3, 10000]}",
         "f:2:16: train.seeds: seed 10000 may be one of tuning's own, which count from 10000; name smaller ones"),
        ("tune: {protocol: per_arm_per_seed}\ntrain: {seeds: 10001}",
         "f:2:16: train.seeds: seed 10000 may be one of tuning's own, which count from 10000; name smaller ones"),
        ("tune: {grid: {k: [1, 5]}}\nloss: hinge", "f:1:18: tune.grid.k: no loss here has an option k; leave it out"),
        ("tune: {grid: {gamma: [0, -1]}}\nloss: focal", "f:1:26: tune.grid.gamma: must be a number at least 0, got -1"),
        ("tune: {grid: {label_smoothing: [0, 2]}}\nloss: focal",
         "f:1:32: tune.grid.label_smoothing: focal: must be below 1.0, got 2"),
        ("tune: {grid: {class_weight: [balance]}}",
         "f:1:30: tune.grid.class_weight: must be 'balanced', got 'balance'"),
        ("tune: {grid: {gamma: [0, 1]}}\nloss: {name: focal, gamma: 1}",
         "f:2:28: loss.gamma: gamma is tuned, so a loss cannot bring its own; drop one of the two"),
        ("tune: {grid: {gamma: [0, 1]}, protocol: shared}\nloss: [focal, hinge]",
         "f:1:22: tune.grid.gamma: not every loss has an option gamma, so they cannot share it; use per_arm"),
        ("tune: {grid: {gamma: [0, 1]}}\nloss: [focal, {name: bce, weight: match}]",
         "f:1:22: tune.grid.gamma: losses that match the first one need it as it is; drop one"),
        ("tune: {grid: {gamma: [0, 1]}}\noptimizer: {schedule: {name: step}}",
         "f:1:22: tune.grid.gamma: must be above 0: it is the factor of each drop of the schedule"),
        ("loss: [{name: bce, weight: match}, hinge]",
         "f:1:28: loss.weight: the other losses match the first; give it a number"),
        ("loss: {name: bce, weight: mach}", "f:1:27: loss.weight: must be a number above 0 or match, got 'mach'"),
    ],
)  # fmt: skip
def test_mistake_of_tuning_stands_in_its_place(text: str, mistake: str) -> None:
    """Each is told with line, column and what to do, and no other with it."""
    assert [mistake] == mistakes(text)


def test_nesterov_takes_the_momentum_that_is_tuned() -> None:
    """Momentum may come from the grid alone, and must then be above zero throughout."""
    read("optimizer: {nesterov: true}\ntune: {grid: {momentum: [0.5, 0.9]}}")
    (mistake,) = mistakes("optimizer: {nesterov: true}\ntune: {grid: {momentum: [0, 0.9]}}")
    assert "f:1:23: optimizer.nesterov: needs a momentum above 0" == mistake


def test_tuning_plan_is_every_arm_at_every_setting() -> None:
    """Arms times grid times tuning's seeds; the experiment's own plan does not grow."""
    tune = {"grid": {"lr": [1, 2, 3]}, "seeds": 4}
    experiment = read_mapping({"loss": ["bce", "hinge"], "train": {"batch_size": [8, 16]}, "tune": tune})
    tuning = tuning_plan(experiment)
    assert tuning is not None
    assert 4 * 3 == len(tuning.arms)
    assert 4 * 3 * 4 == len(tuning.trials)
    assert 4 * 5 == len(make_plan(experiment).trials)
    assert ["lr=tuned"] * 4 == [arm.setting.split(", ")[-1] for arm in make_plan(experiment).arms]


def test_limit_of_trials_counts_those_of_tuning() -> None:
    """A grid that is too large is refused before it is multiplied out."""
    most = (MAX_TRIALS - 10) // 2  # of two losses, beside their ten trials on five seeds
    assert make_plan(read(f"tune: {{grid: {{lr: [1]}}, seeds: {most}}}")).arms
    text = f"tune: {{grid: {{lr: [1]}}, seeds: {most + 1}}}"
    (mistake,) = mistakes(text)
    assert "the grid has up to 100,002 trials (99,992 of them tuning); the limit is 100,000" in mistake
    (mistake,) = mistakes("tune: {seeds: 1000000000}\ntrain: {seeds: 4294967295}")
    assert "is one of tuning's own" in mistake
    (mistake,) = mistakes("tune: {grid: {lr: [1]}, seeds: 1000000000, protocol: per_arm_per_seed}\ntrain: {seeds: 7}")
    assert "14,000,000,000 of them tuning" in mistake
    (mistake,) = mistakes(text.replace("seeds", "extend: true, seeds"))
    assert "the grid has up to 199,994 trials (199,984 of them tuning)" in mistake


@pytest.mark.parametrize(
    ("dataset", "protocol"),
    [
        ("iris", "per_arm_per_seed"),
        ("[moons, {name: iris, split_seed: per_seed}]", "per_arm_per_seed"),
        ("{name: csv, path: a.csv, target: t}", "per_arm_per_seed"),
        ("{name: csv, path: a.csv, target: t, split: s, split_seed: per_seed}", "per_arm"),
        ("{name: mnist, split_seed: per_seed}", "per_arm"),
        ("moons", "per_arm"),
        ("{name: iris, split_seed: 0}", "per_arm"),
    ],
)
def test_seeds_that_test_samples_of_one_set_are_tuned_by_themselves(dataset: str, protocol: str) -> None:
    """By default only where one seed tests what others train on: not generated data, nor those with an own test set."""
    asked = f"dataset: {dataset}\nmodel: linear\ntune: {{}}"
    assert protocol == read(asked).tune.protocol
    assert "shared" == read(asked.replace("{}", "{protocol: shared}")).tune.protocol


def test_each_seed_is_tuned_on_its_own_split_by_seeds_of_its_own() -> None:
    """Every setting is tried at each seed, inside its split; which seeds that takes depends on the seed alone."""
    tune = {"grid": {"lr": [1, 2, 3]}, "seeds": 2, "protocol": "per_arm_per_seed"}
    for dataset in ({"name": "iris"}, {"name": "moons"}, {"name": "iris", "split_seed": 0}):
        asked = {"dataset": dataset, "loss": ["bce", "hinge"], "tune": tune}
        plan = tuning_plan(read_mapping({**asked, "train": {"seeds": [7, 3, 9999]}}))
        assert plan is not None
        assert 2 * 3 * 3 * 2 == len(plan.trials)
        assert () == plan.spared
        pairs = [(10007, 7), (20007, 7), (10003, 3), (20003, 3), (19999, 9999), (29999, 9999)]
        splits = [(seed, dataset.get("split_seed", own)) for seed, own in pairs]
        assert 6 * splits == [(trial.seed, trial.dataset.split_seed) for trial in plan.trials]


@given(own=st.lists(st.integers(0, 9999), min_size=1, max_size=30, unique=True), seeds=st.integers(1, 12))
def test_seeds_of_tuning_are_all_different(own: list[int], seeds: int) -> None:
    """However many seeds are tuned with however many each, none is taken twice, nor one of the experiment's."""
    tune = read(f"tune: {{seeds: {seeds}, protocol: per_arm_per_seed}}").tune
    found = tune.seed_list(own)
    assert len(own) * seeds == len({*found})
    assert {*found}.isdisjoint(own)
    assert tune.seed_list(own[:1]) == found[:seeds]


def test_defaults_of_stopping() -> None:
    """A stop goes by the second metric of the problem, which still moves where the headline rests."""
    assert {"metric": "val_nll", "patience": 5} == read("stop: {}").to_dict()["stop"]
    assert {"metric": "val_mae", "patience": 2} == read(
        "dataset: diabetes\nloss: mse\nmodel: linear\nstop: {patience: 2}"
    ).to_dict()["stop"]
    assert read("{}").stop is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("stop: {metric: val_nil}", "stop.metric: unknown validation metric 'val_nil'; did you mean 'val_nll'?"),
        ("stop: {patience: 0}", "stop.patience: must be at least 1, got 0"),
        ("stop: {metric: val_nll_ts}", "stop.metric: val_nll_ts is measured after the last epoch alone; use val_nll"),
        ("stop: {}\nloss: [hinge]", "stop.metric: hinge gives no probabilities, so no val_nll; use val_accuracy"),
        ("stop: {}\ndataset: {name: moons, val_fraction: 0}",
         "dataset.val_fraction: `stop` goes by validation data; give a fraction above 0"),
        ("stop: {metric: val_rmse}", "stop.metric: val_rmse is not a metric of single_label; one of val_accuracy, "),
    ],
)  # fmt: skip
def test_mistakes_of_stopping(text: str, reason: str) -> None:
    """What a stop goes by must be there at every epoch, for every data set and every loss."""
    (mistake,) = mistakes(text)
    assert reason in mistake


def test_options_of_losses_are_tuned_where_a_loss_has_them() -> None:
    """Each loss has the settings of its own options; `gamma` is the schedule's only where that has drops."""
    text = "tune: {grid: {gamma: [0, 2], lr: [0.1, 1], class_weight: [null, balanced]}, seeds: 1}\nloss: [focal, hinge]"
    experiment = read(text)
    of_focal, of_hinge = (settings_for(experiment, loss) for loss in experiment.loss)
    assert [(8, {"lr", "gamma", "class_weight"}), (4, {"lr", "class_weight"})] == [
        (len(found), set(found[0])) for found in (of_focal, of_hinge)
    ]
    plan = tuning_plan(experiment)
    assert plan is not None
    assert 12 == len(plan.trials)
    tried = {(arm.loss.options.get("gamma"), arm.loss.class_weight, arm.lr) for arm in plan.arms}
    assert {(g, w, lr) for g in (0, 2, None) for w in (None, "balanced") for lr in (0.1, 1)} == tried
    stepped = read(text.replace("[0, 2]", "[0.5, 0.1]") + "\noptimizer: {schedule: {name: step}}")
    assert 8 == len(settings_for(stepped, stepped.loss[1]))
    plan = tuning_plan(stepped)
    assert plan is not None
    assert {(0.5, 2.0), (0.1, 2.0), (0.5, None), (0.1, None)} == {
        (arm.settings["gamma"], arm.loss.options.get("gamma")) for arm in plan.arms
    }
    assert stepped == read(as_yaml(stepped.to_dict()))
