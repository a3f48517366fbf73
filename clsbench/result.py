"""A run read back: its records and its summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clsbench.analysis.tuning import chosen_settings
from clsbench.config.arms import Arm
from clsbench.config.plan import Plan, make_plan, plans, with_chosen
from clsbench.errors import ConfigError, RunError
from clsbench.registry import suggestion
from clsbench.results import ArmSummary, Records, Summary, origins
from clsbench.runs.directory import METRICS, TUNING, RunDirectory

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Result:
    """A run: its records (one a trial and epoch), its summary, and the directory that keeps them.

    Records and summary are plain dicts; a record is made when it is asked for, so that many take little memory.
    """

    records: Records
    summary: Summary
    directory: Path

    def __repr__(self) -> str:
        problems = " and ".join(dict.fromkeys(each["problem"] for each in (self.summary["data"] or {}).values()))
        counts = f"{len(self.arms)} arms, {len(self.records)} records"
        return f"Result({self.summary['name']}: {problems and f'{problems}, '}{counts}, {self.directory})"

    def _repr_html_(self) -> str:
        """What a notebook shows: the outcome, curves and test metrics."""
        from clsbench.report.compose import brief_document
        from clsbench.report.renderers.html import as_html

        return as_html(brief_document(self.records, self.summary))

    @property
    def arms(self) -> dict[str, ArmSummary]:
        """The arms of the summary by name."""
        return {arm["name"]: arm for arm in self.summary["arms"]}

    def table(self) -> list[dict[str, Any]]:
        """A row for each arm, flat, as `pandas.DataFrame` takes them.

        A metric at the last epoch is its mean over seeds, and `METRIC_std` its standard deviation (n - 1); None where
        no seed has a number.
        """
        return [_row(arm) for arm in self.summary["arms"]]

    def curves(self, metric: str) -> list[dict[str, Any]]:
        """A metric by arm and epoch: its `mean`, `low` and `high` over the `n` seeds that have it.

        `metric` is a field of the records, such as `test_nll`, or `test_recall[NAME]`.

        Raises:
            ConfigError: the records have no such metric.
        """
        from clsbench.analysis.curves import comparisons

        plain = [key for key, value in self.records[0].items() if not isinstance(value, str | dict)]
        known = dict.fromkeys([*plain, *(key for arm in self.summary["arms"] for key in arm["metrics"])])
        if metric not in known:
            raise ConfigError(f"unknown metric {metric!r}; {suggestion(metric, known)}")
        compared = comparisons(self.records, self.summary)
        curves = [each.curve(arm["name"], metric) for each in compared for arm in each.arms]
        names = ("epoch", "mean", "low", "high", "n")
        return [
            {"arm": curve.arm, **dict(zip(names, point, strict=True))}
            for curve in curves
            for point in zip(curve.epochs, curve.mean, curve.low, curve.high, curve.n, strict=True)
        ]

    def plot(self) -> Figure:
        """The figure `curves.png` of the run, as matplotlib's."""
        from clsbench.report.compose import figure_documents
        from clsbench.report.notebook import in_notebook, shell
        from clsbench.report.renderers.figures import draw, show_in

        if in_notebook():
            show_in(shell())
        return draw(figure_documents(self.records, self.summary)["curves"])


def _row(arm: ArmSummary) -> dict[str, Any]:
    kept: Mapping[str, Any] = arm
    row = {"arm": arm["name"], **{key: kept[key] for key in ("loss", "dataset", "model", "lr", "diverged")}}
    row["seeds"] = len(arm["seeds"])
    for metric, values in arm["metrics"].items():
        row |= {metric: values["mean"], f"{metric}_std": values["std"]}
    return row


def load(run: str | Path) -> Result:
    """Read a run back.

    Raises:
        RunError: it is not a run, is damaged, or has not finished; the message says how far it came.
    """
    directory = RunDirectory(Path(run))
    directory.require_known_format()
    if not directory.has_summary():
        raise _unfinished(directory)
    summary = directory.summary()
    records = directory.records(origins(summary), ended=summary["status"] == "finished")
    return Result(records, summary, directory.path)


def trained_arms(result: Result) -> dict[str, Arm]:
    """The arms of a run by name, at the settings that were trained.

    Raises:
        RunError: its config is damaged.
    """
    return {arm.name: arm for arm in trained_plan(result).arms}


def trained_plan(result: Result) -> Plan:
    """The plan that a run trained, at the settings that tuning chose; errors as `trained_arms`."""
    plan, tuned = make_plan(RunDirectory(result.directory).experiment()), result.summary["tuning"]
    return plan if tuned is None else with_chosen(plan, chosen_settings(tuned, plan.experiment.train.seed_list))


def _unfinished(directory: RunDirectory) -> RunError:
    """The error for a run without a summary: its progress, and how to go on.

    Raises:
        RunError: it is not a run, is damaged, or another process is writing it.
    """
    directory.require_free()
    in_tuning, in_training = directory.kept_epochs(TUNING), directory.kept_epochs(METRICS)
    try:
        *tuning, plan = plans(directory.experiment())
    except ConfigError as error:
        raise RunError(str(error)) from error
    if tuning and not in_training:
        where, kept, asked = "tuning", in_tuning, tuning[0].num_trial_epochs
    else:
        where, kept, asked = "training", in_training, plan.num_trial_epochs
    of = f"{kept} of {asked}" if kept <= asked else f"{kept - asked} beyond the {asked}"
    return RunError(
        f"{directory.path} has not finished: it was stopped while {where}, with {of} "
        f"epochs of its trials done; resume it with `clsbench run --resume {directory.path}`"
    )
