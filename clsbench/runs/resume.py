"""What must be unchanged to resume a run, so that it ends with the results of an uninterrupted one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from clsbench.config.schema import Experiment
from clsbench.errors import RunError

# Keys that change no trial's numbers, or that are checked separately: the kind of device, the threads.
FREE = {"name", "expect", "silence", "train.device", "train.threads", "train.stack"}
FREE_SECTIONS = ("report.", "verdict.")

EXACT = {"torch", "clsbench"}  # any other version is another program; of the rest, a patch changes last bits at most
NAMES = {"torch": "PyTorch", "python": "Python", "numpy": "NumPy"}


def require_same_trials(kept: Experiment, asked: Experiment) -> None:
    """Refuse to resume a run with other trials than it began with.

    Raises:
        RunError: with the first difference, and how many there are.
    """
    before, now = comparable(kept), comparable(asked)
    different = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if different:
        key, more = different[0], len(different) - 1
        others = f" (and {', '.join(different[1:4])}{', ...' * (more > 3)})" if more else ""
        raise RunError(
            f"the run cannot go on with another config: {key} was {_shown(before.get(key))}, and is "
            f"{_shown(now.get(key))}{others}; start a new run, or leave CONFIG out"
        )


def comparable(experiment: Experiment) -> dict[str, Any]:
    """The settings that decide the trials, by dotted key."""
    leaves = dict(_leaves("", experiment.to_dict()))
    leaves["train.seeds"] = list(experiment.train.seed_list)
    return {key: value for key, value in leaves.items() if key not in FREE and not key.startswith(FREE_SECTIONS)}


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _leaves(f"{name}.{key}" if name else key, each)
    else:
        yield name, value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def changes_since(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """The changes that may change last bits, in words; empty if the results are promised bit by bit.

    Args:
        before, now: versions, machine and device of the run, and what they are now.

    Raises:
        RunError: the versions or the kind of device differ, so that no epoch would be reproduced.
    """
    if (old := before["device"]["kind"]) != (new := now["device"]["kind"]):
        raise RunError(f"the run cannot go on with another device: it was {old}, and is {new}; start a new run")
    changes = []
    for name in {**before["versions"], **now["versions"]}:
        old, new = before["versions"].get(name), now["versions"].get(name)
        if old == new:
            continue
        if name in EXACT or _release(old) != _release(new):
            raise RunError(
                f"the run cannot go on with another {NAMES.get(name, name)}: {name} was {old}, is {new}; "
                "start a new run"
            )
        changes.append(f"{name} was {old}, and is {new}")
    compared = [("machine", "processor"), ("machine", "cores"), ("device", "threads")]
    return changes + [
        f"{part} was {old}, and is {new}"
        for key, part in compared
        if (old := before[key][part]) != (new := now[key][part])
    ]


def _release(version: str | None) -> list[str] | None:
    """A version without its patch."""
    return None if version is None else version.split(".")[:2]
