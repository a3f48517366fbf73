"""What a user should look at before trusting the results of a run."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from clsbench.results import RunWarning


def warnings(findings: Iterable[tuple[str, Sequence[tuple[str, str]]]], silence: Collection[str]) -> list[RunWarning]:
    """The `warnings` of a summary.

    Args:
        findings: the labels of datasets, models and losses, with the codes and texts of what was noticed about each.
        silence: the codes to leave out.
    """
    return [
        {"code": code, "where": label, "text": text}
        for label, found in findings
        for code, text in found
        if code not in silence
    ]
