"""The losses of a run over the weights between its start and its arms' ends, for `clsbench surface RUN`."""

from __future__ import annotations

from pathlib import Path

from clsbench.analysis.planes import WeightPlane, weight_planes
from clsbench.config.plan import make_plan
from clsbench.errors import ConfigError
from clsbench.runs.directory import METRICS, RunDirectory


def planes_of(run: Path, rows: int, columns: int) -> list[WeightPlane]:
    """A plane for each comparison of a run.

    Raises:
        ConfigError: no comparison has two arms with as many outputs whose first seed has finished.
        DataError: the data are missing, or have changed since the run.
        RunError: the run cannot be read.
    """
    directory = RunDirectory(run)
    plan = make_plan(directory.experiment())
    states = {number: state for number, (state, _) in directory.checkpoints(METRICS).ended().items()}
    hashes = directory.hashes()
    found = list(weight_planes(plan, states, hashes, rows, columns))
    if not found:
        raise ConfigError(f"{run}: a surface needs two arms of one comparison whose first seed has finished")
    return found
