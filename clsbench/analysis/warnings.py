"""What a user should look at before trusting the results of a run."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from clsbench.results import RunWarning


def warnings(findings: Mapping[str, Sequence[tuple[str, str]]], silence: Collection[str]) -> list[RunWarning]:
    """The `warnings` of a summary.

    Args:
        findings: of each dataset, by its label, the codes and texts of what was noticed when it was read.
        silence: the codes to leave out.
    """
    return [
        {"code": code, "where": label, "text": text}
        for label, found in findings.items()
        for code, text in found
        if code not in silence
    ]
