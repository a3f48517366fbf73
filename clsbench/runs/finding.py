"""The runs in a folder, by their age."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from clsbench.errors import RunError
from clsbench.runs.directory import METRICS, RunDirectory


def newest(output: Path) -> RunDirectory:
    """The newest finished run; if none is finished, the newest run.

    Raises:
        RunError: there is none.
    """
    runs = _runs(output)
    if not runs:
        raise RunError(f"no run in {output}; `clsbench run CONFIG` makes one")
    return RunDirectory(max(runs)[2])


def unfinished_after(output: Path, run: Path) -> Path | None:
    """The newest run that is not finished, if it is newer than `run`; None if there is none."""
    runs = _runs(output)
    since = max((made for _, made, path in runs if path == run), default=0)
    newer = [(made, path) for finished, made, path in runs if made > since and not finished]
    return max(newer)[1] if newer else None


def _runs(output: Path) -> list[tuple[bool, int, Path]]:
    """The runs in a folder: whether each is finished, when it was made, and its path."""
    runs = []
    for config in output.glob("[!.]*/[!.]*/config.yaml"):
        run = RunDirectory(config.parent)
        with suppress(OSError):  # it has just been removed
            if (run.path / f"{METRICS}.jsonl").exists() or run.has_summary():
                runs.append((run.has_summary(), config.stat().st_mtime_ns, run.path))
    return runs
