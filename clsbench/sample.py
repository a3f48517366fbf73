"""A sample of a run's test split, seen by the trained network of each arm."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from clsbench.analysis.explanation import at_point
from clsbench.analysis.samples import ArmSees, SampleSeen
from clsbench.analysis.terrain import marbles
from clsbench.config.plan import Trial, make_plan
from clsbench.errors import ConfigError, RunError
from clsbench.prediction import Predictor, predictors, samples_tested
from clsbench.runs.directory import METRICS, RunDirectory

if TYPE_CHECKING:
    from clsbench.data.dividing import Part


def sample_seen(run: Path, number: int) -> SampleSeen:
    """Test sample `number`, from 0, under the first finished trial of each arm on the run's first dataset.

    Raises:
        ConfigError: there is no such sample.
        DataError: the data are missing, or have changed since the run.
        RunError: no trial has finished, or its weights are damaged.
    """
    directory = RunDirectory(run)
    ended = directory.checkpoints(METRICS).ended()
    first: dict[str, Trial] = {}
    for trial in make_plan(directory.experiment()).trials:
        if trial.number in ended:
            first.setdefault(trial.arm.name, trial)
    if not first:
        raise RunError(f"{directory.path} has no finished trial; run the experiment again")
    lead = next(iter(first.values()))
    same = [trial.number for trial in first.values() if trial.data_key == lead.data_key]
    part, seen = None, []
    for trial, predictor in predictors(directory, same):
        if not predictor.loss.problem.exclusive:
            raise ConfigError("--sample: the run's samples are not of one class each, which this table is about")
        part = part or samples_tested(directory, trial, predictor)
        if not 0 <= number < len(part):
            raise ConfigError(f"--sample: must be from 0 to {len(part) - 1}, the test samples of the run, got {number}")
        seen.append(_seen(trial, predictor, part, number))
    assert part is not None
    return SampleSeen(str(run), number, predictor.class_names[part.labels[number]], tuple(seen))


def _seen(trial: Trial, predictor: Predictor, part: Part, number: int) -> ArmSees:
    loss, target = predictor.loss, int(part.labels[number])
    prepared = predictor.required_preparation()(part.features, part.rows[number : number + 1])
    with torch.no_grad():
        logits = predictor.module(torch.from_numpy(prepared)).double()
    logs = loss.log_probabilities(logits)
    probabilities = None if logs is None else tuple(logs.exp()[0].tolist())
    point = at_point(loss, logits[0].tolist(), target)
    log_odds = None if logs is None else float(marbles(logs[0].numpy(), np.array(target))[0])
    return ArmSees(
        name=trial.arm.name,
        trial=trial.number,
        logits=tuple(logits[0].tolist()),
        prediction=predictor.class_names[int(loss.predictions(logits)[0])],
        probabilities=probabilities,
        likelihood=None if probabilities is None else probabilities[target],
        log_odds=log_odds,
        value=point.value,
        gradient=point.gradient,
        norm=point.norm,
    )
