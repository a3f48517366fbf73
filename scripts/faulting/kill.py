"""`kill`: kill -9 at random moments of runs, which lose no finished epoch and end as an uninterrupted run does."""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from faulting.figures import Figure
from faulting.runs import Config, Started, checkpoints_each_epoch, goes_on, run_in, small, uninterrupted, warm

COUNT = 200
COMPILED_SHARE = 20  # one in so many runs steps by compiled graphs: those take seconds
AGAIN = 0.3  # chance that the run is killed once more when it goes on


def measure(count: int) -> Figure:
    configs = [small(), small(losses=2, compiled=True)][: 1 if count < COMPILED_SHARE else 2]
    warm(*configs)
    chance = random.Random(0)
    failures: list[str] = []
    kills = number = 0
    with tempfile.TemporaryDirectory() as name:
        kinds = [_Kind(config, Path(name) / f"whole{config['train']['compile']}") for config in configs]
        while kills < count:
            kind = kinds[-1 if number % COMPILED_SHARE == COMPILED_SHARE - 1 else 0]
            folder = Path(name) / str(number)
            with checkpoints_each_epoch(number % 2 == 0):
                done, failure = kind.killed_and_resumed(folder, chance)
            kills += done
            if failure:
                failures.append(f"run {number}: {failure}")
            number += 1
    return Figure(
        f"{kills} kill -9 at random moments of {number} runs: {len(failures)} runs with a lost epoch, "
        "not resumable, or other than bit-identical at the end",
        reached=not failures,
        numbers={"kills": kills, "runs": number, "failures": len(failures)},
        failures=failures,
    )


class _Kind:
    """A config, the outcome of an uninterrupted run of it, and how long that takes."""

    def __init__(self, config: Config, folder: Path) -> None:
        self.config = config
        self.expected: dict[str, Any] = uninterrupted(config, folder / "expected")
        start = time.monotonic()
        Started(config, folder / "timed").ended()
        self.seconds = time.monotonic() - start

    def killed_and_resumed(self, folder: Path, chance: random.Random) -> tuple[int, str | None]:
        """How often a run was killed, and what is wrong with it in the end, if anything is."""
        kills, finished = 0, set()
        while True:
            at_operation = chance.randrange(1, 400) if chance.random() < 0.5 else None
            run = Started(self.config, folder, before=kill_at(at_operation) if at_operation else None)
            if at_operation is None:
                time.sleep(chance.uniform(0, self.seconds))
                os.kill(run.pid, signal.SIGKILL)
            code, reported = run.ended()
            finished |= reported
            kills += code == -signal.SIGKILL
            if code not in (0, -signal.SIGKILL):
                return kills, f"{code}: {run.stderr.strip()}"
            if run_in(folder) is None or (code == 0 and not kills):
                continue  # it had not begun, or had ended
            if chance.random() > AGAIN:
                return kills, goes_on(self.config, folder, self.expected, finished)


def kill_at(operation: int) -> Callable[[], None]:
    """A plan of kill -9 at the n-th file that the process opens, moves, makes or removes."""

    def plan() -> None:
        seen = 0

        def hook(event: str, arguments: Any) -> None:
            nonlocal seen
            if event in {"open", "os.rename", "os.mkdir", "os.remove"}:
                seen += 1
                if seen == operation:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)

    return plan
