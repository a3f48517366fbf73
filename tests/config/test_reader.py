"""From YAML and overrides to an experiment: every mistake at once, in place, and no other kind of failure."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any, get_args, get_origin

import pytest

from clsbench.config.reader import read_mapping
from clsbench.config.values import MAX_COUNT
from clsbench.errors import ConfigError
from clsbench.registry import catalogue
from tests.config.reading import DEFAULTS, mistakes, read


def test_defaults_are_those_of_the_contract() -> None:
    """An experiment that says nothing is the contract's, key by key and in its order."""
    assert repr(DEFAULTS) == repr(read_mapping({}).to_dict())


def test_the_word_off_leaves_the_whole_report_out() -> None:
    """`report: off` reads as neither figures nor a page, in a file and as an override; another word is refused."""
    nothing = {"figures": False, "html": False}
    assert [nothing, nothing] == [
        each.to_dict()["report"] for each in (read("report: off"), read("name: x", "report=off"))
    ]
    assert ["f:1:9: report: must be off, or a mapping of figures and html, got 'none'"] == mistakes("report: none")


def test_the_baseline_is_an_arm_or_a_loss() -> None:
    """A name that no arm and no loss has is refused at its place; margins are of metrics that verdicts have."""
    config = "loss: [bce, {name: hinge, label: h}]\noptimizer: {lr: [1, 2]}\nverdict: {baseline: %s}"
    for name in ("bce", "h", "bce lr=1"):
        assert name == read(config % name).verdict.baseline
    assert ["f:3:21: verdict.baseline: unknown arm or loss 'bec'; did you mean 'bce'?"] == mistakes(config % "bec")
    (said,) = mistakes("verdict: {margin: {acuracy: 0.1}}")
    assert "verdict.margin: there are no verdicts by 'acuracy'; did you mean 'accuracy'?" in said


WHOLE = [
    (spec.name, option.name)
    for spec in catalogue.all("dataset")
    for option in spec.options.values()
    if get_origin(option.annotation) is Annotated and get_args(option.annotation)[0] is int
]


@pytest.mark.parametrize(("dataset", "option"), WHOLE)
def test_a_number_as_large_as_allowed_is_answered(dataset: str, option: str) -> None:
    """Reading a config counts nothing out: it is accepted or refused at once, and too large a number is refused."""
    with suppress(ConfigError):
        read_mapping({"dataset": {"name": dataset, option: MAX_COUNT}})
    assert mistakes(f"dataset: {{name: {dataset}, {option}: {MAX_COUNT + 1}}}")


@pytest.mark.parametrize("value", ["-1", "4294967296", "1.0", "per_sed", "true"])
def test_split_seed_is_a_seed_or_per_seed(value: str) -> None:
    """A split is drawn by a number, or by each trial's seed."""
    (mistake,) = mistakes(f"dataset: {{name: moons, split_seed: {value}}}")
    assert mistake.startswith(
        "f:1:36: dataset.split_seed: must be a whole number from 0 to 4294967295, per_seed or null, got"
    )
    (entry,) = read("dataset: {name: moons, split_seed: 3}").dataset
    assert 3 == entry.split_seed


@pytest.mark.parametrize(
    ("dataset", "split_seed"),
    [
        ("name: moons", "per_seed"),
        ("name: iris, split_seed: null", "per_seed"),
        ("name: csv, path: a.csv, target: t", "per_seed"),
        ("name: image_folder, path: nowhere", "per_seed"),
        ("name: mnist", 0),
        ("name: mnist, split_seed: null", 0),
        ("name: mnist, split_seed: per_seed", "per_seed"),
        ("name: csv, path: a.csv, target: t, split: part", 0),
        ("name: csv, path: a.csv, target: t, test_path: b.csv", 0),
    ],
)
def test_every_seed_has_a_split_unless_the_data_have_a_test_set(dataset: str, split_seed: int | str) -> None:
    """By default, or with null; what is kept says which, and reads back as itself."""
    experiment = read(f"dataset: {{{dataset}}}\nmodel: linear")
    assert split_seed == experiment.dataset[0].split_seed
    assert experiment.dataset == read_mapping(experiment.to_dict()).dataset


def test_every_mistake_is_told_at_once_in_place_and_in_order() -> None:
    """Unknown keys stand at the key, wrong values at the value, misfits at the entry; the file goes first."""
    text = """\
trian: {epochs: 3}
dataset: iris
optimizer:
  lr: 0
  nesterof: true
  schedule: {nam: cosine, gamma: -1}
loss:
  - cros_entropy
  - {name: focal, gama: 1}
  - {name: bce, outputs: 1}
  - [3]
train: {epochs: true, seeds: [0, -1], batch_size: [1, 0]}
"""
    assert [
        "f:1:1: trian: unknown key; did you mean 'train'?",
        "f:4:7: optimizer.lr: must be a number above 0, got 0",
        "f:5:3: optimizer.nesterof: unknown key; did you mean 'nesterov'?",
        "f:6:14: optimizer.schedule.nam: unknown key; did you mean 'name'?",
        "f:6:34: optimizer.schedule.gamma: must be a number above 0, got -1",
        "f:8:5: loss: unknown loss 'cros_entropy'; did you mean 'cross_entropy'?",
        "f:9:19: loss.gama: unknown key; did you mean 'gamma'?",
        "f:10:5: loss: bce does not fit iris: outputs: 1 is for two classes, and there are 3",
        "f:11:5: loss: must be a loss's name or a mapping with `name`; got a list",
        "f:12:17: train.epochs: must be a whole number, got true",
        "f:12:30: train.seeds: a seed must be a whole number from 0 to 4294967295, got -1",
        "f:12:55: train.batch_size: must be at least 1, got 0",
        "command line:1:8: model: unknown model 'mpl'; did you mean 'mlp'?",
    ] == mistakes(text, "model=[mpl]")


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "f:1:1: the file is empty; `clsbench init` writes one to start from"),
        ("# nothing\n", "f:1:1: the file is empty; `clsbench init` writes one to start from"),
        ("- moons", "f:1:1: the file is a list, not a mapping of keys; `clsbench init` writes one to start from"),
        ("7", "f:1:1: the file is the value 7, not a mapping of keys; `clsbench init` writes one to start from"),
        ("name: a\nname: b", "f:2:1: name: given twice; first on line 1"),
        ("optimizer: cosine", "f:1:12: optimizer: must be a mapping of keys, got 'cosine'"),
        ("train: null", "f:1:8: train: must be a mapping of keys, got null"),
        ("optimizer: {lr: []}", "f:1:17: optimizer.lr: an empty list; give at least one value"),
        ("loss: []", "f:1:7: loss: an empty list; give at least one loss"),
        ("model: {name: mlp, hidden: [8, 0]}", "f:1:32: model.hidden: must be at least 1, got 0"),
        ("dataset: {name: moons, noise: .inf}", "f:1:31: dataset.noise: must be a finite number, got inf"),
        ("dataset: {name: moons, samples: 1e3}", "f:1:33: dataset.samples: must be a whole number, got 1000.0"),
        ("dataset: {name: csv}", "f:1:10: dataset.path: must be given"),
        ("dataset: {name: mnist, test_fraction: 0.1}\nmodel: linear",
         "f:1:39: dataset.test_fraction: mnist brings its own test set; leave the key out"),
        ("dataset: {name: moons, val_fraction: 0.5, test_fraction: 0.5}",
         "f:1:38: dataset.val_fraction: validation and test take everything; nothing is left for training"),
        ("model: cnn", "f:1:8: model: cnn takes images, and moons has samples of shape [2]; use mlp"),
        ("optimizer: {name: adam, momentum: 0.9}",
         "f:1:35: optimizer.momentum: adam has no momentum; sgd and rmsprop have it"),
        ("optimizer: {nesterov: true}", "f:1:23: optimizer.nesterov: needs a momentum above 0"),
        ("train: {threads: 2000}", "f:1:18: train.threads: must be auto or a whole number from 1 to 1024, got 2000"),
        ("train: {epochs: 10000000000}", "f:1:17: train.epochs: must be at most 1000000000, got 10000000000"),
        ("train: {seeds: [3, 3]}", "f:1:16: train.seeds: a seed is listed twice"),
        ("train: {device: gpu}", "f:1:17: train.device: must be auto, cpu, cuda or cuda:N, got 'gpu'"),
        ('dataset: {name: moons, label: "\\ud800"}',
         "f:1:31: dataset.label: '\\ud800' contains an unpaired surrogate, which no file can hold"),
        ('"a\\nb": 1',
         "f:1:1: 'a\\nb': unknown key; one of name, dataset, model, loss, optimizer, train, tune, "
         "verdict, stop, report, expect, silence"),
        ('"\\e[31m": 1',
         "f:1:1: '\\x1b[31m': unknown key; one of name, dataset, model, loss, optimizer, train, tune, "
         "verdict, stop, report, expect, silence"),
        ("a: 1\n---\nb: 2", "f:2:1: a second document; one file is one experiment"),
    ],
)  # fmt: skip
def test_mistake_says_what_where_and_what_is_allowed(text: str, mistake: str) -> None:
    """The message is one line that can be acted upon."""
    assert mistake in mistakes(text)


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf", "0", "-1", "1e400", "true", "null", "'0.1'", "[0.1, 0]"])
def test_learning_rate_must_be_a_number_above_zero(value: str) -> None:
    """NaN, infinities, zero, negative ones, truth values and text are no learning rate."""
    (mistake,) = mistakes(f"optimizer: {{lr: {value}}}")
    assert mistake.startswith("f:1:")
    assert "optimizer.lr: must be a number above 0, got " in mistake


@pytest.mark.parametrize("value", ["-1", "4294967296", "true", "1.0", "x"])
def test_seed_must_be_a_whole_number_of_32_bits(value: str) -> None:
    """A seed listed is from 0 to 2^32 - 1, and the largest one is fine."""
    (mistake,) = mistakes(f"train: {{seeds: [0, {value}]}}")
    assert "a seed must be a whole number from 0 to 4294967295, got " in mistake
    assert (4294967295,) == read("train: {seeds: [4294967295]}").train.seed_list


@pytest.mark.parametrize("value", ["0", "-3", "true", "1.5", "'2'", "null"])
def test_epochs_must_be_a_whole_number_of_at_least_one(value: str) -> None:
    """Nothing but a count of epochs is taken."""
    (mistake,) = mistakes(f"train: {{epochs: {value}}}")
    assert mistake.startswith("f:1:17: train.epochs: must be ")


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("train: {lr: 0.1}", "f:1:9: train.lr: unknown key; did you mean 'optimizer.lr'?"),
        ("optimizer: {warmup: 3}", "f:1:13: optimizer.warmup: unknown key; did you mean 'optimizer.schedule.warmup'?"),
        ("epochs: 3", "f:1:1: epochs: unknown key; did you mean 'train.epochs'?"),
        ("noise: 1", "f:1:1: noise: unknown key; did you mean 'dataset.noise'?"),
        ("loss: {name: bce, gamma: 1}", "f:1:19: loss.gamma: unknown key; it is an option of focal"),
        ("train: {num_epochs: 1}", "f:1:9: train.num_epochs: unknown key; did you mean 'epochs'?"),
    ],
)
def test_unknown_key_is_pointed_to_where_it_belongs(text: str, hint: str) -> None:
    """A key of another section or entry is named by where it is; else the nearest of its own section."""
    assert [hint] == mistakes(text)


@pytest.mark.parametrize("key", ["wrong_weight", "posweights", "no-weight"])
def test_key_of_another_meaning_is_not_suggested(key: str) -> None:
    """A word before a key's name makes it another key: the list of those that there are is given."""
    assert [f"f:1:21: loss.{key}: unknown key; one of name, label, lr, weight, class_weight"] == mistakes(
        f"loss: {{name: hinge, {key}: 1}}"
    )


def test_lists_of_two_kinds_do_not_mix() -> None:
    """Keys that are lists by nature do not sweep."""
    assert mistakes("model: {name: mlp, hidden: [[8], [16]]}")
    assert mistakes("optimizer: {betas: [[0.9, 0.99], [0.8, 0.99]]}")


@pytest.mark.parametrize(
    "tree",
    [
        *({1: 2}, {"name": object()}, {"loss": None}, {"loss": {"name": "focal", 3: 4}}),
        *({"optimizer": {"lr": 10**400}}, {"optimizer": {"betas": [10**400, 0]}}, {"train": {"epochs": 10**400}}),
        *(
            {"train": {"seeds": {1, 2}}},
            {"train": {"seeds": 10**400}},
            {"dataset": {"name": "moons", "noise": 10**400}},
        ),
        {"dataset": {"name": "csv", "path": "\ud800"}},
    ],
)
def test_mapping_of_no_yaml_is_refused_like_any(tree: dict[Any, Any]) -> None:
    """What Python can say and YAML cannot is a mistake, never another exception."""
    with pytest.raises(ConfigError):
        read_mapping(tree)


def test_path_is_where_the_mistake_is_in_a_mapping() -> None:
    """Without a file the key alone says where."""
    with pytest.raises(ConfigError, match=r"^optimizer\.lr: must be a number above 0, got 0$"):
        read_mapping({"optimizer": {"lr": 0}})


VALUES = ["linear", "[linear]", "{name: linear}", "{name: mlp, hidden: [4, 4]}", "{init: {weights: no}, name: no}"]


@pytest.mark.parametrize("first", VALUES[:-1])
@pytest.mark.parametrize("second", VALUES)
def test_a_section_that_is_given_twice_is_one_mistake(first: str, second: str) -> None:
    """The first value stands, with the words inside it; those inside the second are said of nothing."""
    twice = "f:2:1: model: given twice; first on line 1"
    assert [twice] == [said for said in mistakes(f"model: {first}\nmodel: {second}") if "YAML 1.1" not in said]
    assert [twice] == mistakes(f"model: {first}\nmodel: linear", "model.name=linear")[:1]
