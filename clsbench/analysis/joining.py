"""The arms of several runs side by side, as if one run had trained them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from clsbench.analysis.obstacles import Part, ground_of
from clsbench.analysis.pairing import paired
from clsbench.analysis.targets import with_times_to_target
from clsbench.analysis.test_set import Spreads, spreads_of
from clsbench.analysis.verdicts import judgement
from clsbench.config.arms import Arm
from clsbench.config.plan import Plan, Trial
from clsbench.results import (
    FORMAT_VERSION,
    ArmSummary,
    ArmTuning,
    Compared,
    JoinedRun,
    Record,
    Records,
    Summary,
    Tuning,
)
from clsbench.runs.evidence import Evidence

# Settings that are compared by themselves, or that change no trial.
FREE = ("dataset", "model", "loss", "verdict")
OF_A_TRIAL = ("trial", "seconds")  # in a record; all else is the same where a trial is trained again


@dataclass(frozen=True)
class Joined:
    """The arms of several runs together. `members` has the run and the arm in it of each one, by its name here."""

    records: Records
    summary: Summary
    members: Mapping[str, tuple[int, Arm]]


def joined(parts: Sequence[Part]) -> Joined:
    """The runs as one, whose verdicts are made anew over all arms, paired by the seeds that two arms both have.

    An arm that a later run trained again, with the same records, is shown once. Others of one name are told apart by
    the number of their run.
    """
    members = _members(parts)
    numbers: dict[tuple[int, int], int] = {}
    trials: list[Trial] = []
    for name, (place, arm) in members.items():
        for trial in _trials(parts[place].plan, arm.name):
            numbers[place, trial.number] = len(trials)
            trials.append(replace(trial, number=len(trials), arm=replace(arm, name=name)))
    records = _in_order(_renumbered(each, numbers, trials) for each in _with_place(parts, numbers))
    summary = _summary(parts, members, trials, _evidence(parts, numbers), records)
    return Joined(records, summary, members)


def _members(parts: Sequence[Part]) -> dict[str, tuple[int, Arm]]:
    """The arms that are shown, comparison by comparison, each by its name here."""
    rows = [part.records.by("arm") for part in parts]
    shown = [
        (place, arm)
        for place, part in enumerate(parts)
        for arm in part.plan.arms
        if not _is_known(parts, rows, place, arm)
    ]
    times = Counter(arm.name for _, arm in shown)
    order = list(dict.fromkeys(ground_of(arm) for _, arm in shown))
    shown.sort(key=lambda each: order.index(ground_of(each[1])))
    return {arm.name if times[arm.name] == 1 else f"{arm.name} run={place + 1}": (place, arm) for place, arm in shown}


def _is_known(parts: Sequence[Part], rows: Sequence[Mapping[str, Records]], place: int, arm: Arm) -> bool:
    """Whether a run before has this arm, with the same rows."""
    return any(
        each.name == arm.name
        and ground_of(each) == ground_of(arm)
        and _same(rows[before].get(arm.name), rows[place].get(arm.name))
        for before in range(place)
        for each in parts[before].plan.arms
    )


def _same(ours: Records | None, theirs: Records | None) -> bool:
    """Whether records are the same but for what differs where a trial is trained again."""
    if ours is None or theirs is None or len(ours) != len(theirs):
        return ours is theirs
    return all(_lasting(one) == _lasting(other) for one, other in zip(ours, theirs, strict=True))


def _lasting(record: Record) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in OF_A_TRIAL}


def _in_order(records: Iterable[Record]) -> Records:
    """The records by epoch, then trial."""
    found = Records.of(records)
    keys = list(zip(found.column("epoch"), found.column("trial"), strict=True))
    return found.at(sorted(range(len(keys)), key=keys.__getitem__))


def _trials(plan: Plan, arm: str) -> list[Trial]:
    return [trial for trial in plan.trials if trial.arm.name == arm]


def _with_place(parts: Sequence[Part], numbers: Mapping[tuple[int, int], int]) -> Iterator[tuple[int, Record]]:
    for place, part in enumerate(parts):
        yield from ((place, record) for record in part.records if (place, record["trial"]) in numbers)


def _renumbered(placed: tuple[int, Record], numbers: Mapping[tuple[int, int], int], trials: Sequence[Trial]) -> Record:
    place, record = placed
    number = numbers[place, record["trial"]]
    return {**record, "trial": number, "arm": trials[number].arm.name}


def _evidence(parts: Sequence[Part], numbers: Mapping[tuple[int, int], int]) -> Evidence:
    found = Evidence()
    for place, part in enumerate(parts):
        found.add(part.evidence.moved({old: new for (of, old), new in numbers.items() if of == place}))
    return found


def _summary(
    parts: Sequence[Part],
    members: Mapping[str, tuple[int, Arm]],
    trials: Sequence[Trial],
    evidence: Evidence,
    records: Records,
) -> Summary:
    summaries = [part.summary for part in parts]
    by_name = [{arm["name"]: arm for arm in summary["arms"]} for summary in summaries]
    groups: dict[str, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(ground_of(trial.arm), []).append(trial)
    arms: list[ArmSummary] = [{**by_name[place][arm.name], "name": name} for name, (place, arm) in members.items()]
    compared: Compared = {
        "data": {title: data for each in summaries for title, data in (each["data"] or {}).items()},
        "warnings": [*{repr(row): row for each in summaries for row in each["warnings"] or ()}.values()],
        "arms": arms,
        "pairing": [
            paired(evidence, [*{trial.arm.name: trial.arm for trial in group}.values()], group)
            for group in groups.values()
        ],
    }
    compared["arms"] = with_times_to_target(compared, records)
    rules = parts[0].plan.experiment.verdict.rules
    found, warm = judgement(compared, rules, spreads=_spreads(summaries, members)), summaries[0]["warm_start"]
    seconds = [each["seconds"] for each in summaries if each["seconds"] is not None]
    wall_seconds = [each["wall_seconds"] for each in summaries if each["wall_seconds"] is not None]
    return {
        "format_version": FORMAT_VERSION,
        "name": " and ".join(dict.fromkeys(each["name"] for each in summaries)),
        "directory": None,
        "status": "failed" if any(each["status"] == "failed" for each in summaries) else "finished",
        "device": " and ".join(dict.fromkeys(each["device"] for each in summaries)),
        "engine": None,
        **found,
        "across": None,
        "warm_start": warm if all(each["warm_start"] == warm for each in summaries) else None,
        "expectations": [],
        "tuning": _tuning(summaries, members),
        "seconds": sum(seconds) if seconds else None,
        "wall_seconds": sum(wall_seconds) if len(wall_seconds) == len(summaries) else None,
        "clock": None,
        "runs": _runs(parts, members),
    }


def _spreads(summaries: Sequence[Summary], members: Mapping[str, tuple[int, Arm]]) -> Spreads:
    """Those of the runs' own verdicts: of arms of two runs, nothing is known by sample."""
    names = {(place, arm.name): name for name, (place, arm) in members.items()}
    return spreads_of(
        {**row, "a": names[place, row["a"]], "b": names[place, row["b"]]}
        for place, summary in enumerate(summaries)
        for row in summary["verdicts"]
        if {(place, row["a"]), (place, row["b"])} <= names.keys()
    )


def _tuning(summaries: Sequence[Summary], members: Mapping[str, tuple[int, Arm]]) -> Tuning | None:
    """The tuning of all runs, where they were tuned alike; else None."""
    tuned = [each["tuning"] for each in summaries if each["tuning"]]
    if len(tuned) < len(summaries) or any(_asked(each) != _asked(tuned[0]) for each in tuned):
        return None
    by_name = [{arm["name"]: arm for arm in each["arms"]} for each in tuned]
    arms: list[ArmTuning] = [{**by_name[place][arm.name], "name": name} for name, (place, arm) in members.items()]
    return {
        **tuned[0],
        "trials": sum(each["trials"] for each in tuned),
        "seconds": sum(each["seconds"] for each in tuned),
        "arms": arms,
    }


def _asked(tuned: Tuning) -> tuple[object, ...]:
    return tuned["protocol"], tuned["metric"], tuned["seeds"], tuned["grid"]


def _runs(parts: Sequence[Part], members: Mapping[str, tuple[int, Arm]]) -> list[JoinedRun]:
    """Each run with its arms, those that are shown from another run, and the settings in which the runs differ."""
    keys = dict.fromkeys(key for part in parts for key in part.settings if key.partition(".")[0] not in FREE)
    unlike = [key for key in keys if any(part.settings.get(key) != parts[0].settings.get(key) for part in parts)]
    found: list[JoinedRun] = []
    for place, part in enumerate(parts):
        shown = {arm.name: name for name, (of, arm) in members.items() if of == place}
        found.append(
            {
                "directory": part.where,
                "arms": list(shown.values()),
                "repeated": [arm.name for arm in part.plan.arms if arm.name not in shown],
                "settings": {key: part.settings.get(key) for key in unlike},
            }
        )
    return found
