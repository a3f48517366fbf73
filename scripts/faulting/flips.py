"""`flips`: single bits flipped in each file of a finished and of a stopped run; no reader may return another value."""

from __future__ import annotations

import functools
import logging
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import clsbench
from clsbench.errors import RunError
from clsbench.runs.directory import METRICS, RunDirectory
from faulting.checkpoint import flipped
from faulting.figures import Figure
from faulting.resume import ends_after
from faulting.runs import Started, checkpoints_each_epoch, run_in, small, uninterrupted, warm

COUNT = 400  # in each file
FINISHED = ("metrics.jsonl", "summary.json", "config.yaml", "environment.json", "checkpoints/manifest.json")
STOPPED = (*(name for name in FINISHED if name != "summary.json"), "checkpoints/metrics.sums")

Told = dict[str, Any]


def measure(count: int) -> Figure:
    config = small(losses=2, epochs=4)
    warm(config)
    logging.getLogger("clsbench").setLevel(logging.ERROR)  # that files are rebuilt is logged, as expected
    outcomes, failures = Counter[str](), list[str]()
    with tempfile.TemporaryDirectory() as name, checkpoints_each_epoch():
        folder = Path(name)
        uninterrupted(config, folder / "finished")
        Started(config, folder / "stopped", before=functools.partial(ends_after, 7), drawn=False).ended()
        for kind, names, tell in (("finished", FINISHED, shown), ("stopped", STOPPED, gone_on_from)):
            run = run_in(folder / kind)
            assert run is not None
            for file in names:
                found = outcomes_of(run, file, tell, count, failures)
                outcomes += Counter({f"{kind} {file}: {outcome}": number for outcome, number in found.items()})
    total = Counter[str]()
    for key, number in outcomes.items():
        total[key.partition(": ")[2]] += number
    return Figure(
        f"{outcomes.total():,} bits flipped, {count} in each file of a finished and of a stopped run: "
        f"{total['refused']:,} refused with 6, {total['made again']:,} noticed and made again from what is whole, "
        f"{total['no effect']:,} without effect, {len(failures)} not noticed",
        reached=not failures,
        numbers={**outcomes, "failures": len(failures)},
        failures=failures,
    )


def outcomes_of(run: Path, file: str, tell: Callable[[Path], Told], count: int, failures: list[str]) -> Counter[str]:
    """What so many flips in a file of a run lead to; what is told otherwise goes to `failures`."""
    whole, expected = (run / file).read_bytes(), _copied(run, tell, lambda copy: None)
    chance, found = random.Random(file), Counter[str]()
    for bit in chance.sample(range(8 * len(whole)), min(count, 8 * len(whole))):

        def flip(copy: Path, bit: int = bit) -> None:
            (copy / file).write_bytes(flipped(whole, bit))

        try:
            told = _copied(run, tell, flip)
        except RunError:
            found["refused"] += 1
            continue
        except Exception as error:
            failures.append(f"bit {bit} of {file} flipped: {error!r}")
            continue
        if told == expected:
            found["no effect"] += 1
        elif _is_part(told, expected):
            found["made again"] += 1
        else:
            failures.append(f"bit {bit} of {file} flipped: it is not noticed, and something else is told")
    return found


def _copied(run: Path, tell: Callable[[Path], Told], change: Callable[[Path], None]) -> Told:
    """What is told of a changed copy of a run."""
    with tempfile.TemporaryDirectory() as name:
        copy = Path(name) / "run"
        shutil.copytree(run, copy)
        change(copy)
        return tell(copy)


def _is_part(told: Told, expected: Told) -> bool:
    """Whether all that is told is right, and some records or checkpoints are to be made again."""
    rest = all(told[key] == expected[key] for key in told if key not in ("records", "kept"))
    records = all(record in expected["records"] for record in told["records"])
    return rest and records and set(told["kept"]) <= set(expected["kept"])


def shown(run: Path) -> Told:
    """All that `report`, `load` and `load_model` tell."""
    result, directory = clsbench.load(run), RunDirectory(run)
    state = clsbench.load_model(run, 0)[0].state_dict()
    weights = {name: tensor.numpy().tobytes() for name, tensor in state.items()}
    asked = directory.experiment().to_dict()
    summary = {key: value for key, value in result.summary.items() if key != "directory"}
    told = {"records": result.records, "summary": summary, "environment": directory.environment()}
    return {**told, "config": asked, "weights": weights, "kept": ()}


def gone_on_from(run: Path) -> Told:
    """All that `run --resume` takes from what is there."""
    directory = RunDirectory(run)
    known = directory.identify()
    asked = directory.experiment().to_dict()
    with directory.held():
        directory.restore(known.run)
        writer = directory.writer(METRICS, None, exact=True)
        kept = {(trial, each.snapshot.epoch) for trial, each in writer.reopen().items()}
        records = writer.records.read() if (run / "metrics.jsonl").stat().st_size else []
    environment = directory.environment() if directory.has_environment() else None
    told = {"run": known.run, "fingerprint": known.fingerprint.brief, "config": asked, "records": records, "kept": kept}
    return {**told, **({"environment": environment} if environment else {})}
