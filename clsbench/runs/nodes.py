"""Machines of a cluster that are not like the driver's: kept, told once, warned about in the summary."""

from __future__ import annotations

import logging

from clsbench.execution.events import StackStarted
from clsbench.execution.host import this_host
from clsbench.runs.directory import RunDirectory
from clsbench.runs.records import RecordFile

log = logging.getLogger("clsbench")


def noted(event: StackStarted, records: RecordFile, directory: RunDirectory) -> str | None:
    """Keep in what the machine that trains a stack differs from this one; what to tell of it, unless that is known.

    From then on records that are trained again may have other last bits.

    Raises:
        RunError: `environment.json` cannot be written.
    """
    differences = this_host().differences(event.host)
    if not differences:
        return None
    records.exact = False
    log.warning("trials %s are trained on another machine, %s", list(event.trials), event.host.name)
    if not directory.note_node({"name": event.host.name, "differences": differences}):
        return None
    text = f"on {event.host.name} last bits may differ: {'; '.join(differences)}"
    log.warning("%s", text)
    return text


def node_warnings(directory: RunDirectory) -> list[tuple[str, str]]:
    """The warnings of a run about such machines: their code and their text."""
    return [
        (
            "other-machine",
            f"trials were trained on {node['name']}, and last bits may differ: {'; '.join(node['differences'])}",
        )
        for node in directory.environment()["nodes"] or ()
    ]
