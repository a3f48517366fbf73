"""Every key of a config: found by its name, with type, default and meaning; the file's JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

import clsbench.experiment  # noqa: F401 - registers all that there is
from clsbench.config.json_schema import all_keys, experiment_schema, in_words, keys_named
from clsbench.config.reader import read_file, read_mapping, read_text
from clsbench.config.shipped import MODELINE, folder, shipped
from clsbench.errors import ConfigError

FOLDER = folder() or Path()
STARTER = FOLDER.parent / "clsbench" / "config" / "starter.yaml"

WRONG = """
{nam: x}
{name: [1]}
{dataset: moon}
{dataset: csv}
{dataset: {samples: 10}}
{dataset: {name: moons, noise: -1}}
{dataset: {name: moons, nois: 0.1}}
{dataset: {name: moons, val_fraction: 1.5}}
{model: {name: mlp, hidden: many}}
{model: {name: mlp, gamma: 2}}
{model: {name: mlp, init: {weights: gaussian}}}
{loss: [cross_entropi]}
{loss: {gamma: 2}}
{loss: {name: focal, gamma: x}}
{loss: {name: bce, gamma: 2}}
{optimizer: {lr: -0.1}}
{optimizer: {name: sgd, betas: [0.9, 0.99]}}
{optimizer: {schedule: {name: cosin}}}
{train: {epochs: 0}}
{train: {epoch: 3}}
{train: {device: 3.5}}
{train: {warm_start: {epochs: -1}}}
{expect: 3}
{report: 3}
{tune: 3}
[]
"""


def test_every_key_has_a_meaning_and_a_type() -> None:
    """A key without a description, or a type without words, would leave its reader where they were."""
    assert [] == [key.name for key in all_keys() if not key.meaning or "a value" in in_words(key.schema)]


def test_keys_are_found_by_section_and_by_their_last_parts() -> None:
    """`train` is its section's keys, `normalize` the one key, `lr` each of that name, `csv.target` an option."""
    assert list(read_mapping({}).to_dict()["train"]) == [
        key.name.removeprefix("train.") for key in keys_named("train")[0]
    ]
    assert ["dataset.normalize"] == [key.name for key in keys_named("normalize")[0]]
    assert ["loss.lr", "optimizer.lr", "train.warm_start.lr"] == [key.name for key in keys_named("lr")[0]]
    (target,) = keys_named("csv.target")[0]
    assert ("dataset.csv.target", None) == (target.name, target.default)
    (lr,) = keys_named("optimizer.lr")[0]
    assert ("a number, above 0; or a list of them, a sweep", 0.1) == (in_words(lr.schema), lr.default)


def test_schema_has_the_options_of_what_is_registered() -> None:
    """Each name has its own options, with bounds, default and help, and no others."""
    focal = experiment_schema()["$defs"]["loss.focal"]
    one, several = focal["properties"]["gamma"]["anyOf"]
    assert ({"type": "number", "minimum": 0}, one) == (one, several["items"])
    assert 2.0 == focal["properties"]["gamma"]["default"]
    assert "already right" in focal["properties"]["gamma"]["description"]
    assert focal["additionalProperties"] is False
    assert "name" not in experiment_schema()["$defs"]["optimizer.sgd"]["required"]


@pytest.fixture(scope="module")
def mistakes() -> Callable[[Any], list[str]]:
    """`mistakes(tree)`: what another program finds wrong in a config, by the schema alone."""
    schema = experiment_schema()
    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    return lambda tree: [error.message for error in validator(schema).iter_errors(tree)]


@pytest.mark.parametrize("config", [*shipped().values(), STARTER], ids=[*shipped(), "starter"])
def test_shipped_configs_satisfy_the_schema(config: Path, mistakes: Callable[[Any], list[str]]) -> None:
    """Each as it is written, and with every default filled in."""
    assert [] == mistakes(yaml.safe_load(config.read_text()))
    assert [] == mistakes(read_file(config, []).to_dict())


@pytest.mark.parametrize("text", WRONG.split("\n")[1:-1])
def test_wrong_configs_fail_the_schema(text: str, mistakes: Callable[[Any], list[str]]) -> None:
    """What the reader refuses for a name, a type or a bound, an editor marks too."""
    assert [] != mistakes(yaml.safe_load(text))
    with pytest.raises(ConfigError):
        read_text(text, "wrong.yaml", [])


def test_modelines_lead_to_the_schema_that_the_command_prints(invoke: Callable[..., Any]) -> None:
    """Every shipped config names the file beside it; after a change, `clsbench schema` writes it anew."""
    for config in (*shipped().values(), STARTER):
        (named,) = MODELINE.findall(config.read_text())
        assert (config.parent / named).samefile(FOLDER / "experiment.schema.json"), config
    assert invoke("schema").stdout == (FOLDER / "experiment.schema.json").read_text(), (
        "clsbench schema > configs/experiment.schema.json"
    )


def test_a_config_that_init_writes_finds_the_schema(
    invoke: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The modeline of a user's file is right in any folder."""
    monkeypatch.chdir(tmp_path)
    for arguments in (["own.yaml"], ["copy.yaml", "--from", "papers/nielsen"]):
        assert 0 == invoke("init", *arguments).exit_code
        (named,) = MODELINE.findall(Path(arguments[0]).read_text())
        assert experiment_schema() == json.loads(Path(named.removeprefix("file://")).read_text())
