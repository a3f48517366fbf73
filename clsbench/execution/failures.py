"""Why a trial failed, and its last record."""

from __future__ import annotations

import errno
import sysconfig
import traceback
from collections.abc import Collection
from pathlib import Path
from types import FrameType
from typing import cast

import torch

from clsbench.config.plan import Trial
from clsbench.execution.events import Checkpoint, TrialFailed, fields, identity_of
from clsbench.problems import Problem
from clsbench.registry import KINDS, catalogue
from clsbench.results import Record
from clsbench.signatures import described, file_of, is_own, shown_file

LIBRARIES = frozenset({"site-packages", "dist-packages"})  # folders of what is installed, wherever they are


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


def failed_record(trial: Trial, problem: Problem, last: Record | None, since: Checkpoint | None) -> Record:
    """The last record of a failed trial: the epoch that it failed in, its time until then, no measures."""
    came_to: dict[str, float] = {"epoch": 0, "step": 0, "seconds": 0.0}
    if last is not None:
        came_to = {"epoch": last["epoch"] + 1, "step": last["step"], "seconds": last["seconds"]}
    elif since is not None:
        step = int(since.snapshot.tensors["taken"].sum())
        came_to = {"epoch": since.snapshot.epoch + 1, "step": step, "seconds": round(since.seconds, 6)}
    known = {**identity_of(trial), **came_to, "status": "failed"}
    return cast(Record, {field: known.get(field) for field in fields(problem)})


def given_up(trial: Trial, problem: Problem, since: Checkpoint | None, reason: str) -> TrialFailed:
    """The failure of a trial whose process died for the last time, and left no trace."""
    return TrialFailed(trial.number, failed_record(trial, problem, None, since), reason, "")


def reason_of(error: BaseException) -> str:
    """Why a trial failed, on one line, with `FILE:LINE` of the user's code if the error passed through any."""
    what = "out of memory" if is_out_of_memory(error) else described(error)
    place = _place_in_users_code(error)
    return what if place is None else f"{what} ({place})"


def _place_in_users_code(error: BaseException) -> str | None:
    """`FILE:LINE` of the innermost frame that the user wrote."""
    registered = {file_of(spec.factory) for kind in KINDS for spec in catalogue.all(kind) if not is_own(spec.factory)}
    place = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        if _is_users(frame, registered):
            place = f"{shown_file(frame.f_code.co_filename)}:{line}"
    return place


def _is_users(frame: FrameType, registered: Collection[str | None]) -> bool:
    """Whether a frame is of a file that registers something, or of any other that is not part of a library."""
    file = frame.f_code.co_filename
    if str(frame.f_globals.get("__name__")).partition(".")[0] in ("clsbench", "torch"):
        return False  # PyTorch generates modules outside its folder
    of_a_library = file.startswith(("<", sysconfig.get_path("stdlib"))) or not LIBRARIES.isdisjoint(Path(file).parts)
    return file in registered or not of_a_library
