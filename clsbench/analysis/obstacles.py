"""What keeps several runs from being on one ruler: other data, other splits, another start."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from clsbench.analysis.pairing import unlike
from clsbench.config.arms import Arm
from clsbench.config.plan import Plan
from clsbench.results import Records, Summary
from clsbench.runs.evidence import Evidence
from clsbench.runs.provenance import SPLIT_WORDS


@dataclass(frozen=True)
class Part:
    """One of the runs.

    Attributes:
        where: its directory, as it was given.
        plan: its trials, at the settings that tuning chose.
        data: the hash of each split, by dataset and split seed.
        settings: those that decide its trials, by dotted key.
    """

    where: str
    records: Records
    summary: Summary
    plan: Plan
    data: Mapping[str, Mapping[str, Mapping[str, str | None]]]
    evidence: Evidence
    settings: Mapping[str, Any]


def obstacle(parts: Sequence[Part]) -> str | None:
    """Why runs cannot be on one ruler; None if they can.

    Each needs a comparison (data, model, batch size) in common with one before it. Data of one name must have the same
    splits at the seeds that two runs both have, and there a comparison the same initial weights and batches.
    """
    for place, other in enumerate(parts):
        before = parts[:place]
        if before and not any(_grounds(each.plan) & _grounds(other.plan) for each in before):
            return _not_alike(before[0], other, _no_comparison(before[0].plan, other.plan))
        for each in before:
            reason = next(_other_data(each, other), None) or next(_unpaired(each, other), None)
            if reason is not None:
                return _not_alike(each, other, reason)
    return None


def _not_alike(first: Part, other: Part, reason: str) -> str:
    return f"{other.where} cannot be compared with {first.where}: {reason}"


def ground_of(arm: Arm) -> str:
    """What the arms of a comparison share; the splits are compared by themselves."""
    return json.dumps([arm.dataset.title, _of_model(arm), arm.batch_size], sort_keys=True)


def _of_model(arm: Arm) -> dict[str, Any]:
    known = arm.model.model_dump(mode="json", exclude={"label"})
    return {**known, "init": {**known["init"], "scale": arm.scale}}


def _grounds(plan: Plan) -> set[str]:
    return {ground_of(arm) for arm in plan.arms}


def _no_comparison(first: Plan, other: Plan) -> str:
    datasets = [dict.fromkeys(arm.dataset.title for arm in plan.arms) for plan in (first, other)]
    if not datasets[0].keys() & datasets[1].keys():
        return f"their data are {' and '.join(map(', '.join, datasets))}"
    ours, theirs = first.arms[0], other.arms[0]
    if different := _differences(_of_model(ours), _of_model(theirs)):
        return f"their models differ, {different}"
    return f"they have no data, model and batch size in common (batch size {ours.batch_size} and {theirs.batch_size})"


def _other_data(first: Part, other: Part) -> Iterator[str]:
    """What differs in the data that two runs call the same."""
    ours, theirs = ({arm.dataset.title: arm.dataset for arm in each.plan.arms} for each in (first, other))
    for title in (title for title in ours if title in theirs):
        entries = ours[title], theirs[title]
        why = _differences(*(entry.model_dump(mode="json", exclude={"label"}) for entry in entries))
        told = f"; {why}" if why else ""
        seeds = _common_seeds(first, other)
        if not seeds and any(entry.split_seed == "per_seed" for entry in entries):
            yield f"they have no seed in common, and each seed has splits of its own of {title}{told}"
        for seed in seeds or (0,):
            keys = (str(seed if entry.split_seed == "per_seed" else entry.split_seed) for entry in entries)
            hashes = [each.data[title][key] for each, key in zip((first, other), keys, strict=True)]
            for split, word in SPLIT_WORDS.items():
                if hashes[0].get(split) != hashes[1].get(split):
                    yield f"the {word} split of {title} differs at seed {seed}{told}"


def _differences(first: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """`noise is 0.2 and 0.3, samples is 100 and 200`; empty where nothing differs."""
    keys = [key for key in {**first, **other} if first.get(key) != other.get(key)]
    return ", ".join(f"{key} is {json.dumps(first.get(key))} and {json.dumps(other.get(key))}" for key in keys)


def _unpaired(first: Part, other: Part) -> Iterator[str]:
    """At which seed two runs began otherwise, or saw other batches."""
    shift = len(first.plan.trials)
    together = Evidence()
    together.add(first.evidence)
    together.add(other.evidence.moved({number: number + shift for number in other.evidence.weights}))
    trials = [*first.plan.trials, *(replace(each, number=each.number + shift) for each in other.plan.trials)]
    for ground in sorted(_grounds(first.plan) & _grounds(other.plan)):
        for seed in _common_seeds(first, other):
            found = [
                each.number
                for each in trials
                if each.seed == seed and each.number in together.weights and ground_of(each.arm) == ground
            ]
            if found and (what := unlike(together, found)):
                yield f"at seed {seed} their {what} differ"


def _common_seeds(first: Part, other: Part) -> list[int]:
    theirs = set(other.plan.experiment.train.seed_list)
    return [seed for seed in first.plan.experiment.train.seed_list if seed in theirs]
