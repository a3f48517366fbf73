"""A run whose plans and data are known: trained, and summed up."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence, Set
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, cast

from clsbench.analysis.across import across
from clsbench.analysis.judging import judged
from clsbench.analysis.pairing import pairing
from clsbench.analysis.tuning import chosen_settings, edges, tuning_summary
from clsbench.analysis.warnings import unsilenced
from clsbench.clock import Clock
from clsbench.config.extension import extended, extension, merged_axes
from clsbench.config.plan import Plan, plans, with_chosen
from clsbench.config.schema import Experiment
from clsbench.data.progress import told_to
from clsbench.errors import DataError
from clsbench.execution.engine import engine_of, resolved_auto
from clsbench.execution.events import Event, GridExtended, Reading, RunResumed, Said, StackStarted, Warned
from clsbench.execution.workers import Workers
from clsbench.prediction import kept_of
from clsbench.result import Result
from clsbench.results import (
    FORMAT_VERSION,
    DataSummary,
    Environment,
    Records,
    RunWarning,
    Summary,
    TimeSpent,
    Tuning,
)
from clsbench.runs.directory import METRICS, TUNING, RunDirectory
from clsbench.runs.nodes import node_warnings, noted
from clsbench.runs.provenance import Fingerprint, fingerprint
from clsbench.runs.writer import RunWriter

if TYPE_CHECKING:
    import torch

    from clsbench.data.splits import Splits
    from clsbench.execution.cross import CrossEvaluations
    from clsbench.execution.events import Checkpoint
    from clsbench.execution.work import Work

Watch = Callable[[Plan, Event], None]

log = logging.getLogger("clsbench")


@dataclass(frozen=True)
class Prepared:
    """A run whose plans, data and device are known, and of which nothing is written yet."""

    tuning: Plan | None
    plan: Plan
    data: Mapping[str, Splits]
    device: torch.device
    workers: Workers
    watch: Watch
    clock: Clock

    @classmethod
    def of(cls, experiment: Experiment, workers: Workers, watch: Watch, clock: Clock) -> Prepared:
        with clock.counting("imports"):
            from clsbench.execution.opening import device_for, load_data, posed_of, require_known
            from clsbench.execution.soundness import require_sound

        *tuning, plan = plans(experiment)
        device = device_for(experiment.train.device)
        data: dict[str, Splits] = {}
        with told_to(lambda text: watch(plan, Reading(text))), clock.counting("data"):
            for each in (*tuning, plan):
                data = load_data(each.trials, device, each.spared, data)
        require_sound((*tuning, plan), data)
        posed = {key: posed_of(splits) for key, splits in data.items()}
        *tuning, plan = (replace(each, posed=posed) for each in (*tuning, plan))
        require_known(plan)
        return cls(tuning[0] if tuning else None, plan, data, device, workers, watch, clock)

    def with_workers(self) -> AbstractContextManager[None]:
        """In this block the workers are there; where they cannot be, nothing of the run is written or changed."""
        from clsbench.execution.execute import ready

        return ready(self.workers, self.work, lambda text: self.watch(self.plan, Said(text)))

    def finish(self, directory: RunDirectory, *, exact: bool) -> Result:
        """Train what is left to train, and write the rest of the run. `exact`: no last bit may differ."""
        from clsbench.execution.process import training

        with training():
            return self._finish(directory, exact)

    def _finish(self, directory: RunDirectory, exact: bool) -> Result:
        asked = {TUNING: self.tuning, METRICS: self.plan}
        grow = {TUNING: self._grown if self._extends else None, METRICS: None}
        writers = {phase: directory.writer(phase, plan, exact=exact, grow=grow[phase]) for phase, plan in asked.items()}
        kept = self._reopened(writers)
        if epochs := sum(writer.kept_epochs for writer in writers.values()):
            done = sum(each.snapshot.epoch for checkpoints in kept.values() for each in checkpoints.values())
            self.watch(self.plan, RunResumed(epochs, done))
        self._warn()
        plan, tuned = self.plan, None
        if self.tuning is not None:
            tuned = self._tune(self.tuning, writers[TUNING], kept[TUNING], directory)
            plan = with_chosen(plan, chosen_settings(tuned, plan.experiment.train.seed_list))
        self._train(plan, writers[METRICS], kept[METRICS], directory)
        records = writers[METRICS].close()
        self._keep_replay(plan, writers[METRICS], directory)
        # The last: a run that has it is complete.
        directory.write_summary(self._summary(plan, writers, tuned, records, directory))
        log.info("finished %d trials", len(plan.trials))
        return Result(records, directory.summary(), directory.path)

    def _reopened(self, writers: Mapping[str, RunWriter]) -> dict[str, Mapping[int, Checkpoint]]:
        """The checkpoints that an earlier process left, by phase.

        Where a trial of tuning failed it is tried again, and may change a choice: all that followed is trained anew.
        """
        stale: Set[int] = frozenset()
        if writers[METRICS].records.path.exists() and writers[TUNING].records.has_failures():
            stale = set(range(len(self.plan.trials)))
            self._tell("a trial of tuning that failed is tried again; what followed from its failure is trained anew")
        # In this order: once its failures are not recorded any more, nothing that followed from them is.
        kept = {METRICS: writers[METRICS].reopen(stale)}
        return {**kept, TUNING: writers[TUNING].reopen()}

    def _tune(self, tuning: Plan, writer: RunWriter, kept: Mapping[int, Checkpoint], directory: RunDirectory) -> Tuning:
        """Train every setting of the grid, then those beyond its edges as long as these are asked for."""
        self._train(tuning, writer, kept, directory)
        while self._extends and (longer := self._grown(tuning, writer.records.read())) is not None:
            more = (len(longer.trials) - longer.since) * tuning.experiment.train.epochs
            self.watch(longer, GridExtended(merged_axes(longer.extensions[-1].values()), more))
            self._train(longer, writer, kept, directory)
            tuning = longer
        records = writer.close()
        pairing(writer.evidence, tuning)
        return tuning_summary(self.plan, tuning, records, self.data)

    def _grown(self, tuning: Plan, records: Records) -> Plan | None:
        """Tuning with more settings where its results ask for them; None if they do not."""
        tuned = tuning_summary(self.plan, tuning, records, self.data)
        new = extension(self.plan.experiment, tuning, edges(self.plan, tuned))
        return extended(self.plan.experiment, tuning, new) if new else None

    @property
    def _extends(self) -> bool:
        tune = self.plan.experiment.tune
        return tune is not None and tune.extend

    def _keep_replay(self, plan: Plan, writer: RunWriter, directory: RunDirectory) -> None:
        """Keep the frames, and the samples that they show, for the page."""
        if not writer.frames:
            return
        from clsbench.data.scene import Scene
        from clsbench.runs.replay import as_npz

        framed = (plan.trials[number] for number in sorted(writer.frames))
        keys = {trial.arm.dataset.title: trial.data_key for trial in framed}
        scenes = {title: Scene.of(self.data[key]) for title, key in keys.items()}
        frames = {number: list(of.values()) for number, of in writer.frames.items()}
        titles = list(dict.fromkeys(trial.arm.dataset.title for trial in plan.trials))
        directory.write_replay(as_npz(frames, scenes, titles))

    def _work(self, plan: Plan, kept: Mapping[int, Checkpoint]) -> Work:
        from clsbench.execution.work import Work

        compiled = {trial: checkpoint.compiled for trial, checkpoint in kept.items()}
        return Work(self.plan.experiment, plan, dict(self.data), self.device, compiled)

    @property
    def work(self) -> Work:
        """The work of the plan, from its start."""
        return self.works[-1]

    @cached_property
    def works(self) -> list[Work]:
        """The work of each plan, from its start."""
        return [self._work(each, {}) for each in (self.tuning, self.plan) if each]

    def _warn(self) -> None:
        from clsbench.execution.work import lacks_compiler

        if any(lacks_compiler(work.stacks) for work in self.works):
            text = (
                "long training is several times faster compiled, which needs a C++ compiler, Python's headers and a "
                "PyTorch that traces gradients; one of them is missing here; install it, or set train.compile=off to "
                "silence this warning"
            )
            self._tell(text)

    def _tell(self, warning: str) -> None:
        log.warning(warning)
        self.watch(self.plan, Warned(warning))

    def _train(self, plan: Plan, writer: RunWriter, kept: Mapping[int, Checkpoint], directory: RunDirectory) -> None:
        from clsbench.execution.execute import execute

        events = execute(self._work(plan, kept), kept, self.workers)
        with closing(events), writer.pooling(), self.clock.dividing(writer.spent):
            for event in events:
                if isinstance(event, StackStarted):
                    self._require_same_data(plan, event)
                    if told := noted(event, writer.records, directory):
                        self.watch(plan, Warned(told))
                writer.keep(event)
                self.watch(plan, event)

    def _require_same_data(self, plan: Plan, event: StackStarted) -> None:
        """A worker that opened the data itself must have those of the run's fingerprint."""
        for number, found in event.data.items():
            dataset = plan.trials[number].dataset
            if found != self.data[dataset.key].hash:
                raise DataError(f"dataset {dataset.title}: it changed while the run was training; start a new run")

    def _summary(
        self,
        plan: Plan,
        writers: Mapping[str, RunWriter],
        tuned: Tuning | None,
        records: Records,
        directory: RunDirectory,
    ) -> Summary:
        writer = writers[METRICS]
        data, warned = described(plan, self.data)
        warned += unsilenced([(plan.experiment.name, node_warnings(directory))], plan.experiment.silence)
        with self.clock.counting("measuring"):
            crossed = self._crossed(plan, records, directory)
        found, expectations = judged(plan, records, writer.failures, crossed, writer.evidence, data, warned)
        return {
            "format_version": FORMAT_VERSION,
            "name": plan.experiment.name,
            "directory": str(directory.path),
            "status": "failed" if any(each.failures for each in writers.values()) else "finished",
            "device": str(self.device),
            "engine": {**engine_of(self.work), "compile_seconds": round(writer.spent["compiling"], 3)},
            "data": data,
            "warnings": found["warnings"],
            "warm_start": plan.experiment.to_dict()["train"]["warm_start"],
            "arms": found["arms"],
            "rules": found["rules"],
            "pairs": found["pairs"],
            "verdicts": found["verdicts"],
            "across": across(plan, found["arms"], data, plan.experiment.verdict.rules),
            "expectations": expectations,
            "pairing": found["pairing"],
            "tuning": tuned,
            "seconds": round(sum(each.seconds for each in writers.values()), 6),
            "wall_seconds": self.clock.passed(),
            "clock": cast(TimeSpent, {**self.clock.parts(), "figures": None}),
        }

    def _crossed(self, plan: Plan, records: Records, directory: RunDirectory) -> CrossEvaluations:
        from clsbench.execution.cross import cross_evaluations

        ended = set(records.where("status", "finished").column("trial"))
        trials = [trial for trial in plan.trials if trial.number in ended]
        kept, failed = kept_of(directory), set(records.where("status", "failed").column("trial"))
        return cross_evaluations(self._work(plan, {}), lambda number: kept(number)[0], trials, failed)

    @property
    def files(self) -> dict[str, str]:
        """By the label of each dataset that was read from one, its file or folder."""
        found = ((trial.arm.dataset, self.data[trial.data_key].summary) for trial in self.plan.trials)
        return {
            entry.title: known["source"]
            for entry, known in found
            if known is not None and known["source"] != entry.name
        }

    def fingerprint(self, environment: Environment) -> Fingerprint:
        """The fingerprint of everything that decides the run's numbers, and of the machine."""
        trials = [trial for plan in (self.tuning, self.plan) if plan for trial in plan.trials]
        return fingerprint(self.plan.experiment, trials, self.data, environment)

    def environment(self, command_line: Sequence[str] | None) -> Environment:
        from clsbench.runs.environment import environment

        work = self.work
        engine, first_seed = engine_of(work), self.plan.experiment.train.seed_list[0]
        datasets = {
            trial.arm.dataset.title: self.data[trial.data_key].facts
            for trial in self.plan.trials
            if trial.seed == first_seed  # another seed's split has the same sizes
        }
        return environment(self.device, engine["threads"], resolved_auto(work, engine), command_line, datasets)


def described(plan: Plan, data: Mapping[str, Splits]) -> tuple[dict[str, DataSummary], list[RunWarning]]:
    """What is read of each opened dataset of a plan, by its label, and the warnings about it."""
    from clsbench.execution.remarks import remarks

    first: dict[str, Splits] = {}
    for trial in plan.trials:
        first.setdefault(trial.arm.dataset.title, data[trial.data_key])
    summaries = {title: splits.summary for title, splits in first.items() if splits.summary}
    findings = [(title, splits.findings) for title, splits in first.items()]
    return summaries, unsilenced([*findings, *remarks(plan, data).items()], plan.experiment.silence)
