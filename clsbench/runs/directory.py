"""The run directory `OUTPUT/NAME/TIME/` and its files."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

from clsbench.config.expectations import outcome_mistake
from clsbench.config.plan import Plan
from clsbench.config.reader import read_text
from clsbench.config.schema import Experiment
from clsbench.errors import ConfigError, RunError
from clsbench.metrics.measures import bounds
from clsbench.problems import kind_of
from clsbench.registry.catalogue import GIVEN
from clsbench.results import (
    Environment,
    Node,
    Origin,
    Records,
    Summary,
    damaged,
    read_environment,
    read_summary,
    require_known_format,
    require_sequence,
)
from clsbench.runs.checkpoints import Checkpoints
from clsbench.runs.files import (
    as_wide_json,
    remove_half_written,
    require_own_files,
    write_atomically,
)
from clsbench.runs.lock import require_free, sole_writer
from clsbench.runs.log import logged
from clsbench.runs.manifest import Manifest, ManifestFile, content_of
from clsbench.runs.names import CHECKPOINTS
from clsbench.runs.provenance import Fingerprint, Hashes
from clsbench.runs.rebuild import environment_identity, identified
from clsbench.runs.records import Grow, RecordFile, decoded
from clsbench.runs.seal import sealed
from clsbench.runs.signals import kept_in
from clsbench.runs.writer import RunWriter

if TYPE_CHECKING:
    from clsbench.runs.replay import Replay

REPLAY = "replay.npz"
METRICS, TUNING = "metrics", "tuning"  # the phases of a run, each with its file of records
log = logging.getLogger("clsbench")


class RunDirectory:
    """A run's files. One process writes them; any process may read them at any time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = ManifestFile(path)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Lock the run for this process, which then is its only writer.

        Raises:
            RunError: another process holds the lock, or this is not a run.
        """
        self.require_own()
        with sole_writer(self.path / CHECKPOINTS), kept_in(self.path):
            remove_half_written(self.path)
            yield

    def require_own(self) -> None:
        """Refuse a directory with links, folders or devices in the place of a run's files; nothing is changed.

        Raises:
            RunError: naming the first; or this is not a run.
        """
        try:
            require_own_files(self.path)
        except OSError as error:
            raise RunError(
                f"{self.path} is not a run: its checkpoints cannot be read ({error.strerror}); give a run"
            ) from error

    def require_free(self) -> None:
        """Refuse a folder that is not a run, and a run that is being written; nothing is changed; RunError."""
        if not (self.path / CHECKPOINTS).is_dir():
            what = "it has no checkpoints" if self.path.exists() else "there is no such directory"
            raise RunError(f"{self.path} is not a run: {what}; give the directory of one")
        require_free(self.path / CHECKPOINTS)

    def identify(self) -> Manifest:
        """The identity of the run, to resume it; a damaged manifest is rebuilt in memory.

        Raises:
            RunError: as `rebuild.identified`.
        """
        self.manifest.rebuilt = None
        return identified(self.manifest)

    def restore(self, run: str) -> None:
        """Write the manifest, if `identify` rebuilt it, and remove files that are not valid; needs the lock.

        Raises:
            RunError: it cannot be written, or this is no longer the run of that name.
        """
        if self.identify().run != run:  # another process had the lock meanwhile
            raise RunError(f"{self.path} is another run now; start again")
        if self.manifest.rebuilt is not None:
            self.manifest.write(self.manifest.rebuilt)
            self._note(f"{self.manifest.path} was damaged or missing and is rebuilt")
        self.checkpoints(METRICS).remove_unlisted()

    def _note(self, text: str) -> None:
        """A line in `run.log`, before training logs."""
        with logged(self.path):
            log.warning("%s", text)

    def write_summary(self, summary: Summary) -> None:
        """Replace `summary.json`; RunError where it cannot be written."""
        self.manifest.replace("summary.json", as_wide_json(summary))

    def write_page(self, content: bytes) -> None:
        """Replace `report.html`, also of a run of an earlier version, which lists no sums; the same error."""
        if self.manifest.read() is None:
            write_atomically(self.path / "report.html", content)
        else:
            self.manifest.replace("report.html", content)

    def write_replay(self, content: bytes) -> None:
        """Replace `replay.npz`; the same error."""
        self.manifest.replace(REPLAY, content)

    def replay(self, titles: Sequence[str]) -> Replay | None:
        """`replay.npz`; None if the run kept none. `titles` are the labels of the datasets in the summary's order.

        Raises:
            RunError: it is damaged.
        """
        from clsbench.runs.replay import replay_of

        if not (self.path / REPLAY).exists():
            return None
        try:
            return replay_of(self.manifest.verified(REPLAY), titles)
        except (ValueError, IndexError) as error:
            raise damaged(str(self.path / REPLAY), str(error)) from error

    def write_environment(self, environment: Environment, fingerprint: Fingerprint) -> None:
        """Replace `environment.json`, with the whole fingerprint of the run; the same error."""
        run = self.manifest.written().run
        self.manifest.replace("environment.json", sealed_environment(environment, run, fingerprint))

    def note_node(self, node: Node) -> bool:
        """Keep in `environment.json` which other machine trains; return whether it is new there; the same error."""
        before = self.environment()
        known = before["nodes"] or []
        if node in known:
            return False
        self.write_environment({**before, "nodes": [*known, node]}, self.identify().fingerprint)
        return True

    def hashes(self) -> Hashes:
        """The SHA-256 of each split that the run saw.

        Raises:
            RunError: as `identify`; or `environment.json` is damaged or missing, which alone has them.
        """
        found = self.identify().fingerprint.data
        if not found:
            where = self.path / "environment.json"
            raise RunError(f"{where} is damaged or missing; `clsbench run --resume {self.path}` rebuilds it")
        return found

    def experiment(self, overrides: Sequence[str] = ()) -> Experiment:
        """The experiment of the run, with overrides.

        Raises:
            RunError: its config is damaged, or needs a plugin that is not loaded.
            ConfigError: an override is wrong.
        """
        self.require_known_format()
        text, name = self.config_text(), str(self.path / "config.yaml")
        try:
            kept = read_text(text, name, ())
        except ConfigError as error:
            hint = "" if GIVEN in str(error) else " (the run's config is damaged, or needs its plugin: --plugin FILE)"
            raise RunError(f"{error}{hint}") from error
        return read_text(text, name, overrides) if overrides else kept

    def config_text(self) -> str:
        return self._text("config.yaml")

    def is_complete(self) -> bool:
        """Whether every trial is finished and the summary written, so that nothing is left to resume."""
        return self.has_summary() and self.summary()["status"] == "finished"

    def has_summary(self) -> bool:
        """Whether the run is finished."""
        return (self.path / "summary.json").exists()

    def summary(self) -> Summary:
        """`summary.json`.

        Raises:
            RunError: it is missing, damaged, or of a newer version.
        """
        path = str(self.path / "summary.json")
        summary = read_summary(path, self._text("summary.json"), bounds())
        for place, row in enumerate(summary["expectations"]):
            if mistake := outcome_mistake(row["text"], row["left"], row["right"]):
                raise damaged(path, f"expectations[{place}]: {mistake}")
        for title, facts in (summary.get("data") or {}).items():
            try:
                kind_of(facts)
            except (ValueError, TypeError) as error:
                raise damaged(path, f"data.{title}: {error}") from error
        return summary

    def has_environment(self) -> bool:
        """Whether `environment.json` exists and is undamaged."""
        return environment_identity(self.path) is not None

    def require_known_format(self) -> None:
        """Refuse a run of a newer clsbench, none of whose files may be understood.

        Raises:
            RunError: `environment.json` says so.
        """
        path = self.path / "environment.json"
        try:
            value = from_json(content_of(path))
        except (RunError, ValueError):
            return
        if isinstance(value, dict):
            require_known_format(str(path), value)

    def environment(self) -> Environment:
        """`environment.json`, with the same errors as `summary`."""
        return read_environment(str(self.path / "environment.json"), self._text("environment.json"))

    def environment_or(self, default: Environment) -> Environment:
        """`environment.json`; if it is missing or damaged, `default`, with a note in the log."""
        if self.has_environment():
            return self.environment()
        self._note(f"{self.path / 'environment.json'} was damaged or missing and is rebuilt")
        return default

    def records(self, trials: Sequence[Origin], *, ended: bool) -> Records:
        """The records of the run, in the order of the file, with the same errors.

        Args:
            trials: where each trial comes from, by its number.
            ended: every trial is expected to have its last record.
        """
        file = self._records(METRICS)
        found = file.read()
        require_sequence(str(file.path), found, trials, ended=ended)
        return found

    def kept_epochs(self, phase: str) -> int:
        """How many trained epochs of trials a phase has kept so far, with the same errors."""
        return self._records(phase).kept_epochs()

    def checkpoints(self, phase: str) -> Checkpoints:
        return Checkpoints(self.manifest, phase)

    def writer(self, phase: str, plan: Plan | None, *, exact: bool, grow: Grow | None = None) -> RunWriter:
        """The writer of a phase; `plan`, `exact` and `grow` as in `RecordFile`."""
        return RunWriter(self._records(phase, exact=exact, plan=plan, grow=grow), self.checkpoints(phase))

    def _records(self, phase: str, **how: Any) -> RecordFile:
        return RecordFile(self.path / f"{phase}.jsonl", **how)

    def _text(self, name: str) -> str:
        return decoded(self.path / name, self.manifest.verified(name))


def sealed_environment(environment: Mapping[str, Any], run: str, fingerprint: Fingerprint) -> bytes:
    """The environment with the run's identity and its own sum."""
    known = {key: value for key, value in environment.items() if key not in ("run", "fingerprint", "sum")}
    return sealed({"run": run, **known, "fingerprint": fingerprint.model_dump()})
