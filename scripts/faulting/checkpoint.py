"""`checkpoint`: checkpoints cut short and with single bits flipped; each is noticed, and the one before is used."""

from __future__ import annotations

import functools
import logging
import random
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from clsbench.errors import RunError
from clsbench.runs.checkpoints import StoredCheckpoint
from clsbench.runs.directory import METRICS, RunDirectory
from clsbench.runs.names import MANIFEST
from faulting.figures import Figure
from faulting.resume import ends_after
from faulting.runs import Started, checkpoints_each_epoch, goes_on, run_in, small, uninterrupted, warm

COUNT = 700  # three cuts to four flipped bits
RUNS = 20  # one damage in so many is carried through to the end of a run


def measure(count: int) -> Figure:
    config = small(losses=1, epochs=4)
    warm(config)
    logging.getLogger("clsbench").setLevel(logging.ERROR)  # each damage is logged, as it should be
    chance, failures = random.Random(0), []
    cuts = count * 3 // 7
    with tempfile.TemporaryDirectory() as name, checkpoints_each_epoch():
        expected = uninterrupted(config, Path(name) / "whole")
        Started(config, Path(name) / "stopped", before=functools.partial(ends_after, 4), drawn=False).ended()
        run = run_in(Path(name) / "stopped")
        assert run is not None
        newest = max((run / "checkpoints").glob("*.pt"))
        whole = newest.read_bytes()
        assert _used(run) == "3"
        for number in range(count):
            what = "cut" if number < cuts else "flipped"
            place = chance.randrange(len(whole)) if what == "cut" else chance.randrange(8 * len(whole))
            newest.write_bytes(whole[:place] if what == "cut" else flipped(whole, place))
            if (used := _used(run)) != "2":
                failures.append(f"{what} at {place}, and not gone on from epoch 2: {used}")
            elif number % (count // RUNS or 1) == 0:
                again = Path(name) / f"again{number}"
                shutil.copytree(Path(name) / "stopped", again)
                if failure := goes_on(config, again, expected, set()):
                    failures.append(f"{what} at {place}: {failure}")
        newest.write_bytes(whole)
        failures = failures or _manifest_failures(run, chance, count // 7)
    return Figure(
        f"{cuts} cuts and {count - cuts} flipped bits of checkpoints: {len(failures)} not noticed, or without the one "
        "before",
        reached=not failures,
        numbers={"cuts": cuts, "flips": count - cuts, "manifest_flips": count // 7, "failures": len(failures)},
        failures=failures,
    )


def flipped(data: bytes, bit: int) -> bytes:
    return data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]


def kept(run: Path) -> list[StoredCheckpoint]:
    return list(RunDirectory(run).checkpoints(METRICS).newest())


def _used(run: Path) -> str:
    """The epoch that a run would go on from, or why it would not."""
    try:
        return ", ".join(str(each.checkpoint.snapshot.epoch) for each in kept(run))
    except Exception as error:
        return repr(error)


def _manifest_failures(run: Path, chance: random.Random, count: int) -> list[str]:
    """A bit flipped in the list of checkpoints may cost some or all of them, but never brings a wrong one."""
    path = run / "checkpoints" / MANIFEST
    whole = path.read_bytes()
    newest = max((run / "checkpoints").glob("*.pt"))
    content = newest.read_bytes()
    right = _trials(run)
    newest.write_bytes(b"")
    right |= _trials(run)  # those of the one before
    newest.write_bytes(content)
    failures = []
    for _ in range(count):
        bit = chance.randrange(8 * len(whole))
        path.write_bytes(flipped(whole, bit))
        with suppress(RunError):  # it is reported
            if not _trials(run) <= right:
                failures.append(f"bit {bit} of the manifest flipped: a checkpoint is taken for another")
    path.write_bytes(whole)
    return failures


def _trials(run: Path) -> set[tuple[object, ...]]:
    """What a run would go on from, trial by trial."""
    return {
        (trial, each.checkpoint.snapshot.epoch, each.checkpoint.finished, repr(_bytes(each, place)))
        for each in kept(run)
        for place, trial in enumerate(each.checkpoint.trials)
    }


def _bytes(each: StoredCheckpoint, place: int) -> list[tuple[str, bytes]]:
    tensors = each.checkpoint.snapshot.tensors
    return [(name, tensors[name][place].numpy().tobytes()) for name in sorted(tensors)]
