"""The names of a run's own files: what may be written, replaced and removed in its directory, and nothing else."""

from __future__ import annotations

import os
import re
from pathlib import Path

FIGURES = ("curves", "tuning", "reliability")
CHECKPOINTS = "checkpoints"  # the one folder in a run
MANIFEST = "manifest.json"
WEIGHTS = r"[a-z]+-\d+-epoch-\d+-[0-9a-f]{8}\.pt"  # a checkpoint; the last part is the start of its SHA-256

# Written in place, so that another name for the same file would be written too.
_GROWING = re.compile(r"run\.log|(metrics|tuning)\.jsonl|checkpoints/(lock|pid|(metrics|tuning)\.sums)")
_REPLACED = re.compile(
    r"config\.yaml|environment\.json|summary\.json|report\.html|replay\.npz"
    rf"|({'|'.join(FIGURES)})\.(png|svg)|checkpoints/(manifest\.json|{WEIGHTS})"
)
_HALF_WRITTEN = re.compile(r"((?:.*/)?)\.(.+)\.[0-9a-f]{16}")


def is_own(name: str) -> bool:
    """Whether a name, with `/` and relative to the run directory, is that of a file that runs write."""
    return is_growing(name) or _REPLACED.fullmatch(name) is not None


def is_growing(name: str) -> bool:
    """Whether the file of this name is written in place."""
    return _GROWING.fullmatch(name) is not None


def is_half_written(name: str) -> bool:
    """Whether this is what a write of one of the run's own files leaves when it is killed."""
    match = _HALF_WRITTEN.fullmatch(name)
    return match is not None and is_own(match[1] + match[2])


def is_weights(name: str) -> bool:
    """Whether this is the name of a checkpoint, within its folder."""
    return re.fullmatch(WEIGHTS, name) is not None


def is_kept_by_run(path: Path) -> bool:
    """Whether a path is one of a run's own files, existing or not, which only the run writes."""
    run = path.parent.parent if path.parent.name == CHECKPOINTS else path.parent
    marks = [os.path.lexists(run / name) for name in ("config.yaml", "metrics.jsonl", CHECKPOINTS)]
    return sum(marks) > 1 and (path.parent != run or is_own(path.name))
