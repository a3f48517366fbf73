"""`crash`: states in which a power failure could leave a run; each goes on to the same end, or is refused clearly.

The calls of a run that change its folder are recorded, then replayed into states by the model in `recording`. A state
is lost where an epoch is missing that had been reported as kept, by a checkpoint of it that counted.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

from clsbench import experiment
from clsbench.runs.checkpoints import Checkpoints
from clsbench.runs.creation import create_run
from clsbench.runs.directory import RunDirectory
from clsbench.runs.writer import RunWriter
from faulting.figures import Figure
from faulting.recording import Recording, RecordingDisk, Tree, make
from faulting.runs import Config, Started, checkpoints_each_epoch, differs, one_line, run_in, small, uninterrupted, warm

COUNT = 2000
SPARING = 4  # one state in so many is of a run that saves no checkpoint before a stack's end: much is not durable
RESUMED = 4  # one state in so many is of a run that had been resumed after a crash
STATES_A_RESUME = 50

CheckpointEpochs = dict[tuple[str, int], int]  # by phase and trial, the epoch of its checkpoint


def measure(count: int) -> Figure:
    config: Config = {**small(losses=2, epochs=2), "tune": {"grid": {"lr": [0.05, 0.1]}, "seeds": 1}}
    warm(config)
    chance, ends, failures = random.Random(0), Counter[str](), list[str]()
    of_sparing, of_resumed = count // SPARING, count // RESUMED
    resumes = -(-of_resumed // STATES_A_RESUME)
    with ExitStack() as both:
        folder = Path(both.enter_context(tempfile.TemporaryDirectory()))
        sparing = _recorded(config, folder / "sparing", {})
        both.enter_context(checkpoints_each_epoch())
        expected = uninterrupted(config, folder / "whole")
        first = _recorded(config, folder / "recorded", {})
        recordings = [(first, count - of_sparing - of_resumed), (sparing, of_sparing)]
        for number in range(resumes):
            again = _recorded(config, folder / f"again{number}", _crashed_midway(first, chance))
            recordings.append((again, of_resumed * (number + 1) // resumes - of_resumed * number // resumes))
        for recording, wanted in recordings:
            for made, what, tree in islice(_distinct(recording, chance, wanted), wanted):
                state = folder / "state"
                make(tree, state)
                end, failure = _end(config, state, expected, *_reported(recording, made))
                shutil.rmtree(state)
                ends[end] += 1
                if failure:
                    failures.append(f"after {made} of {len(recording.operations)} calls, {what}: {failure}")
    done = sum(ends.values())
    calls = [len(recording.operations) for recording in (first, sparing)]
    return Figure(
        f"{done:,} states after a crash, of runs of {calls[0]} and {calls[1]} calls and of {resumes} resumed ones: "
        f"{ends['resumed']:,} go on to the same records and weights, bit for bit, {ends['not begun']:,} had not begun, "
        f"{ends['refused']:,} are refused with 6 in one line, {ends['wrong']:,} lose a kept epoch or end otherwise",
        reached=not failures,
        numbers={"states": done, "calls": calls, **ends, "failures": len(failures)},
        failures=failures,
    )


def _recorded(config: Config, folder: Path, start: Tree) -> Recording:
    """A run, or from `start` on its resume, with each call that changed the folder."""
    make(start, folder)
    run = Started(config, folder, before=functools.partial(_record, folder), drawn=False)
    code, _ = run.ended()
    assert code == 0, run.stderr
    recording = Recording.read(folder / "log", start)
    recording.require_whole(folder / "runs")
    return recording


def _record(folder: Path) -> None:
    disk = RecordingDisk(folder / "runs", folder / "log")
    disk.install()
    keep, list_saved, saved = RunWriter.keep, Checkpoints.list_saved, list[Any]()

    def keep_and_note(writer: RunWriter, event: Any) -> None:
        if checkpoint := getattr(event, "checkpoint", None):
            saved.append([writer.checkpoints.phase, list(checkpoint.trials), checkpoint.snapshot.epoch])
        keep(writer, event)

    def list_and_report(checkpoints: Checkpoints) -> None:
        list_saved(checkpoints)
        for checkpoint in saved:  # they count from here on
            disk.report(checkpoint)
        saved.clear()

    def create_and_report(*args: Any) -> RunDirectory:
        made = create_run(*args)
        disk.report("begun")
        return made

    setattr(RunWriter, RunWriter.keep.__name__, keep_and_note)
    setattr(Checkpoints, Checkpoints.list_saved.__name__, list_and_report)
    setattr(experiment, create_run.__name__, create_and_report)


def _reported(recording: Recording, made: int) -> tuple[bool, CheckpointEpochs]:
    """Whether a run had begun after so many calls, and which epochs were reported as kept."""
    begun, kept = bool(recording.start), CheckpointEpochs()
    for calls, what in recording.reports:
        if calls > made:
            break
        if what == "begun":
            begun = True
        else:
            phase, trials, epoch = what
            kept |= {(phase, trial): epoch for trial in trials}
    return begun, kept


def _distinct(recording: Recording, chance: random.Random, wanted: int) -> Iterator[tuple[int, str, Tree]]:
    """Its crash states, no two alike but for the log, which nothing reads; after regular calls for half of them."""
    seen = set()
    for made, what, tree in recording.states(chance, step=1 + 4 * len(recording.operations) // wanted):
        said = [(path, content) for path, content in tree.items() if not path.endswith("run.log")]
        key = hashlib.sha256(repr((said, _reported(recording, made))).encode()).digest()
        if key not in seen:
            seen.add(key)
            yield made, what, tree


def _crashed_midway(recording: Recording, chance: random.Random) -> Tree:
    """A state of a run that had begun to train."""
    trained = [calls for calls, what in recording.reports if what != "begun"]
    return recording.disk(chance.randrange(trained[0], trained[-1])).state()


def _end(
    config: Config, folder: Path, expected: Mapping[str, Any], begun: bool, kept: CheckpointEpochs
) -> tuple[str, str | None]:
    if run_in(folder) is None:
        return ("wrong", "the run is gone") if begun else ("not begun", None)
    run = Started(config, folder, before=functools.partial(_note_found, folder), drawn=False)
    code, _ = run.ended()
    if code == 6 and one_line(run.stderr):
        return "refused", f"it is refused, with epochs kept: {run.stderr.strip()}" if kept else None
    if code != 0:
        return "wrong", f"it cannot go on: {code}, {run.stderr.strip()}"
    found = _found(folder)
    lost = [key for key, epoch in kept.items() if key[0] in found and found[key[0]].get(key[1], -1) < epoch]
    if lost:
        phase, trial = lost[0]
        return "wrong", f"a kept epoch is lost: {kept[lost[0]]} of trial {trial} in {phase}"
    different = differs(folder, expected)
    return ("wrong", different) if different else ("resumed", None)


def _note_found(folder: Path) -> None:
    """Plan that this process notes what it goes on from; it forces nothing to a disk that is thrown away."""
    reopen = RunWriter.reopen
    found: dict[str, dict[int, int]] = {}

    def reopen_and_note(writer: RunWriter, *without: Any) -> Any:
        kept = reopen(writer, *without)
        found[writer.checkpoints.phase] = {trial: each.snapshot.epoch for trial, each in kept.items()}
        (folder / "found").write_text(json.dumps(found), encoding="utf-8")
        return kept

    setattr(RunWriter, RunWriter.reopen.__name__, reopen_and_note)
    setattr(os, os.fsync.__name__, lambda handle: None)


def _found(folder: Path) -> dict[str, dict[int, int]]:
    """What a run went on from; nothing where it was complete."""
    path = folder / "found"
    if not path.exists():
        return {}
    return {phase: {int(n): epoch for n, epoch in each.items()} for phase, each in json.loads(path.read_text()).items()}
