"""Words without quotes: numbers, text where a key takes text, and those that YAML readers disagree on."""

from __future__ import annotations

from pathlib import Path

import pytest

from clsbench.config.dump import as_yaml
from clsbench.registry import dataset
from tests.config.reading import mistakes, read


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
    """Where a key is not text, a word that two readers of YAML read differently is not guessed at."""
    assert [
        "f:1:16: train.seeds: '012' is octal in YAML 1.1 and decimal in 1.2; quote it if it is text, else write it out",
        "f:1:33: train.batch_size: '1_000' is a number in YAML 1.1 and text in 1.2; "
        "quote it if it is text, else write it out",
        "f:1:52: train.warm_start: 'no' is a truth value in YAML 1.1 and a word in 1.2; "
        "quote it if it is text, else write it out",
    ] == mistakes("train: {seeds: 012, batch_size: 1_000, warm_start: no}")
