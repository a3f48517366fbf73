"""The catalogue: name -> factory, with options read from the signature and help from the docstring.

A dataset, a model or a loss is one decorated function. The parameters before the `*` are passed
by clsbench; those after it are its options, typed, with their defaults:

    @loss("focal", link="softmax")
    def focal(logits, targets, *, gamma: Annotated[float, Ge(0)] = 2.0): ...

Nothing here imports torch, and no registered module may at import time: `check` and `list` must
answer at once.
"""

from clsbench.registry.catalogue import Registry, UnknownName, catalogue
from clsbench.registry.decorators import dataset, loss, metric, model, optimizer
from clsbench.registry.names import nearest, nearest_key, suggestion
from clsbench.registry.plugins import load_installed_plugins, load_plugin
from clsbench.registry.specs import (
    KINDS,
    PROBLEMS,
    QUANTITIES,
    SHARE,
    SPLITS,
    TAKEN,
    Better,
    Bounds,
    Column,
    DatasetSpec,
    Kind,
    LinkName,
    LossSpec,
    MetricSpec,
    ModelSpec,
    NamesFile,
    OptimizerSpec,
    Option,
    PathOption,
    ProblemName,
    Size,
    Spec,
    Split,
    column_of,
    is_number,
    is_path,
)

__all__ = [
    "KINDS",
    "PROBLEMS",
    "QUANTITIES",
    "SHARE",
    "SPLITS",
    "TAKEN",
    "Better",
    "Bounds",
    "Column",
    "DatasetSpec",
    "Kind",
    "LinkName",
    "LossSpec",
    "MetricSpec",
    "ModelSpec",
    "NamesFile",
    "OptimizerSpec",
    "Option",
    "PathOption",
    "ProblemName",
    "Registry",
    "Size",
    "Spec",
    "Split",
    "UnknownName",
    "catalogue",
    "column_of",
    "dataset",
    "is_number",
    "is_path",
    "load_installed_plugins",
    "load_plugin",
    "loss",
    "metric",
    "model",
    "nearest",
    "nearest_key",
    "optimizer",
    "suggestion",
]
