"""What a run has once: its expectations, its duration and its files."""

from __future__ import annotations

import json
import os.path
import shlex
from collections.abc import Iterator, Sequence

from clsbench.clock import PARTS
from clsbench.report.document import Files, Paragraph, Section
from clsbench.report.expectations import SAFE_SLACK, outcome_line
from clsbench.report.text import count, duration, first_few
from clsbench.results import JoinedRun, Summary, TimeSpent

BRIEF_EXPECTATIONS = 4  # on the first screen
LEAST_SECONDS = 0.05  # of a part that is named


def expectations(summary: Summary) -> Section | None:
    """Each expectation of the config, and whether it was met; None where there are none."""
    if not summary["expectations"]:
        return None
    rows = tuple(Paragraph((outcome_line(row, summary),)) for row in summary["expectations"])
    return Section("expectations", ("Expectations",), rows)


def brief_expectations(summary: Summary) -> Iterator[Paragraph]:
    """Each expectation of the config that was not met, or so narrowly that other seeds may not; how many were."""
    rows = summary["expectations"]
    unmet = [row for row in rows if not row["met"]]
    narrow = [row for row in rows if row["met"] and row["slack"] is not None and row["slack"] < SAFE_SLACK]
    told = [*unmet, *narrow]
    yield from (Paragraph((f"Expected {outcome_line(row, summary)}",)) for row in told[:BRIEF_EXPECTATIONS])
    met = len(rows) - len(unmet)
    if len(told[:BRIEF_EXPECTATIONS]) < len(rows):
        all_met = f"{count(met, 'expectation')} met."
        yield Paragraph((f"{met} of {len(rows)} expectations met." if unmet else all_met,))


def joined(summary: Summary) -> Section | None:
    """Each of several runs that are shown together: its arms, and the settings in which the runs differ."""
    lines = [_joined(place, each) for place, each in enumerate(summary.get("runs", ()), start=1)]
    return Section("runs", (), tuple(Paragraph((line,)) for line in lines)) if lines else None


def _joined(place: int, each: JoinedRun) -> str:
    settings = [f"{key}={_range(value) or json.dumps(value)}" for key, value in each["settings"].items()]
    repeated = [f"{name} as before" for name in each["repeated"]]
    told = [", ".join(first_few([*each["arms"], *repeated], "more arms"))]
    told += [", ".join(first_few(settings, "more settings"))] if settings else []
    return f"Run {place}, {each['directory']}: {'; '.join(told)}"


def _range(value: object) -> str | None:
    """`0..9` for a list of whole numbers in a row, as most lists of seeds are."""
    if not isinstance(value, list) or len(value) < 2 or not all(isinstance(each, int) for each in value):
        return None
    return f"{value[0]}..{value[-1]}" if value == [*range(value[0], value[0] + len(value))] else None


def brief_kept(summary: Summary, files: Sequence[str]) -> Section:
    """The time that the run took, how to see the rest, and where it is."""
    asked = [each["directory"] for each in summary.get("runs", ())] or _elsewhere(files)
    runs = "".join(f" {shlex.quote(directory)}" for directory in asked)
    took = _took(summary, f" on {summary['device']}")
    rest = " ".join(filter(None, (took, f"Every table and curve: clsbench report{runs} --details")))
    return Section("kept", (), (Paragraph((rest,)), *_by_folder(files)))


def _elsewhere(files: Sequence[str]) -> list[str]:
    """The folder of a run that is not in runs/, where `clsbench report` would look for the newest."""
    folders = {os.path.dirname(file) for file in files}
    return [folder for folder in sorted(folders) if not folder.startswith(os.path.join("runs", ""))][:1]


def kept(summary: Summary, files: Sequence[str]) -> Section:
    """The time that the run took and where it went, and the `files` of the run by the directory that holds them."""
    spoken = filter(None, (_took(summary), _where_it_went(summary["clock"])))
    said = " ".join(spoken)
    return Section("kept", (), (*([Paragraph((said,))] if said else []), *_by_folder(files)))


def _took(summary: Summary, where: str = "") -> str:
    """The run by the clock; of an earlier version, which did not keep that, its training."""
    if summary["wall_seconds"] is not None:
        return f"Took {duration(summary['wall_seconds'])}{where}."
    return "" if summary["seconds"] is None else f"Training took {duration(summary['seconds'])}{where}."


def _where_it_went(spent: TimeSpent | None) -> str:
    if spent is None:
        return ""
    named = {part: spent[part] for part in PARTS if spent[part] >= LEAST_SECONDS}
    found = ", ".join(f"{part} {duration(seconds)}" for part, seconds in named.items())
    drawn = "" if spent["figures"] is None else f" Then figures: {duration(spent['figures'])}."
    return f"Of that: {found}.{drawn}" if found else drawn.strip()


def _by_folder(files: Sequence[str]) -> Iterator[Files]:
    folders: dict[str, list[str]] = {}
    for file in files:
        folder, name = os.path.split(file)
        folders.setdefault(folder, []).append(name)
    for folder, names in folders.items():
        yield Files(folder, tuple(names))
