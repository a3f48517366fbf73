"""Why a trial failed, and its last record."""

from __future__ import annotations

import errno
from typing import cast

import torch

from clsbench.config.plan import Trial
from clsbench.execution.events import Checkpoint, fields, identity_of
from clsbench.results import Record
from clsbench.signatures import described


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory did not suffice. What was handled, and then something else went wrong, does not count."""
    text = described(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in text:
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    # Packing a checkpoint, PyTorch trips over its own error while it handles that.
    tripped = isinstance(error, RuntimeError) and "unexpected pos" in text
    return tripped and error.__context__ is not None and is_out_of_memory(error.__context__)


def failed_record(trial: Trial, last: Record | None, since: Checkpoint | None) -> Record:
    """The last record of a failed trial: the epoch that it failed in, its time until then, no measures."""
    came_to: dict[str, float] = {"epoch": 0, "step": 0, "seconds": 0.0}
    if last is not None:
        came_to = {"epoch": last["epoch"] + 1, "step": last["step"], "seconds": last["seconds"]}
    elif since is not None:
        step = int(since.snapshot.tensors["taken"].sum())
        came_to = {"epoch": since.snapshot.epoch + 1, "step": step, "seconds": round(since.seconds, 6)}
    known = {**identity_of(trial), **came_to, "status": "failed"}
    return cast(Record, {field: known.get(field) for field in fields()})


def reason_of(error: BaseException) -> str:
    return "out of memory" if is_out_of_memory(error) else described(error)
