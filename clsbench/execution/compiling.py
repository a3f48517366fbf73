"""Compiling the steps of plans before anything is trained, so that runs find their graphs in the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from clsbench.errors import ConfigError
from clsbench.execution.events import TrialFailed
from clsbench.execution.execute import execute
from clsbench.execution.process import training
from clsbench.execution.work import Work, lacks_compiler
from clsbench.execution.workers import Workers
from clsbench.forks import can_fork


def compile_steps(works: Sequence[Work]) -> bool:
    """Compile the steps that these plans take compiled, as many at once as there are cores; False if they take none.

    One trial of each arm is trained for an epoch, and forgotten.

    Raises:
        ConfigError: this machine cannot compile, or a trial failed.
    """
    found = False
    for work in works:
        stacks = work.stacks
        if lacks_compiler(stacks):
            raise ConfigError("compiling needs a C++ compiler, Python's headers and a PyTorch that traces gradients")
        arms = {trial.arm.name: trial for stack in reversed(stacks) if stack.compiled for trial in stack.trials[::-1]}
        asked = work.plan.experiment
        train = asked.train.model_copy(update={"epochs": 1, "compile": "on"})
        brief = replace(
            work.plan,
            experiment=asked.model_copy(update={"train": train}),
            trials=tuple(replace(trial, number=place) for place, trial in enumerate(arms.values())),
            sees_test=False,
        )
        found |= bool(arms)
        with training():
            for event in execute(replace(work, plan=brief), {}, Workers(jobs=None if can_fork() else 1)):
                if isinstance(event, TrialFailed):
                    raise ConfigError(f"{brief.trials[event.trial].arm.name} cannot be compiled: {event.reason}")
    return found
