"""The run directory `OUTPUT/NAME/TIME/`: made whole, then renamed into place with its config inside."""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from clsbench.config.dump import as_yaml
from clsbench.config.schema import Experiment
from clsbench.errors import ConfigError, RunError
from clsbench.execution.events import FIELDS
from clsbench.runs.files import as_json, as_json_line, sync_folder, unwritable, write_atomically

Row = Mapping[str, Any]

METRICS_FILE, TUNING_FILE = "metrics.jsonl", "tuning.jsonl"
SUMMARY_KEYS = ("name", "status", "device", "arms", "verdicts", "expectations", "pairing", "seconds")


class RunDirectory:
    """A run's files. One process writes them; anybody may read them at any time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, output: Path, experiment: Experiment) -> RunDirectory:
        """A new directory, named by the second of its start; starts in one second get a number each.

        Raises:
            ConfigError: there is a file where a folder should be, or the name is too long for the system.
        RunError: it cannot be made.
        """
        hidden = output / f".{experiment.name}-{secrets.token_hex(8)}"
        try:
            (hidden / "checkpoints").mkdir(parents=True)
            write_atomically(hidden / "config.yaml", as_yaml(experiment.to_dict()).encode())
            (hidden / METRICS_FILE).touch()
            home = output / experiment.name
            home.mkdir(exist_ok=True)
            path = _renamed(hidden, home / time.strftime("%Y%m%d-%H%M%S"))
            sync_folder(home)
        except OSError as error:
            shutil.rmtree(hidden, ignore_errors=True)
            if isinstance(error, FileExistsError | NotADirectoryError) or error.errno == errno.ENAMETOOLONG:
                what = (error.strerror or str(error)).lower()
                raise ConfigError(
                    f"{output / experiment.name}: no run can go there: {what}; give another --output"
                ) from None
            raise unwritable(Path(error.filename or output), error) from error
        return cls(path)

    def append(self, records: Iterable[Row], name: str = METRICS_FILE) -> None:
        """Add the records of a finished epoch; when this returns, the system has them."""
        lines = "".join(as_json_line(record) for record in records)
        try:
            with open(self.path / name, "a", encoding="utf-8") as file:
                file.write(lines)
        except OSError as error:
            raise unwritable(self.path / name, error) from error

    def order_records(self, name: str = METRICS_FILE) -> None:
        """Rewrite the records by epoch, then trial."""
        records = sorted(self.records(name), key=lambda record: (record["epoch"], record["trial"]))
        write_atomically(self.path / name, "".join(map(as_json_line, records)).encode())

    def write_json(self, name: str, value: Any) -> None:
        write_atomically(self.path / name, as_json(value).encode())

    def write_weights(self, trial: int, state: Mapping[str, Any]) -> None:
        """Keep the final weights of a trial, as `torch.save` writes a state dict."""
        import torch

        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        write_atomically(self.weights_path(trial), buffer.getvalue())

    def weights_path(self, trial: int) -> Path:
        return self.path / "checkpoints" / f"trial-{trial:05d}.pt"

    def log(self) -> logging.Handler:
        """A handler that writes `run.log`."""
        handler = logging.FileHandler(self.path / "run.log", encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        return handler

    def config_text(self) -> str:
        return self._text("config.yaml")

    def summary(self) -> dict[str, Any]:
        """`summary.json`.

        Raises:
            RunError: there is none, or it is damaged.
        """
        return self._parsed("summary.json", self._text("summary.json"), SUMMARY_KEYS)

    def environment(self) -> dict[str, Any]:
        """`environment.json`, with the same errors."""
        return self._parsed("environment.json", self._text("environment.json"), ("datasets",))

    def records(self, name: str = METRICS_FILE) -> list[dict[str, Any]]:
        """The records, or tuning's (`TUNING_FILE`), in the order of the file.

        Raises:
            RunError: the file cannot be read, or a line of it is damaged.
        """
        # Not `splitlines`: a label may hold what Unicode calls a line's end.
        lines = self._text(name).removesuffix("\n").split("\n")
        return [self._parsed(f"{name}:{number}", line, FIELDS) for number, line in enumerate(lines, start=1)]

    def _text(self, name: str) -> str:
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            what = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise RunError(f"{self.path / name} cannot be read: {what}; is {self.path} a finished run?") from error

    def _parsed(self, name: str, text: str, keys: Iterable[str]) -> dict[str, Any]:
        try:
            value = json.loads(text, parse_constant=_no_number)
            missing = [key for key in keys if key not in value]
            if not isinstance(value, dict) or missing:
                raise ValueError(f"{missing[0]!r} is missing" if missing else "it is no mapping")
        except (ValueError, TypeError, RecursionError) as error:
            raise RunError(f"{self.path / name} is damaged: {error}; restore it, or run again") from error
        return value


def newest(output: Path) -> RunDirectory:
    """The finished run that was started last.

    Raises:
        RunError: there is none.
    """
    runs = [summary.parent for summary in output.glob("[!.]*/[!.]*/summary.json")]
    if not runs:
        raise RunError(f"no finished run in {output}; `clsbench run CONFIG` makes one")
    return RunDirectory(max(runs, key=lambda run: (run / "config.yaml").stat().st_mtime_ns))


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


def _renamed(hidden: Path, wanted: Path) -> Path:
    for number in range(1, 1000):
        path = wanted if number == 1 else wanted.with_name(f"{wanted.name}-{number}")
        try:
            # A directory is never renamed onto one that holds files: of two starts, one takes the next name.
            os.rename(hidden, path)
        except OSError:
            if not path.exists():
                raise
        else:
            return path
    raise RunError(f"{wanted} and 998 names like it are taken")
