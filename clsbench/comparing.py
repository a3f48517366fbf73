"""`compare`: an experiment whose losses, model and data are handed over in Python."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clsbench import experiment
from clsbench.config.entries import DatasetEntry, Entry
from clsbench.config.plan import plans
from clsbench.config.reader import read_mapping
from clsbench.config.schema import Experiment, OptimizerConfig, TrainConfig
from clsbench.data.memory import ARRAYS, hold
from clsbench.errors import ConfigError
from clsbench.problems import Problem
from clsbench.registry import PROBLEMS, catalogue, suggestion
from clsbench.registry.given import given_loss, given_model
from clsbench.report.notebook import NotebookProgress, in_notebook
from clsbench.report.progress import Progress, watcher
from clsbench.report.streams import console_on
from clsbench.result import Result

ENTRIES = ("dataset", "model", "loss")  # of an experiment; `compare` makes them of its arguments


def compare(
    losses: Mapping[str, Any] | Sequence[Any],
    X: Any,
    y: Any,
    *,
    model: Any = "mlp",
    output: str | Path = "runs",
    resume: str | Path | None = None,
    jobs: int | None = None,
    **settings: Any,
) -> Result:
    """Compare losses on data that are in memory, and show the progress.

    Args:
        losses: by label. Each is a name (`"cross_entropy"`), a function `(logits [B, C], targets [B])` that returns
            one number for the batch or one for each sample, a module that is called so (`nn.CrossEntropyLoss()`), or a
            dict with `name` (any of these) and the keys of a loss in a config, such as `lr`. Without labels, a list.
            Targets are `[B, D]` in problems other than `single_label`. Functions and modules that are not registered
            get the usual link: softmax for classes and for probabilities that sum to 1, a sigmoid for labels and other
            probabilities, none for values.
        X: [N, features], or [N, ...] such as images [N, C, H, W]: an array, a tensor or a data frame.
        y: [N] classes, whole numbers or text; or numbers, [N] or [N, D]: 0 and 1 for each label, values, or
            probabilities. Which it is, is found as in a table, and is in the summary; `problem="regression"` sets it.
        model: a name, a function `(shape, num_outputs)` that makes a new module, or a dict with `name` (either) and
            the keys of a model in a config; or a list of these.
        output, resume, jobs: as in `run`. To resume, the same things are handed over again.
        settings: the keys of a config by their own names: `name`, `seeds`, `epochs`, `batch_size`, `lr`, `optimizer`,
            `val_fraction`, `normalize`, `problem`, `tune`, `expect` and so on; a section may also be given whole, as a
            dict.

    Raises:
        ConfigError: what is handed over, or a setting, cannot be used.
        DataError: X or y cannot be used; the message names the column or the row.
        RunError, TrialError: as in `run`.
    """
    kind = settings.get("problem")
    problem = hold(X, y, kind if kind in PROBLEMS else None)
    tree = {**_sections(settings), "loss": _losses(losses, problem), "model": _each(model, _model)}
    wanted = read_mapping(tree)
    total = sum(plan.num_trial_epochs for plan in plans(wanted))
    with NotebookProgress(total) if in_notebook() else Progress(console_on(sys.stderr), total) as progress:
        try:
            return experiment.run(wanted, output=output, resume=resume, jobs=jobs, watch=watcher(progress))
        except KeyboardInterrupt as stop:
            stop.add_note("in Python: clsbench.compare with the same arguments, and resume=RUN")
            raise


def _losses(losses: Mapping[str, Any] | Sequence[Any], problem: Problem) -> list[dict[str, Any]]:
    if isinstance(losses, Mapping):
        return [{**_loss(label, loss, problem), "label": label} for label, loss in losses.items()]
    if isinstance(losses, str) or not isinstance(losses, Sequence):
        raise ConfigError(f"losses is a {type(losses).__name__}; give a dict, {{label: loss}}, or a list")
    return [_loss(_label_of(loss, "loss"), loss, problem) for loss in losses]


def _loss(label: Any, loss: Any, problem: Problem) -> dict[str, Any]:
    if not isinstance(label, str):
        raise ConfigError(f"losses: the label {label!r} is not text; give text")
    if isinstance(loss, Mapping):
        return {**loss, **_loss(label, loss.get("name"), problem)}
    if isinstance(loss, str):
        return {"name": loss}
    return {"name": given_loss(label, loss, problem.kind, problem.usual_link), "label": label}


def _model(model: Any) -> dict[str, Any]:
    label = _label_of(model, "model")
    if isinstance(model, Mapping):
        inner = model.get("name")
        if isinstance(inner, str):
            return dict(model)
        label = model.get("label") or _label_of(inner, "model")
        return {**model, "name": given_model(label, inner), "label": label}
    return {"name": model} if isinstance(model, str) else {"name": given_model(label, model), "label": label}


def _each(value: Any, entry: Any) -> list[dict[str, Any]]:
    return [entry(each) for each in value] if isinstance(value, list | tuple) else [entry(value)]


def _label_of(thing: Any, otherwise: str) -> str:
    """The name of a function or a class; a lambda and a `partial` have none."""
    if isinstance(thing, Mapping):
        return str(thing.get("label") or _label_of(thing.get("name"), otherwise))
    name = thing if isinstance(thing, str) else getattr(thing, "__name__", type(thing).__name__)
    return otherwise if not str(name).isidentifier() or name in ("function", "partial") else str(name)


def _sections(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings as the sections of a config."""
    sections: dict[str, Any] = {"name": "compare", "dataset": {"name": ARRAYS}}
    flat = _flat_keys()
    top = Experiment.model_fields.keys() - set(ENTRIES)
    for key, value in settings.items():
        if key in top:
            sections[key] = value
        elif key not in flat:
            raise ConfigError(f"unknown setting {key!r}; {suggestion(key, [*top, *flat])}")
    for key in [key for key in settings if key not in top]:
        section = sections.setdefault(flat[key], {})
        section = {"name": section} if isinstance(section, str) else dict(section)
        if key in section:
            raise ConfigError(f"{key} is given twice, also in {flat[key]}; leave one out")
        sections[flat[key]] = {**section, key: settings[key]}
    return sections


def _flat_keys() -> dict[str, str]:
    """The section of every key that needs no section to be understood."""
    own = {option for spec in catalogue.all("optimizer") for option in spec.options}
    return {
        **dict.fromkeys([*own, *OptimizerConfig.model_fields], "optimizer"),
        **dict.fromkeys(TrainConfig.model_fields, "train"),
        **dict.fromkeys(DatasetEntry.model_fields.keys() - Entry.model_fields.keys(), "dataset"),
    }
