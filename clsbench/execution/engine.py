"""How a plan is trained on this machine, for `summary.json` and `environment.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clsbench.execution.work import Work


def engine_of(work: Work) -> dict[str, Any]:
    """Compiled or eager steps, the precision, the number of stacks and the cores of a trial.

    It depends only on the plan, the data and the machine.
    """
    stacks = work.stacks
    names = {"compiled" if stack.compiled else "eager" for stack in stacks}
    return {
        "mode": "mixed" if len(names) > 1 else names.pop(),
        "precision": work.plan.experiment.train.precision,
        "stacks": len(stacks),
        "threads": sorted({stack.num_cores for stack in stacks}),
    }


def resolved_auto(work: Work, engine: Mapping[str, Any]) -> dict[str, Any]:
    """By key of `train`, what each `auto` became; `engine` is that of the work."""
    became = {
        "device": str(work.device),
        "threads": engine["threads"],
        "compile": engine["mode"],
        "stack": sorted({len(trials) for trials in work.plan.stacks()}),
    }
    return {key: value for key, value in became.items() if getattr(work.plan.experiment.train, key) == "auto"}
