"""What a run has once: its expectations, its duration and its files."""

from __future__ import annotations

import os.path
from collections.abc import Sequence

from clsbench.report.document import Files, Paragraph, Section
from clsbench.report.expectations import outcome_line
from clsbench.report.text import duration
from clsbench.results import Summary


def expectations(summary: Summary) -> Section | None:
    """Each expectation of the config, and whether it was met; None where there are none."""
    if not summary["expectations"]:
        return None
    rows = tuple(Paragraph((outcome_line(row, summary),)) for row in summary["expectations"])
    return Section("expectations", ("Expectations",), rows)


def kept(summary: Summary, files: Sequence[str]) -> Section:
    """The time that training took, and the `files` of the run by the directory that holds them."""
    seconds = summary["seconds"]
    took = [] if seconds is None else [Paragraph((f"Training took {duration(seconds)}.",))]
    folders: dict[str, list[str]] = {}
    for file in files:
        folder, name = os.path.split(file)
        folders.setdefault(folder, []).append(name)
    return Section("kept", (), (*took, *(Files(folder, tuple(names)) for folder, names in folders.items())))
