"""`download`: eight processes at once on one empty data directory; one downloads, all read what it brought."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from clsbench.data import vision
from clsbench.data.downloads import MANIFEST
from faulting.children import exit_code, forked
from faulting.figures import Figure
from faulting.mirrors import files, good, serving

COUNT = 20
PROCESSES = 8
SECONDS_AN_ANSWER = 0.02  # long enough that all are there before the first is done


def measure(count: int) -> Figure:
    mirror = good()
    mirror.seconds_an_answer = SECONDS_AN_ANSWER
    with mirror.open(), serving(mirror), tempfile.TemporaryDirectory() as folder:
        vision.mnist(0, data_dir=f"{folder}/alone")  # in this process, which is warm then for those forked from it
        requests, failures = sorted(mirror.asked), []
        for number in range(count):
            mirror.asked.clear()
            failed = _round(Path(folder) / str(number))
            if sorted(mirror.asked) != requests:
                failed.append(f"{len(mirror.asked)} requests where one process alone makes {len(requests)}")
            failures += [f"round {number}: {failure}" for failure in failed]
    return Figure(
        f"{count} rounds of {PROCESSES} processes on one empty data directory: {len(failures)} second downloads, "
        "failures or damaged files",
        reached=not failures,
        numbers={"rounds": count, "processes": PROCESSES, "failures": len(failures)},
        failures=failures,
    )


def _round(folder: Path) -> list[str]:
    """What goes wrong when so many start at once, if anything does."""
    waiting, go = os.pipe()

    def work() -> None:
        os.close(go)
        os.read(waiting, 1)  # until the parent closes its end: all start together
        raw = vision.mnist(0, data_dir=str(folder))
        assert raw.labels.tolist() == [n % 10 for n in range(20)]
        assert raw.features.tobytes() == files()[vision.SOURCES["mnist"].files[0]][16:]

    pids = [forked(work) for _ in range(PROCESSES)]
    os.close(go)
    codes = [exit_code(pid) for pid in pids]
    os.close(waiting)
    failures = [f"a process left with {code}" for code in codes if code]
    raw_folder = folder / vision.SOURCES["mnist"].folder
    left = {path.name: path.read_bytes() for path in raw_folder.iterdir()} if raw_folder.exists() else {}
    with contextlib.suppress(KeyError):
        del left[MANIFEST]
    if left != files():
        failures.append(f"the folder holds {sorted(left)}, or damaged files")
    return failures
