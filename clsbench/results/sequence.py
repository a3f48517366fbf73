"""Records against the trials of their run: each with its epochs from 0 in order."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from clsbench.results.reading import damaged
from clsbench.results.record import Origin, Record, Status
from clsbench.results.records import Records


def require_sequence(
    path: str, records: Iterable[Record], trials: Sequence[Origin], *, epochs: int | None = None, ended: bool = False
) -> None:
    """Refuse records that are not those of the trials of a run, each with its epochs from 0 in order.

    Args:
        path: the file that they are read from, one a line.
        trials: the origin of each trial, by its number.
        epochs: how many there are, if known.
        ended: every trial must have its last record.

    Raises:
        RunError: with the first line that is wrong.
    """
    newest: dict[int, tuple[int, Status]] = {}
    known = Records.of(records)
    columns = [known.column(field) for field in ("trial", *Origin._fields, "epoch", "status")]
    for number, (trial, *found, epoch, status) in enumerate(zip(*columns, strict=True), start=1):
        if what := _foreign(trial, Origin(*found), trials):
            raise damaged(f"{path}:{number}", what)
        came_to, state = newest.get(trial, (-1, "running"))
        if state != "running":
            raise damaged(f"{path}:{number}", f"trial {trial} had {state} at epoch {came_to}")
        if epoch != came_to + 1:
            what = "occurs twice" if epoch == came_to else f"is in the place of epoch {came_to + 1}"
            raise damaged(f"{path}:{number}", f"epoch {epoch} of trial {trial} {what}")
        if epochs is not None and epoch > epochs and status != "failed":
            raise damaged(f"{path}:{number}", f"epoch {epoch} of trial {trial} is beyond the last, {epochs}")
        newest[trial] = epoch, status
    if ended:
        for trial in range(len(trials)):
            if newest.get(trial, (-1, "running"))[1] == "running":
                raise damaged(path, f"the last records of trial {trial} are missing")


def _foreign(trial: int, found: Origin, trials: Sequence[Origin]) -> str | None:
    """How a record contradicts the origin of its trial."""
    if trial >= len(trials):
        return f"trial {trial} is not a trial of the run, which are numbered 0 to {len(trials) - 1}"
    origin = trials[trial]
    if found == origin:
        return None
    key, value, right = next(each for each in zip(Origin._fields, found, origin, strict=True) if each[1] != each[2])
    return f"{key} of trial {trial} is {right!r}, not {value!r}"
