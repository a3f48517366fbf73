"""From YAML and overrides to an experiment: every mistake at once, in place, and no other kind of failure."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import clsbench.experiment  # noqa: F401 - registers all that there is
from clsbench.config.dump import as_yaml
from clsbench.config.reader import read_file, read_mapping, read_text
from clsbench.config.schema import Experiment
from clsbench.errors import ConfigError
from clsbench.registry import dataset

DEFAULTS = {
    "name": "moons",
    "dataset": {
        "name": "moons",
        "label": None,
        "val_fraction": 0.2,
        "test_fraction": 0.2,
        "split_seed": 0,
        "normalize": "standard",
        "label_noise": 0.0,
        "label_noise_kind": "symmetric",
        "limit": None,
        "only_classes": None,
        "imbalance": None,
        "problem": "auto",
        "samples": 1000,
        "noise": 0.2,
    },
    "model": {
        "name": "mlp",
        "label": None,
        "init": {"weights": "default", "scale": 1.0, "bias": "default"},
        "hidden": [32, 32],
        "activation": "relu",
        "batch_norm": False,
        "dropout": 0.0,
    },
    "loss": [
        {"name": "mse_softmax", "label": None, "lr": None, "weight": 1.0, "class_weight": None, "reduction": "sum"},
        {
            "name": "cross_entropy",
            "label": None,
            "lr": None,
            "weight": 1.0,
            "class_weight": None,
            "label_smoothing": 0.0,
            "temperature": 1.0,
            "logit_adjustment": None,
        },
    ],
    "optimizer": {
        "name": "sgd",
        "lr": 0.1,
        "momentum": 0.0,
        "nesterov": False,
        "weight_decay": 0.0,
        "clip_norm": None,
        "schedule": {"name": "constant", "warmup": 0, "step": 10, "gamma": 0.1},
    },
    "train": {
        "epochs": 20,
        "batch_size": 32,
        "seeds": 5,
        "device": "auto",
        "precision": "float32",
        "threads": "auto",
        "compile": "auto",
        "stack": "auto",
        "warm_start": None,
    },
    "tune": None,
    "verdict": {
        "margin": {"accuracy": 0.005, "nll": 0.02, "brier": 0.01},
        "family": "comparison",
        "baseline": None,
    },
    "report": {"figures": True, "html": True},
    "expect": [],
    "silence": [],
}


def read(text: str, *overrides: str) -> Experiment:
    return read_text(text, "f", overrides)


def mistakes(text: str, *overrides: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(text, *overrides)
    assert 2 == caught.value.exit_code
    assert not any(char in mistake for mistake in caught.value.mistakes for char in "\n\x1b\x00")
    return list(caught.value.mistakes)


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


def test_every_mistaken_expectation_is_told_in_place() -> None:
    """What cannot be read, and what names what the run will not have, each at its text, with the nearest right name."""
    text = """\
loss: [bce, {name: hinge, label: hinge a}]
train: {epochs: 3}
expect:
  - bce.test_accuracy >= 0.9
  - bce.tst_accuracy >= 0.9
  - "'hinge b'.test_accuracy > bce.test_nll@4"
  - bce.test_accuracy = 0.9
  - __import__('os').system('true') == 0
  - [3]
"""
    assert [
        "f:5:5: expect: unknown metric 'tst_accuracy'; did you mean 'test_accuracy'?",
        "f:6:5: expect: unknown arm 'hinge b'; did you mean 'hinge a'?",
        "f:6:5: expect: there is no epoch 4; the last is 3",
        "f:7:5: expect: column 19: expected one of < <= > >= == !=, got '='; quote a name that has blanks or signs",
        "f:8:5: expect: column 1: '__import__' cannot be called; only verdict(ARM, ARM, METRIC) can",
        "f:9:5: expect: must be text such as 'hinge.test_accuracy > 0.9', got [3]",
        "command line:1:8: expect: must be a list of expectations, got 'bce.test_nll < 1'",
    ] == [*mistakes(text), *mistakes("loss: bce", "expect=bce.test_nll < 1")]


def test_grammar_is_checked_though_the_plan_cannot_be_made() -> None:
    """With a mistake elsewhere the arms are unknown, so names wait; what cannot be read is told at once."""
    first, second = mistakes('loss: bc\nexpect: ["x.test_nll >", y.test_nll > 1]')
    assert "f:1:7: loss: unknown loss 'bc'; did you mean 'bce'?" == first
    assert second.startswith(
        "f:2:10: expect: column 13: expected a number, ARM.METRIC, a verdict or warnings, got the end"
    )


def test_expectations_survive_the_round_trip() -> None:
    """A config writes its expectations back as they were, quotes and all."""
    texts = ["'mse \"x\" lr=0.1'.test_accuracy@best >= 0.5", "verdict(bce, 'mse \"x\" lr=0.1', test_nll) != worse"]
    losses = [{"name": "mse_softmax", "label": 'mse "x" lr=0.1'}, "bce"]
    experiment = read_mapping({"loss": losses, "expect": texts})
    assert texts == experiment.to_dict()["expect"]
    assert experiment == read(as_yaml(experiment.to_dict()))


def test_the_baseline_is_an_arm_or_a_loss() -> None:
    """A name that no arm and no loss has is refused at its place; margins are of metrics that verdicts have."""
    config = "loss: [bce, {name: hinge, label: h}]\noptimizer: {lr: [1, 2]}\nverdict: {baseline: %s}"
    for name in ("bce", "h", "bce lr=1"):
        assert name == read(config % name).verdict.baseline
    assert ["f:3:21: verdict.baseline: unknown arm or loss 'bec'; did you mean 'bce'?"] == mistakes(config % "bec")
    (said,) = mistakes("verdict: {margin: {acuracy: 0.1}}")
    assert "verdict.margin: there are no verdicts by 'acuracy'; did you mean 'accuracy'?" in said


@pytest.mark.parametrize("value", ["-1", "4294967296", "1.0", "per_sed", "true"])
def test_split_seed_is_a_seed_or_per_seed(value: str) -> None:
    """A split is drawn by a number, or by each trial's seed."""
    (mistake,) = mistakes(f"dataset: {{name: moons, split_seed: {value}}}")
    assert mistake.startswith(
        "f:1:36: dataset.split_seed: must be a whole number from 0 to 4294967295 or per_seed, got"
    )
    (entry,) = read("dataset: {name: moons, split_seed: per_seed}").dataset
    assert "per_seed" == entry.split_seed


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
         "verdict, report, expect, silence"),
        ('"\\e[31m": 1',
         "f:1:1: '\\x1b[31m': unknown key; one of name, dataset, model, loss, optimizer, train, tune, "
         "verdict, report, expect, silence"),
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


@pytest.mark.parametrize(("text", "number"), [("1e-3", 1e-3), ("1e3", 1e3), ("1.5e3", 1500), (".5", 0.5), ("5.", 5)])
def test_numbers_are_numbers(text: str, number: float) -> None:
    """What PyYAML takes for a string is a learning rate, in a file and on the command line."""
    assert (number,) == read(f"optimizer: {{lr: {text}}}").optimizer.lr
    assert (number,) == read("{}", f"optimizer.lr={text}").optimizer.lr


@pytest.mark.parametrize("word", ["y", "no", "on", "2024", "1e3", "012", "1:30", "2024-01-01", "true", "my #1.csv"])
def test_keys_of_text_take_what_is_written(word: str) -> None:
    """A path, a target and a label are text whatever YAML would make of the word, in a file and in an override."""
    text = f"dataset:\n  name: csv\n  path: {word}  # where it lies\n  target: {word}\n"
    text += f"loss:\n- name: hinge\n  label: {word}\n"
    table = {"name": "csv", "path": str(Path(word).absolute()), "target": word}
    for experiment in (
        read(text),
        read("{}", f"dataset.target={word}", f"dataset.path={word}", "dataset.name=csv", f"loss={word}", "loss=[hinge]",
             f"loss.0.label={word}"),
        read("{}", f"dataset.target='{word}'", f'dataset={{name: csv, path: "{word}"}}', f"dataset.target='{word}'",
             f"loss=[{{name: hinge, label: '{word}'}}]"),
    ):  # fmt: skip
        written = experiment.to_dict()
        assert table == {key: written["dataset"][key] for key in table}
        assert word == written["loss"]["label"]
        assert experiment == read(as_yaml(written))


def test_text_that_may_be_null_is_null_by_three_words_alone() -> None:
    """`null`, `~` and nothing at all say that there is no label; a path, which must be given, may be called so."""
    labels = [read(f"loss: {{name: hinge, label: {word}}}").loss[0].label for word in ("null", "~", "", "NULL", "none")]
    assert [None, None, None, "NULL", "none"] == labels
    assert str(Path("null").absolute()) == read("dataset: {name: csv, path: null}").dataset[0].options["path"]
    assert ["f:1:27: dataset.path: must be text, got null; quote it if it is meant as text"] == mistakes(
        "dataset: {name: csv, path: }"
    )


def test_lists_of_text_take_what_is_written() -> None:
    """The items of a list of text are text too, and a key that takes one or several is read as what it looks like."""

    @dataset("listed")
    def listed(seed: int, *, words: list[str] | str | None = None) -> None:
        """A dataset of words."""

    for text, words in (("[no, 1e3, y]", ["no", "1e3", "y"]), ("on", "on"), ("~", None), ("'[a]'", "[a]")):
        assert words == read(f"dataset: {{name: listed, words: {text}}}").dataset[0].options["words"]
        assert words == read("dataset: listed", f"dataset.words={text}").dataset[0].options["words"]


def test_words_that_yaml_would_change_are_refused_elsewhere() -> None:
    """Where a key is no text, a word that two readers of YAML read differently is no guess."""
    assert [
        "f:1:16: train.seeds: '012' is octal in YAML 1.1 and decimal in 1.2; quote it if it is text, else write it out",
        "f:1:33: train.batch_size: '1_000' is a number in YAML 1.1 and text in 1.2; "
        "quote it if it is text, else write it out",
        "f:1:52: train.warm_start: 'no' is a truth value in YAML 1.1 and a word in 1.2; "
        "quote it if it is text, else write it out",
    ] == mistakes("train: {seeds: 012, batch_size: 1_000, warm_start: no}")


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


def test_override_mends_one_entry_of_a_list() -> None:
    """The entry at a place, counted from 0, keeps its other keys, and so do the others, of a default list too."""
    mended = read("loss: [hinge, {name: focal, label: f}]", "loss.1.gamma=3", "loss.0.weight=2")
    assert ["hinge", "focal"] == [loss.name for loss in mended.loss]
    assert (3, "f", 2) == (mended.loss[1].options["gamma"], mended.loss[1].label, mended.loss[0].weight)
    assert ["mse_softmax", "bce"] == [loss.name for loss in read("{}", "loss.1=bce").loss]
    assert [
        "command line:1:1: loss.2.gamma: loss is a list of 2, counted from 0: 0 mse_softmax, 1 cross_entropy",
        "command line:2:1: loss.focal.gamma: loss is a list of 2, counted from 0: 0 mse_softmax, 1 cross_entropy",
        "command line:3:1: loss.label_smooth: unknown key; did you mean 'label_smoothing'?",
        "command line:4:1: model.0.hidden: model is one entry, not a list; leave out .0",
    ] == mistakes("{}", "loss.2.gamma=3", "loss.focal.gamma=3", "loss.1.label_smooth=0.1", "model.0.hidden=[3]")


def test_overrides_replace_what_the_file_says() -> None:
    """Dotted keys reach into sections, also into one that is given as a plain name or not at all."""
    experiment = read(
        "model: mlp\noptimizer: {lr: 1.0}\n",
        *(
            "optimizer.lr=[0.1, 0.3]",
            "train.seeds=20",
            "loss=[bce,mse_sigmoid]",
            "model.hidden=[7]",
            "model.init.scale=2",
        ),
        *("dataset.noise=.5", "optimizer.schedule.name=cosine", "name=other"),
    )
    assert ("other", (0.1, 0.3), 20) == (experiment.name, experiment.optimizer.lr, experiment.train.seeds)
    assert ["bce", "mse_sigmoid"] == [loss.name for loss in experiment.loss]
    assert ([7], (2,)) == (experiment.model[0].options["hidden"], experiment.model[0].init.scale)
    assert ("moons", 0.5) == (experiment.dataset[0].name, experiment.dataset[0].options["noise"])
    assert "cosine" == experiment.optimizer.schedule.name


def test_override_replaces_a_list_whole() -> None:
    """A list given on the command line is not joined to the file's, and the mistakes of the old one are gone."""
    experiment = read("loss: [cros_entropy, {name: focal, gama: 1}]\n", "loss=[hinge]")
    assert ["hinge"] == [loss.name for loss in experiment.loss]


def test_later_override_wins() -> None:
    """Of two overrides of one key the last one counts."""
    assert 3 == read("{}", "train.epochs=2", "train.epochs=3").train.epochs


def test_mistakes_of_the_command_line_name_argument_and_column() -> None:
    """The line is the argument's number, the column counts from the argument's first character."""
    assert [
        "command line:1:14: optimizer.lr: must be a number above 0, got '0.3x'",
        "command line:2:11: loss: unknown loss 'mse_sigmoi'; did you mean 'mse_sigmoid'?",
        "command line:3:1: 'optimizer.momentum' is not KEY=VALUE",
        "command line:4:1: '=3' is not KEY=VALUE",
        "command line:5:1: 'a..b=1' is not KEY=VALUE",
        "command line:6:1: optimizer.lrr: unknown key; did you mean 'lr'?",
        "command line:7:1: name.x: name has no keys of its own",
        "command line:8:8: model: not valid YAML: expected the node content, but found '<stream end>'",
        "command line:9:13: train.seeds: '012' is octal in YAML 1.1 and decimal in 1.2; "
        "quote it if it is text, else write it out",
        "command line:10:15: train.epochs: the character '\\x07' is not allowed in YAML",
    ] == mistakes(
        "name: a",
        *("optimizer.lr=0.3x", "loss=[bce,mse_sigmoi]", "optimizer.momentum", "=3", "a..b=1", "optimizer.lrr=1"),
        *("name.x=2", "model=[", "train.seeds=012", "train.epochs=3\x07"),
    )


def test_lists_of_two_kinds_do_not_mix() -> None:
    """Keys that are lists by nature do not sweep."""
    assert mistakes("model: {name: mlp, hidden: [[8], [16]]}")
    assert mistakes("optimizer: {betas: [[0.9, 0.99], [0.8, 0.99]]}")


def test_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    """A UTF-8 BOM is no part of the first key."""
    path = tmp_path / "a.yaml"
    path.write_bytes("\ufeffname: bom\n".encode())
    assert "bom" == read_file(path, ()).name


def test_file_that_is_no_utf8_is_refused_in_place(tmp_path: Path) -> None:
    """Latin-1 is told with the line and the column of its first foreign byte, counted in characters."""
    path = tmp_path / "a.yaml"
    path.write_bytes("name: a\nloss: {name: focal, label: é".encode() + b"\xe9}\n")
    with pytest.raises(ConfigError, match=r"a\.yaml:2:29: not UTF-8 text; save it as UTF-8"):
        read_file(path, ())


def test_missing_file_gets_the_nearest_name(tmp_path: Path) -> None:
    """A misspelt file is answered with the one beside it, a lost one with how to get one."""
    with pytest.raises(ConfigError, match="no such file; `clsbench init` writes one to start from"):
        read_file(tmp_path / "zzzzzzzz.yaml", ())
    with pytest.raises(ConfigError, match="no such file; clsbench brings one called 'moons'"):
        read_file(tmp_path / "moons.yaml", ())
    (tmp_path / "moons.yaml").touch()
    with pytest.raises(ConfigError, match=r"mons\.yaml: no such file; did you mean '.*/moons\.yaml'\?"):
        read_file(tmp_path / "mons.yaml", ())


def test_file_that_cannot_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory, a name with NUL and a file without permission are refused, each with the reason."""
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_file(tmp_path, ())
    with pytest.raises(ConfigError, match="cannot be read: embedded null byte"):
        read_file(tmp_path / "a\0b", ())

    def denied(path: Path, most: int) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("clsbench.config.reader.read_bounded", denied)
    with pytest.raises(ConfigError, match="cannot be read: Permission denied; give a YAML file"):
        read_file(tmp_path / "a.yaml", ())


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


labels = st.one_of(
    st.none(),
    st.sampled_from(
        ["no", "1e3", "012", "2024-01-01", "null", "~", "", " ", "1:30", "\x1b[31m", "a\nb", "\x85", "é", "交叉熵"]
    ),
    st.text(st.characters(exclude_categories=["Cs"])),
)
positive = st.one_of(st.floats(1e-300, 1e300), st.integers(1, 10**12))
share = st.floats(0, 0.99)


def swept(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(values, st.lists(values, min_size=1, max_size=3, unique=True))


seed_lists = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=3, unique=True)


@st.composite
def experiments(draw: st.DrawFn) -> dict[str, Any]:
    """Valid experiments as plain data."""
    names = draw(st.lists(labels.filter(lambda label: label is not None), min_size=2, max_size=2, unique=True))
    losses = [
        {"name": draw(st.sampled_from(["mse_softmax", "bce", "hinge", "cross_entropy"])), "label": label}
        for label in names
    ]
    losses[0] |= draw(st.fixed_dictionaries({}, optional={"lr": positive, "weight": positive}))
    init = st.fixed_dictionaries({}, optional={"weights": st.sampled_from(["normal", "zeros"]), "scale": swept(share)})
    model = {"name": draw(st.sampled_from(["linear", "mlp"])), "label": draw(labels), "init": draw(init)}
    momentum = draw(swept(share))
    tree = {
        "name": draw(st.from_regex(r"run[a-z0-9._-]{0,20}[a-z0-9]", fullmatch=True)),
        "dataset": draw(st.sampled_from(["moons", {"name": "blobs", "classes": 3}, {"name": "iris", "limit": 90}])),
        "model": model,
        "loss": losses,
        "optimizer": {"lr": draw(swept(positive)), "momentum": momentum, "clip_norm": draw(st.none() | positive)},
        "train": {"seeds": draw(st.integers(1, 9) | seed_lists)},
    }
    dropped = draw(st.sets(st.sampled_from(["name", "dataset", "model", "optimizer", "train"])))
    return {key: value for key, value in tree.items() if key not in dropped}


@settings(max_examples=100)
@given(experiments())
def test_experiment_reads_back_from_its_own_yaml(tree: dict[str, Any]) -> None:
    """`to_dict` as YAML gives the same experiment, whatever its labels."""
    try:
        experiment = read_mapping(tree)
    except ConfigError as error:
        assert "arms are called" in str(error)  # noqa: PT017 - the only mistake that the strategy can make
        return
    written = experiment.to_dict()
    again = read(as_yaml(written))
    assert repr(written) == repr(again.to_dict())
    assert experiment == again


JUNK = [
    None,
    True,
    0,
    -1,
    1e400,
    float("nan"),
    10**30,
    "",
    "no",
    "os:system",
    "\ud800",
    "\x00",
    [],
    {},
    [[]],
    {"name": 3},
]
junk = st.one_of(st.sampled_from(JUNK), st.text(max_size=5), st.integers(), st.floats())


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """The whole default experiment with one to three values replaced, taken out or added."""
    tree = copy.deepcopy(DEFAULTS)
    for _ in range(draw(st.integers(1, 3))):
        *path, last = draw(st.sampled_from(places(tree)[1:]))
        holder: Any = tree
        for key in path:
            holder = holder[key]
        match draw(st.sampled_from(["replace", "replace", "delete", "add"])):
            case "delete":
                del holder[last]
            case "add" if isinstance(holder, dict):
                holder[draw(st.text(max_size=3))] = draw(junk)
            case _:
                holder[last] = copy.deepcopy(draw(junk))
        if not places(tree)[1:]:
            break
    return tree


@settings(max_examples=300)
@given(mutated())
def test_mutated_experiment_is_read_or_refused(tree: dict[str, Any]) -> None:
    """Plain data with wrong parts gives an experiment or a ConfigError, as a dict and as YAML."""
    for reads in (
        lambda: read_mapping(tree),
        lambda: read(yaml.safe_dump(tree, allow_unicode=False)),
    ):
        try:
            experiment = reads()
        except ConfigError as error:
            assert all(mistake and "\n" not in mistake for mistake in error.mistakes)  # noqa: PT017
        else:
            assert experiment == read_mapping(experiment.to_dict())


WORDS = [
    "name",
    "loss",
    "train",
    "seeds",
    "optimizer",
    "lr",
    "dataset",
    "model",
    "mlp",
    "focal",
    ": ",
    ":\n  ",
    "\n",
    "- ",
]
WORDS += [
    "[",
    "]",
    "{",
    "}",
    ", ",
    "'",
    '"',
    "0.1",
    "no",
    "&a ",
    "*a",
    "!!int ",
    "<<",
    "\t",
    "#",
    "|",
    ">",
    "?",
    "---\n",
]


@settings(max_examples=300)
@given(st.one_of(st.lists(st.sampled_from(WORDS), max_size=25).map("".join), st.text()), st.text(max_size=12))
def test_random_text_is_read_or_refused(text: str, override: str) -> None:
    """Any text as a file, and any as an override, gives an experiment or a ConfigError with places."""
    try:
        experiment = read(text, override)
    except ConfigError as error:
        assert all(mistake.startswith(("f:", "command line:")) for mistake in error.mistakes)  # noqa: PT017
    else:
        assert experiment == read_mapping(experiment.to_dict())


VALUES = ["linear", "[linear]", "{name: linear}", "{name: mlp, hidden: [4, 4]}", "{init: {weights: no}, name: no}"]


@pytest.mark.parametrize("first", VALUES[:-1])
@pytest.mark.parametrize("second", VALUES)
def test_a_section_that_is_given_twice_is_one_mistake(first: str, second: str) -> None:
    """The first value stands, with the words inside it; those inside the second are said of nothing."""
    twice = "f:2:1: model: given twice; first on line 1"
    assert [twice] == [said for said in mistakes(f"model: {first}\nmodel: {second}") if "YAML 1.1" not in said]
    assert [twice] == mistakes(f"model: {first}\nmodel: linear", "model.name=linear")[:1]
