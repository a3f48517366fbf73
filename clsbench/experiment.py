"""The whole story on one page: plan, execute, keep, analyse, show."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import clsbench.data
import clsbench.losses
import clsbench.models
import clsbench.training  # noqa: F401 - the rooms register what they offer
from clsbench.analysis.cross import cross_summary
from clsbench.analysis.expectations import evaluate
from clsbench.analysis.summary import Pairing, arm_summary
from clsbench.analysis.tuning import tuning_summary
from clsbench.analysis.verdicts import verdicts
from clsbench.config.expectations import parse
from clsbench.config.plan import Plan, make_plan, plans, with_chosen
from clsbench.config.reader import read_file, read_mapping, read_text
from clsbench.config.schema import Experiment
from clsbench.errors import ConfigError, RunError
from clsbench.execution.events import EpochDone, Event, StackDone, StackStarted
from clsbench.registry import catalogue
from clsbench.runs.directory import METRICS_FILE, TUNING_FILE, RunDirectory

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from clsbench.data.splits import Splits

log = logging.getLogger("clsbench")


@dataclass(frozen=True)
class Result:
    """A run: its records (one a trial and epoch), its summary, and the directory that keeps them."""

    records: list[dict[str, Any]]
    summary: dict[str, Any]
    directory: Path

    def __repr__(self) -> str:
        return f"Result({self.summary['name']}: {len(self.arms)} arms, {len(self.records)} records, {self.directory})"

    @property
    def arms(self) -> dict[str, dict[str, Any]]:
        """The arms of the summary by name."""
        return {arm["name"]: arm for arm in self.summary["arms"]}


def read(config: str | Path | Mapping[str, Any] | Experiment, overrides: Sequence[str] = ()) -> Experiment:
    """The experiment of a YAML file, of plain data, or as it is.

    Raises:
        ConfigError: with every mistake, each with its place.
    """
    if isinstance(overrides, str):
        raise ConfigError(f"overrides are a list of KEY=VALUE, got the text {overrides!r}; put it into a list")
    if isinstance(config, str | Path):
        return read_file(Path(config), overrides, catalogue)
    if overrides:
        raise ConfigError("overrides go with a file; change the mapping itself")
    return config if isinstance(config, Experiment) else read_mapping(config, catalogue)


def run(
    config: str | Path | Mapping[str, Any] | Experiment,
    overrides: Sequence[str] = (),
    *,
    output: str | Path = "runs",
    watch: Callable[[Plan, Event], None] = lambda plan, event: None,
) -> Result:
    """Train every trial of an experiment and keep the run under `output`.

    Args:
        config: a path, a dict as YAML would give it, or an `Experiment`.
        overrides: `KEY=VALUE` with dotted keys, as on the command line.
        output: where run directories go: `OUTPUT/NAME/TIME/`.
        watch: told of every event as it happens.

    Raises:
        ConfigError: the experiment has mistakes, or asks for a device that is not there.
        DataError: a dataset is missing or damaged.
        RunError: the run cannot be written.
    """
    *tuning, plan = plans(read(config, overrides))

    from clsbench.execution.build import device_for, load_data, problem_of

    device = device_for(plan.experiment.train.device)
    data = load_data([trial for each in (*tuning, plan) for trial in each.trials], catalogue, device)
    problems = {key: problem_of(splits) for key, splits in data.items()}
    *tuning, plan = (replace(each, problems=problems) for each in (*tuning, plan))
    directory = RunDirectory.create(Path(output), plan.experiment)
    with _logged(directory):
        train = partial(_train, data=data, directory=directory, device=device, watch=watch)
        tuned = None
        for trials in tuning:
            train(trials, TUNING_FILE).pairing.verified(trials)
            tuned = tuning_summary(plan, trials, directory.records(TUNING_FILE))
            plan = with_chosen(plan, {arm["name"]: arm["chosen"] for arm in tuned["arms"]})
        keeper = train(plan, METRICS_FILE)
        directory.write_json("environment.json", _environment(plan, data, device, keeper))
        summary = _summary(plan, keeper, tuned, directory, device, data)
        directory.write_json("summary.json", summary)
        result = load(directory.path)
        draw(result, directory.path)
        log.info("finished %d trials", len(plan.trials))
    return result


def _train(
    plan: Plan,
    file: str,
    *,
    data: Mapping[str, Splits],
    directory: RunDirectory,
    device: torch.device,
    watch: Callable[[Plan, Event], None],
) -> _Keeper:
    """Train a plan's trials, their records going to a file of the run."""
    from clsbench.execution.local import execute

    keeper = _Keeper(directory, file)
    for event in execute(plan, data, catalogue, device):
        keeper.keep(event)
        watch(plan, event)
    directory.order_records(file)
    return keeper


def draw(result: Result, directory: Path) -> list[Path]:
    """Write the figures of a run into a directory, each as PNG and SVG: its curves, what tuning found, reliability."""
    from clsbench.report import figures, reliability_figure, tuning_figure

    paths = figures.save(figures.draw(result.records, result.summary), directory)
    if result.summary.get("tuning"):
        paths += figures.save(tuning_figure.draw(result.summary), directory, "tuning")
    if reliability_figure.is_drawn(result.summary):
        paths += figures.save(reliability_figure.draw(result.summary), directory, "reliability")
    return paths


def load(run: str | Path) -> Result:
    """Read a run back.

    Raises:
        RunError: it is not a run, is damaged, or did not finish.
    """
    directory = RunDirectory(Path(run))
    return Result(directory.records(), directory.summary(), directory.path)


def load_model(run: str | Path, trial: int) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """The trained model of a trial, and the function that predicts class numbers with it.

    Both take samples as training saw them, that is split off and normalised: `[B, ...] -> [B, K]` logits
    and `[B, ...] -> [B]` class numbers.

    Raises:
        RunError: the run has no such trial, or its weights are damaged.
    """
    import torch

    from clsbench.execution.build import loss_of, module_of

    directory = RunDirectory(Path(run))
    try:
        experiment = read_text(directory.config_text(), str(directory.path / "config.yaml"), (), catalogue)
    except ConfigError as error:
        raise RunError(f"{error}; the run's config is damaged, or needs its plugin") from error
    trials = make_plan(experiment).trials
    if not 0 <= trial < len(trials):
        raise RunError(f"{directory.path} has no trial {trial}; they are numbered 0 to {len(trials) - 1}")
    arm, seed = trials[trial].arm, trials[trial].seed
    problem = directory.environment()["datasets"][arm.dataset.title]
    loss = loss_of(arm, problem["num_classes"])
    module = module_of(arm, seed, tuple(problem["shape"]), loss.num_outputs, catalogue).eval()
    path = directory.weights_path(trial)
    try:
        module.load_state_dict(torch.load(path, weights_only=True))
    except Exception as error:
        raise RunError(f"{path} cannot be loaded: {type(error).__name__}; run again to make it anew") from error

    def predict(samples: Tensor) -> Tensor:
        with torch.no_grad():
            return loss.predictions(module(samples))

    return module, predict


@dataclass
class _Keeper:
    """Writes down what an executor tells, as it tells it: records to `file`, weights where they are a result."""

    directory: RunDirectory
    file: str
    pairing: Pairing = field(default_factory=Pairing)
    threads: set[int] = field(default_factory=set)
    modes: set[str] = field(default_factory=set)
    stacks: list[int] = field(default_factory=list)
    seconds: float = 0.0
    compile_seconds: float = 0.0

    @property
    def engine(self) -> dict[str, Any]:
        """How it was trained; the time of compiling, in seconds, is in no record."""
        return {
            "mode": "mixed" if len(self.modes) > 1 else next(iter(self.modes)),
            "stacks": len(self.stacks),
            "threads": sorted(self.threads),
            "compile_seconds": round(self.compile_seconds, 3),
        }

    def keep(self, event: Event) -> None:
        if isinstance(event, StackStarted):
            self.stacks.append(len(event.trials))
            self.threads.add(event.threads)
            self.modes.add("compiled" if event.compiled else "eager")
            self.pairing.started(event.weights)
            log.info("training trials %s on %d threads", list(event.trials), event.threads)
        elif isinstance(event, EpochDone):
            self.directory.append(event.records, self.file)
            self.pairing.saw(event.batches)
            for record in event.records:
                if record["status"] == "diverged":
                    log.warning("%r seed %s diverged after step %s", record["arm"], record["seed"], record["step"])
        elif isinstance(event, StackDone):
            self.seconds += event.seconds
            self.compile_seconds += event.compile_seconds
            if self.file != METRICS_FILE:
                return
            for trial, state in event.weights.items():
                self.directory.write_weights(trial, state)


def _summary(
    plan: Plan,
    keeper: _Keeper,
    tuned: dict[str, Any] | None,
    directory: RunDirectory,
    device: Any,
    data: Mapping[str, Splits],
) -> dict[str, Any]:
    import torch

    from clsbench.execution.cross import cross_evaluations

    def state_of(trial: int) -> dict[str, Tensor]:
        state: dict[str, Tensor] = torch.load(directory.weights_path(trial), weights_only=True)
        return state

    records = directory.records()
    ended = {record["trial"] for record in records if record["status"] == "finished"}
    trials = [trial for trial in plan.trials if trial.number in ended]
    crossed = cross_evaluations(plan, state_of, trials, data, catalogue, device)
    seeds = plan.experiment.train.seed_list
    arms = [arm_summary(arm, seeds, records) | cross_summary(arm, plan, crossed) for arm in plan.arms]
    judged: dict[str, Any] = {"arms": arms, "pairing": keeper.pairing.verified(plan)}
    judged["verdicts"] = verdicts(judged)
    expectations = [evaluate(parse(text), records, judged) for text in plan.experiment.expect]
    return {
        "name": plan.experiment.name,
        "status": "finished",
        "device": str(device),
        "engine": keeper.engine,
        "warm_start": plan.experiment.to_dict()["train"]["warm_start"],
        "arms": arms,
        "verdicts": judged["verdicts"],
        "expectations": expectations,
        "pairing": judged["pairing"],
        "tuning": tuned,
        "seconds": round(keeper.seconds + (tuned["seconds"] if tuned else 0), 6),
    }


def _environment(plan: Plan, data: Mapping[str, Splits], device: Any, keeper: _Keeper) -> dict[str, Any]:
    from clsbench.runs.environment import environment

    asked = plan.experiment.train
    became = {
        "device": str(device),
        "threads": sorted(keeper.threads),
        "stack": sorted(set(keeper.stacks)),
    }
    auto = {key: value for key, value in became.items() if getattr(asked, key) == "auto"}
    datasets = {
        trial.arm.dataset.title: {
            "shape": list(splits.shape),
            "num_classes": splits.num_classes,
            "class_names": list(splits.class_names),
            "train": len(splits.train),
            "val": len(splits.val) if splits.val else 0,
            "test": len(splits.test),
        }
        for trial in plan.trials
        if trial.seed == asked.seed_list[0]  # another seed's split has the same sizes
        for splits in [data[trial.dataset.key]]
    }
    return {**environment(device, auto), "datasets": datasets}


@contextmanager
def _logged(directory: RunDirectory) -> Iterator[None]:
    """While it holds, what is logged goes to the run's log, the trace of a failure too."""
    handler = directory.log()
    log.addHandler(handler)
    level, propagates = log.level, log.propagate
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield
    except BaseException as error:
        log.exception("the run ended early")
        error.add_note(f"the trace is in {directory.path / 'run.log'}")
        raise
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = propagates
        handler.close()
