"""What a run has once: its expectations, its duration and its files."""

from __future__ import annotations

import os.path
from collections.abc import Iterator, Sequence

from clsbench.report.document import Files, Paragraph, Section
from clsbench.report.expectations import outcome_line
from clsbench.report.text import duration
from clsbench.results import Summary

BRIEF_EXPECTATIONS = 6  # on the first screen


def expectations(summary: Summary) -> Section | None:
    """Each expectation of the config, and whether it was met; None where there are none."""
    if not summary["expectations"]:
        return None
    rows = tuple(Paragraph((outcome_line(row, summary),)) for row in summary["expectations"])
    return Section("expectations", ("Expectations",), rows)


def brief_expectations(summary: Summary) -> Section | None:
    """The expectations of the config, those that were not met first; of many met ones, how many there are."""
    rows = sorted(summary["expectations"], key=lambda row: row["met"])
    if not rows:
        return None
    lines = tuple(Paragraph((outcome_line(row, summary),)) for row in rows[:BRIEF_EXPECTATIONS])
    left = rows[BRIEF_EXPECTATIONS:]
    unmet = sum(not row["met"] for row in left)
    more = f"and {len(left)} more, {f'{unmet} of them not met' if unmet else 'all met'} (--details)"
    return Section("expectations", ("Expectations",), (*lines, *([Paragraph((more,))] if left else [])))


def brief_kept(summary: Summary, files: Sequence[str]) -> Section:
    """The time that training took, how to see the rest, and where it is."""
    seconds = summary["seconds"]
    took = "" if seconds is None else f"Training took {duration(seconds)}. "
    rest = f"{took}Every table and curve: clsbench report --details"
    return Section("kept", (), (Paragraph((rest,)), *by_folder(files)))


def kept(summary: Summary, files: Sequence[str]) -> Section:
    """The time that training took, and the `files` of the run by the directory that holds them."""
    seconds = summary["seconds"]
    took = [] if seconds is None else [Paragraph((f"Training took {duration(seconds)}.",))]
    return Section("kept", (), (*took, *by_folder(files)))


def by_folder(files: Sequence[str]) -> Iterator[Files]:
    """The files of a run by the directory that holds them."""
    folders: dict[str, list[str]] = {}
    for file in files:
        folder, name = os.path.split(file)
        folders.setdefault(folder, []).append(name)
    for folder, names in folders.items():
        yield Files(folder, tuple(names))
