"""Every key of a config: found by its name, with type, default and meaning; the file's JSON Schema."""

from __future__ import annotations

import clsbench.experiment  # noqa: F401 - registers all that there is
from clsbench.config.json_schema import all_keys, experiment_schema, in_words, keys_named
from clsbench.config.reader import read_mapping


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
