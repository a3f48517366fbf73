"""`fuzz`: configs of every kind through `clsbench check`, which may answer 0 or 2 and nothing else."""

from __future__ import annotations

import io
import os
import signal
import tempfile
import traceback
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import typer.main
from hypothesis import HealthCheck, Phase, given, seed, settings

from clsbench.cli import app
from faulting.configs import Case, cases
from faulting.figures import Figure

COMMAND = typer.main.get_command(app)  # made once: that takes as long as a check
COUNT = 10_000
SECONDS_A_CONFIG = 30  # a hang, not slowness


def problem_of(case: Case, folder: Path) -> tuple[int, str | None]:
    """The exit code of `clsbench check`, and what is wrong with the answer, if anything is."""
    path = folder / "fuzzed.yaml"
    path.write_bytes(case.config)
    code, stdout, stderr = answer("check", str(path), "--", *case.overrides)
    if not stdout.replace("\n", "").isprintable():
        return code, f"what acts on a terminal is printed: {stdout!r}"
    if code == 0:
        return code, None if stdout.strip() and not stderr else f"no plan, or words on stderr: {stderr!r}"
    lines = stderr.removesuffix("\n").split("\n")
    whole = all(line.startswith("error: ") and line.isprintable() and "Traceback" not in line for line in lines)
    return code, None if code == 2 and whole and not stdout else f"exit code {code}: {stderr!r}"


def answer(*arguments: str) -> tuple[int, str, str]:
    """What the command line gives in this process: exit code, stdout, stderr."""
    streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2)]
    code: Any = 0
    with redirect_stdout(streams[0]), redirect_stderr(streams[1]):
        try:
            COMMAND.main(args=list(arguments), prog_name="clsbench")
        except SystemExit as left:
            code = left.code
        except BaseException as error:
            return 1, "", f"it raised {error!r}"
    return code, *(stream.buffer.getvalue().decode() for stream in streams)


def measure(count: int) -> Figure:
    """Fuzz in a separate process: a crash or a hang of it is detected here."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        child = os.fork()
        if child == 0:
            try:
                _fuzz(count, folder)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        _, status = os.waitpid(child, 0)
        codes, failures = _told(folder)
        if os.WIFSIGNALED(status):
            how = f"no answer in {SECONDS_A_CONFIG} s" if os.WTERMSIG(status) == signal.SIGALRM else "it crashed"
            failures.append(f"{how}: {(folder / 'trying').read_text()}")
    done = sum(codes.values())
    failed = len(failures) + (done < count and not failures)
    return Figure(
        f"{done:,} fuzzed configs: exit code 0 {codes['0']:,} times, 2 {codes['2']:,} times, {failed} other answers",
        reached=not failed,
        numbers={"configs": done, "codes": dict(codes), "failures": failed},
        failures=failures,
    )


def _fuzz(count: int, folder: Path) -> None:
    with open(folder / "reports", "w", encoding="utf-8", buffering=1) as reports:  # what is reported survives a kill

        @seed(0)
        @settings(
            max_examples=count,
            phases=[Phase.generate],
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(cases())
        def each(case: Case) -> None:
            (folder / "trying").write_text(repr(case))
            signal.alarm(SECONDS_A_CONFIG)  # without a handler it ends the process, whatever that is at
            code, problem = problem_of(case, folder)
            signal.alarm(0)
            reports.write(f"{code}\n")
            if problem:
                reports.write(f"! {problem} {case!r}".replace("\n", " ") + "\n")

        each()


def _told(folder: Path) -> tuple[Counter[str], list[str]]:
    lines = (folder / "reports").read_text(encoding="utf-8").split("\n")[:-1]
    failures = [line.removeprefix("! ") for line in lines if line.startswith("! ")]
    return Counter(line for line in lines if not line.startswith("! ")), failures
