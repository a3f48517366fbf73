"""What must be as it was for a run to go on, so that its end is the end it would have had."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clsbench.config.schema import Experiment
from clsbench.errors import RunError

# What changes no trial's numbers, or is looked at by itself: the kind of device, the threads.
FREE = {"name", "expect", "train.device", "train.threads", "train.stack"}

# Of `environment.json`, what is compared: by part, its keys.
COMPARED = {"versions": {"torch"}, "machine": {"processor", "cores"}, "device": {"kind", "threads"}}


def require_same_trials(kept: Experiment, asked: Experiment) -> None:
    """Refuse to go on with other trials than those the run began.

    Raises:
        RunError: with the first difference, and how many there are.
    """
    before, now = _comparable(kept), _comparable(asked)
    different = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if different:
        key, more = different[0], len(different) - 1
        others = f" (and {', '.join(different[1:4])}{', ...' * (more > 3)})" if more else ""
        raise RunError(
            f"the run cannot go on with another config: {key} was {_shown(before.get(key))}, and is "
            f"{_shown(now.get(key))}{others}; start a new run, or leave CONFIG out"
        )


def _comparable(experiment: Experiment) -> dict[str, Any]:
    leaves = dict(_leaves("", experiment.to_dict()))
    leaves["train.seeds"] = list(experiment.train.seed_list)
    return {key: value for key, value in leaves.items() if key not in FREE}


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _leaves(f"{name}.{key}" if name else key, each)
    else:
        yield name, value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def is_comparable(environment: Any) -> bool:
    """Whether it has all that `changes_since` asks for."""
    return isinstance(environment, dict) and all(
        isinstance(environment.get(part), dict) and keys <= environment[part].keys() for part, keys in COMPARED.items()
    )


def changes_since(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What has changed that may change last bits, in words; empty where the end is promised bit by bit.

    Args:
        before, now: `environment.json` of the run, and what it would be now; both are comparable.

    Raises:
        RunError: PyTorch or the kind of device is another, with which no epoch would be repeated.
    """
    for what, key, part in (("PyTorch", "versions", "torch"), ("device", "device", "kind")):
        if before[key][part] != now[key][part]:
            raise RunError(
                f"the run cannot go on with another {what}: it was {before[key][part]}, and is {now[key][part]}; "
                "start a new run"
            )
    changes = [("machine", "processor"), ("machine", "cores"), ("device", "threads")]
    return [
        f"{part} was {old}, and is {new}"
        for key, part in changes
        if (old := before[key][part]) != (new := now[key][part])
    ]
