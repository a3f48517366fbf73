"""`environment.json`: the environment of a run, and its data."""

from __future__ import annotations

import math
from functools import cache
from typing import Annotated, Any, NotRequired

from pydantic import Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from clsbench.results.reading import ADDED, STRICT, Count, damaged, parsed, validated

# No trainable sample is larger; a damaged size must not be allocated.
MOST_NUMBERS = 10**8
MOST_CLASSES = 10**6


@with_config(STRICT)
class Machine(TypedDict):
    """`cores` is None if the system does not report it."""

    system: Annotated[str | None, ADDED]
    processor: str
    cores: Count | None


@with_config(STRICT)
class Device(TypedDict):
    """The device: its name and kind in PyTorch, the model of a GPU, the numbers of threads."""

    name: Annotated[str | None, ADDED]
    kind: str
    model: Annotated[str | None, ADDED]
    threads: list[Count]


@with_config(STRICT)
class Platform(TypedDict):
    """The environment of a process that resumed the run."""

    versions: dict[str, str | None]
    machine: Machine
    device: Device


@with_config(STRICT)
class Node(TypedDict):
    """A machine of a cluster, and in words in what it differs from the run's own."""

    name: str
    differences: list[str]


@with_config(STRICT)
class DatasetFacts(TypedDict):
    """An opened dataset: the shape of a sample, the samples of each split, the facts of its problem."""

    shape: list[Annotated[int, Field(ge=1, le=MOST_NUMBERS)]]
    problem: NotRequired[str]
    num_classes: NotRequired[Annotated[int, Field(ge=1, le=MOST_CLASSES)]]
    class_names: NotRequired[list[str]]
    ordered: NotRequired[bool]
    names: NotRequired[list[str]]
    shift: NotRequired[list[float]]
    scale: NotRequired[list[float]]
    shares: NotRequired[bool]
    train: Count
    val: Count
    test: Count


@with_config(STRICT)
class Environment(Platform):
    """`datasets` has the facts of each dataset by its title, `auto` what each `auto` of the config became.

    `nodes` has the machines of a cluster that trained and are not like the run's own; None if there are none.
    """

    format_version: Annotated[Annotated[int, Field(ge=1)] | None, ADDED]
    auto: Annotated[dict[str, Any] | None, ADDED]
    command_line: Annotated[list[str] | None, ADDED]
    git_revision: Annotated[str | None, ADDED]
    datasets: dict[str, DatasetFacts]
    resumed: Annotated[list[Platform] | None, ADDED]
    nodes: Annotated[list[Node] | None, ADDED]


@cache
def _adapter() -> TypeAdapter[Environment]:
    return TypeAdapter(Environment)


def read_environment(path: str, text: str) -> Environment:
    """`environment.json`; what an older version lacks is None.

    Raises:
        RunError: it is damaged, or of a newer version.
    """
    environment = validated(path, _adapter(), parsed(path, text))
    platforms: list[Platform] = [environment, *(environment["resumed"] or ())]
    if any(platform["versions"].get("torch") is None for platform in platforms):
        raise damaged(path, "versions.torch is missing")
    for title, facts in environment["datasets"].items():
        if (size := math.prod(facts["shape"])) > MOST_NUMBERS:
            raise damaged(path, f"datasets.{title}.shape has {size} numbers")
    return environment
