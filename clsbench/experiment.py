"""One run on one page: plan, execute, keep, analyse, draw."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import clsbench.data
import clsbench.losses
import clsbench.metrics
import clsbench.models
import clsbench.training  # noqa: F401 - the rooms register what they offer
from clsbench.analysis.judging import judged_again
from clsbench.clock import Clock
from clsbench.config.plan import Plan
from clsbench.config.reader import read_file, read_mapping
from clsbench.config.schema import Experiment
from clsbench.config.shipped import located
from clsbench.errors import ConfigError, RunError, TrialError
from clsbench.execution import RETRIES, Executor
from clsbench.execution.workers import Workers
from clsbench.prepared import Prepared, Watch, described
from clsbench.report.failures import whole_failures
from clsbench.result import Result, load
from clsbench.results import (
    FORMAT_VERSION,
    DataSummary,
    Environment,
    Platform,
    RunWarning,
)
from clsbench.runs.creation import create_run
from clsbench.runs.directory import RunDirectory
from clsbench.runs.log import logged
from clsbench.runs.provenance import Fingerprint, config_hash
from clsbench.runs.resume import changes_since, require_same_trials
from clsbench.shown import drawer, drawing

log = logging.getLogger("clsbench")


def read(
    config: str | Path | Mapping[str, Any] | Experiment | None,
    overrides: Sequence[str] = (),
    resume: str | Path | None = None,
) -> Experiment:
    """The experiment of a file, a shipped name or plain data, or as it is; without any, that of the run to `resume`.

    Raises:
        ConfigError: with every mistake, each with its place.
        RunError: the run does not exist, or its config is damaged.
    """
    if config is None:
        if resume is None:
            raise ConfigError("CONFIG is missing; give a file, or --resume RUN; `clsbench init` writes one")
        directory = RunDirectory(Path(resume))
        directory.require_own()
        directory.identify()
        return directory.experiment(overrides)
    if isinstance(overrides, str):
        raise ConfigError(f"overrides are a list of KEY=VALUE, got the text {overrides!r}; put it into a list")
    if isinstance(config, str | Path):
        return read_file(located(Path(config)), overrides)
    if overrides:
        raise ConfigError("overrides go with a file; change the mapping itself")
    return config if isinstance(config, Experiment) else read_mapping(config)


def run(
    config: str | Path | Mapping[str, Any] | Experiment | None = None,
    overrides: Sequence[str] = (),
    *,
    output: str | Path = "runs",
    resume: str | Path | None = None,
    jobs: int | None = None,
    executor: Executor = "local",
    ray_address: str | None = None,
    retries: int = RETRIES,
    watch: Watch = lambda plan, event: None,
    command_line: Sequence[str] | None = None,
) -> Result:
    """Train every trial of an experiment, keep the run under `output`, and draw what it is asked to show.

    Args:
        config: a path, the name of a shipped config, a dict as YAML would give it, or an `Experiment`; with `resume`
            it may be left out.
        overrides: `KEY=VALUE` with dotted keys, as on the command line.
        output: where run directories go: `OUTPUT/NAME/TIME/`.
        resume: the directory of a run to go on with, instead of a new one. It ends as if it had never stopped.
        jobs: the number of processes, at most one for each core; by default, dense models train in one for each core
            of `train.threads`, if this process can be forked. No bit of a record depends on it. If it cannot be
            forked, the other processes lack what the calling script registers itself: put that into a plugin. With
            Ray, the most units of work at a time, by default as many as the cluster has room for.
        executor: `local`, or `ray` for a Ray cluster: the one that `ray.init` has connected to, that at `ray_address`
            (`HOST:PORT` or `auto`), else a new one on this machine.
        retries: how often a trial is tried again from its last checkpoint when its process or node is lost.
        watch: called with every event as it happens.
        command_line: the arguments of the command `clsbench`, if it was called; kept in `environment.json`.

    Raises:
        ConfigError: the experiment has mistakes, or asks for a device that is not there.
        DataError: a dataset is missing or damaged.
        RunError: the run cannot be written, or cannot go on.
        TrialError: every trial of an arm failed. The run is written, in the error's `directory`.
    """
    clock, workers = Clock(), Workers(jobs, executor, ray_address, retries)
    asked = read(config, overrides, resume)
    result = train(asked, clock, output=output, resume=resume, workers=workers, watch=watch, command_line=command_line)
    with drawer(asked.report) as draw_of:
        result = drawing(result, asked, draw_of)()
    if failed := whole_failures(result.summary):
        where = f"the trace is in {result.directory / 'run.log'}"
        raise TrialError(f"{failed}; {where}; clsbench.load reads the run", result.directory)
    return result


def train(
    asked: Experiment,
    clock: Clock,
    *,
    output: str | Path,
    resume: str | Path | None,
    workers: Workers,
    watch: Watch,
    command_line: Sequence[str] | None,
) -> Result:
    """As `run`, but nothing is drawn, and a result comes back also if every trial of an arm failed."""
    prepare = partial(Prepared.of, asked, workers, watch, clock)
    if resume is None:
        return _start(prepare(), Path(output), command_line)
    return _resume(asked, prepare, RunDirectory(Path(resume)), command_line)


def compile_ahead(asked: Experiment, watch: Watch = lambda plan, event: None) -> bool:
    """Compile the steps that a run of an experiment takes compiled, for its cache; False if it takes none.

    Raises:
        ConfigError, DataError: as `run`.
        ConfigError: this machine cannot compile.
    """
    from clsbench.execution.compiling import compile_steps

    return compile_steps(Prepared.of(asked, Workers(), watch, Clock()).works)


def _resume(
    asked: Experiment,
    prepare: Callable[[], Prepared],
    directory: RunDirectory,
    command_line: Sequence[str] | None,
) -> Result:
    # A run that is refused is not changed, nor is its lock.
    directory.require_own()
    directory.require_free()
    directory.require_known_format()
    known = directory.identify()
    kept = directory.experiment()
    if config_hash(kept) != known.fingerprint.config:
        raise RunError(f"{directory.path / 'config.yaml'} is not the config that the run began with; start a new run")
    require_same_trials(kept, asked)
    if directory.is_complete() and directory.has_environment():
        with directory.held():
            directory.restore(known.run)
            return _judged(directory, asked)
    prepared = prepare()
    environment = prepared.environment(command_line)
    now = prepared.fingerprint(environment)
    changes = known.fingerprint.changes(now, prepared.files)
    began = known.fingerprint.model_copy(update={"data": now.data})  # which are the same
    with prepared.with_workers(), directory.held():
        directory.restore(known.run)
        if directory.is_complete() and directory.has_environment():  # another process was faster
            return _judged(directory, asked)
        return _go_on(prepared, directory, began, environment, changes)


def _judged(directory: RunDirectory, asked: Experiment) -> Result:
    """A complete run with its expectations and verdicts, whose rules may differ from those it was trained with."""
    result = load(directory.path)
    summary = judged_again(result.summary, result.records, asked)
    if summary != result.summary:
        directory.write_summary(summary)
    return replace(result, summary=summary)


def _start(prepared: Prepared, output: Path, command_line: Sequence[str] | None) -> Result:
    environment = prepared.environment(command_line)
    fingerprint = prepared.fingerprint(environment)
    with prepared.with_workers():
        directory = create_run(output, prepared.plan.experiment, fingerprint, environment)
        with directory.held(), logged(directory.path):
            return prepared.finish(directory, exact=True)


def _go_on(
    prepared: Prepared, directory: RunDirectory, began: Fingerprint, now: Environment, changes: Sequence[str]
) -> Result:
    before = directory.environment_or(began.began_in(now))
    here: Platform = {"versions": now["versions"], "machine": now["machine"], "device": now["device"]}
    resumed = [*(before["resumed"] or ()), here]
    with logged(directory.path):
        for change in changes:
            log.warning("the run is resumed after a change, and last bits may differ: %s", change)
        directory.write_environment({**before, "format_version": FORMAT_VERSION, "resumed": resumed}, began)
        exact = not before["nodes"] and all(not changes_since(began.conditions(), other) for other in resumed)
        return prepared.finish(directory, exact=exact)


def read_data(plan: Plan) -> tuple[Plan, dict[str, DataSummary], list[RunWarning]]:
    """Open the data of a plan: the plan that knows them, what is read of each, by its label, and the warnings about it.

    Raises:
        DataError: a dataset is missing or damaged.
        ConfigError: a model or a loss does not fit the opened dataset, or there is no such device.
    """
    from clsbench.execution.opening import device_for, load_data, posed_of

    data = load_data(plan.trials, device_for(plan.experiment.train.device))
    return replace(plan, posed={key: posed_of(splits) for key, splits in data.items()}), *described(plan, data)
