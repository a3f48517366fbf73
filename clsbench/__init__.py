"""clsbench: which classification loss trains better on this data and this model, by how much, and why?"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clsbench.comparing import compare
    from clsbench.config.schema import Experiment
    from clsbench.experiment import run
    from clsbench.prediction import load_model
    from clsbench.registry import dataset, loss, metric, model, optimizer
    from clsbench.result import Result, load

__version__ = "0.1.0"

# A trial's numbers must not depend on where in memory its stack put it. MKL's products do, unless it is told
# to take one code path whatever the alignment; it reads this before its first product, and costs no speed.
os.environ.setdefault("MKL_CBWR", "AUTO")

_EXPORTS = {
    "compare": "clsbench.comparing",
    "run": "clsbench.experiment",
    **dict.fromkeys(("load", "Result"), "clsbench.result"),
    "load_model": "clsbench.prediction",
    **dict.fromkeys(("dataset", "loss", "metric", "model", "optimizer"), "clsbench.registry"),
    "Experiment": "clsbench.config.schema",
}

__all__ = [
    "Experiment",
    "Result",
    "compare",
    "dataset",
    "load",
    "load_model",
    "loss",
    "metric",
    "model",
    "optimizer",
    "run",
]


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'clsbench' has no attribute {name!r}")
    import_module("clsbench.experiment")  # what clsbench brings is registered before what a user adds
    return getattr(import_module(_EXPORTS[name]), name)
