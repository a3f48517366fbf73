"""Whether steps are compiled, and the cores that train a trial: functions of the trial and the machine alone.

They must not depend on how many trials a stack has, or a trial's last bits would.
"""

from __future__ import annotations

from clsbench.execution.process import can_fork
from clsbench.system import cores
from clsbench.training.step import has_compiler

# Steps of a trial from which compiling them is worth its time.
COMPILED_STEPS = 10_000


def compiles(asked: str, *, stacked: bool, num_steps: int) -> bool:
    """Whether a trial's steps are compiled: a function of the trial and the machine, never of the stack."""
    return worth_compiling(asked, stacked=stacked, num_steps=num_steps) and has_compiler()


def worth_compiling(asked: str, *, stacked: bool, num_steps: int) -> bool:
    """Whether a trial's steps are to be compiled, which takes seconds that long trainings of dense models earn back."""
    return stacked and (asked == "on" or (asked == "auto" and num_steps >= COMPILED_STEPS))


def threads_for(asked: str | int, *, stacked: bool, compiled: bool) -> int:
    """The cores that train a trial: a function of the trial and the machine, never of the stack.

    Models that stack have one thread in every operation, and more cores through processes alone (see `local`): one,
    where this process cannot be forked. Others use all cores in each operation.
    """
    everywhere = cores() if compiled or not stacked else 1
    threads = everywhere if asked == "auto" else int(asked)
    return 1 if stacked and threads > 1 and not can_fork() else threads
