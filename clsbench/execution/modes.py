"""Whether steps are compiled, and the cores that train a trial: functions of the trial and the machine alone.

They must not depend on the number of trials in a stack: a trial's last bits would depend on it too.
"""

from __future__ import annotations

from clsbench.forks import can_fork
from clsbench.system import cores
from clsbench.training.compiled import has_compiler

# The number of steps of a trial from which compiling them is worth it. Compiling a loss for a shape takes the processor
# time that some 45,000 compiled steps save, and later runs find it done: from here on it pays with the twelfth run.
COMPILED_STEPS = 4_000
# The same where every process traces the steps, which takes what some 10,000 compiled steps save.
TRACED_STEPS = 10_000
# The multiplications of a step, forward only, from which it is worth that threads wait for each other.
WORTH_ALL_CORES = 20_000_000


def compiles(asked: str, *, stacked: bool, num_steps: int, loaded: bool) -> bool:
    """Whether a trial's steps are compiled: a function of the trial and the machine, never of the stack."""
    return worth_compiling(asked, stacked=stacked, num_steps=num_steps, loaded=loaded) and has_compiler()


def worth_compiling(asked: str, *, stacked: bool, num_steps: int, loaded: bool) -> bool:
    """Whether compiling a trial's steps is worth it: it takes seconds, and saves most of the time of each step.

    Args:
        loaded: later processes load what was compiled; else every process traces the steps.
    """
    least = COMPILED_STEPS if loaded else TRACED_STEPS
    return stacked and (asked == "on" or (asked == "auto" and num_steps >= least))


def threads_for(asked: str | int, *, stacked: bool, compiled: bool, multiplications: int | None) -> int:
    """The cores that train a trial: a function of the trial and the machine, never of the stack.

    Models that stack use one thread in every operation, and several cores only by processes (one core if this process
    cannot be forked). Others use all cores in each operation, unless their steps are small.
    """
    small = multiplications is not None and multiplications < WORTH_ALL_CORES
    everywhere = cores() if compiled or not (stacked or small) else 1
    threads = everywhere if asked == "auto" else int(asked)
    return 1 if stacked and threads > 1 and not can_fork() else threads
