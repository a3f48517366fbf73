"""Random configs are read, or refused as configs; what is read is written back as it was."""

from __future__ import annotations

import copy
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from clsbench.config.dump import as_yaml
from clsbench.config.reader import read_mapping
from clsbench.errors import ConfigError
from tests.config.reading import DEFAULTS, read

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
